package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// copySignature begins the binary format of COPY (PostgreSQL documentation, COPY, Binary Format).
const copySignature = "PGCOPY\n\377\r\n\000"

// maxField bounds a value: PostgreSQL itself takes no more than 1 GiB, and the
// longest here is a part of a CRL.
const maxField = 64 << 20

// rowReader reads rows in the binary format of COPY.
type rowReader struct {
	table   string
	columns []string
	from    *bufio.Reader
	fields  [][]byte
}

func (r *rowReader) damaged(format string, args ...any) error {
	return ca.Errorf(ca.BadRequest, "the backup's table %s is damaged: %s", r.table, fmt.Sprintf(format, args...))
}

// header reads what stands before the rows.
func (r *rowReader) header() error {
	head := make([]byte, len(copySignature)+8)
	if err := r.read(head); err != nil {
		return err
	}
	flags, more := binary.BigEndian.Uint32(head[len(copySignature):]), binary.BigEndian.Uint32(head[len(copySignature)+4:])
	if string(head[:len(copySignature)]) != copySignature || flags != 0 || more != 0 {
		return r.damaged("it is not in the binary format of COPY")
	}
	return nil
}

// next gives the fields of a row, nil for NULL, until io.EOF. They are good
// until the next call.
func (r *rowReader) next() ([][]byte, error) {
	var count [2]byte
	if err := r.read(count[:]); err != nil {
		return nil, err
	}
	n := int16(binary.BigEndian.Uint16(count[:]))
	if n == -1 {
		switch _, err := r.from.ReadByte(); {
		case err == nil:
			return nil, r.damaged("something stands behind its last row")
		default:
			return nil, err // io.EOF, if the part's digest is right
		}
	}
	if n < 0 {
		return nil, r.damaged("a row has %d columns", n)
	}
	r.fields = r.fields[:0]
	for range n {
		var size [4]byte
		if err := r.read(size[:]); err != nil {
			return nil, err
		}
		length := int32(binary.BigEndian.Uint32(size[:]))
		switch {
		case length == -1:
			r.fields = append(r.fields, nil)
			continue
		case length < 0 || length > maxField:
			return nil, r.damaged("a value has %d octets", length)
		}
		value, err := r.value(int(length))
		if err != nil {
			return nil, err
		}
		r.fields = append(r.fields, value)
	}
	return r.fields, nil
}

// value reads n octets, without believing n before they are there.
func (r *rowReader) value(n int) ([]byte, error) {
	const step = 1 << 20
	out := make([]byte, 0, min(n, step))
	for len(out) < n {
		at := len(out)
		more := min(n-at, step)
		out = append(out, make([]byte, more)...)
		if err := r.read(out[at:]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *rowReader) read(into []byte) error {
	_, err := io.ReadFull(r.from, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.damaged("it ends in the middle")
	}
	return err
}

// number reads an integer of 2, 4 or 8 octets.
func (r *rowReader) number(field []byte) (int64, error) {
	switch len(field) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(field))), nil
	case 4:
		return int64(int32(binary.BigEndian.Uint32(field))), nil
	case 8:
		return int64(binary.BigEndian.Uint64(field)), nil
	}
	return 0, r.damaged("a number has %d octets", len(field))
}

// epoch is where PostgreSQL counts microseconds from.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// instant reads a timestamptz.
func (r *rowReader) instant(field []byte) (time.Time, error) {
	if len(field) != 8 {
		return time.Time{}, r.damaged("a time has %d octets", len(field))
	}
	return time.UnixMicro(epoch.UnixMicro() + int64(binary.BigEndian.Uint64(field))).UTC(), nil
}

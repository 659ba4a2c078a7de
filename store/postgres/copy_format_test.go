package postgres

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

const oneRow = copySignature + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x02\x00\x00\x00\x02ab\xff\xff\xff\xff" + "\xff\xff"

func readRows(text string) (rows [][][]byte, err error) {
	r := &rowReader{table: "t", from: bufio.NewReader(bytes.NewReader([]byte(text)))}
	if err := r.header(); err != nil {
		return nil, err
	}
	for {
		fields, err := r.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, append([][]byte(nil), fields...))
	}
}

func TestCopyFormat(t *testing.T) {
	rows, err := readRows(oneRow)
	if err != nil || len(rows) != 1 || len(rows[0]) != 2 || string(rows[0][0]) != "ab" || rows[0][1] != nil {
		t.Errorf("%q, %v", rows, err)
	}
	for n := range len(oneRow) {
		if _, err := readRows(oneRow[:n]); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	for name, text := range map[string]string{"longer": oneRow + "x", "another signature": "x" + oneRow[1:],
		"a length below -1": oneRow[:21] + "\xff\xff\xff\xfe", "a length beyond all": oneRow[:21] + "\x7f\xff\xff\xff", "columns below -1": oneRow[:19] + "\x80\x00"} {
		if _, err := readRows(text); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCopyFormat(f *testing.F) {
	f.Add(oneRow)
	f.Add(oneRow[:21] + "\x03\xff\xff\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if rows, err := readRows(text); err == nil && len(rows) > len(text) {
			t.Errorf("%d rows of %d octets", len(rows), len(text))
		}
	})
}

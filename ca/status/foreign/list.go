package foreign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// List is what is kept of a CRL: its entries in one block of memory, about 35
// octets each, without pointers, sorted by serial number.
type List struct {
	This, Next time.Time
	Number     *big.Int // nil: the list has none
	SHA256     [32]byte
	records    []byte   // length, serial, revoked, invalid, reason
	order      []uint32 // where records begin
}

const (
	recordTail    = 4 + 4 + 1 // revoked, invalid, reason
	removeFromCRL = 8
)

var errRemoves = errors.New("a complete CRL takes a certificate off a list, which only a delta CRL does (RFC 5280 section 5.3.1)")

// newList packs the entries of a parsed list.
func newList(c *pkix.CRL, digest [32]byte) (*List, error) {
	l := &List{This: c.ThisUpdate, Next: c.NextUpdate, Number: c.Number, SHA256: digest,
		records: make([]byte, 0, c.Count*(1+20+recordTail)), order: make([]uint32, 0, c.Count)}
	for e, err := range c.Entries() {
		if err != nil {
			return nil, err
		}
		if e.Reason == removeFromCRL {
			return nil, errRemoves
		}
		l.order = append(l.order, uint32(len(l.records)))
		serial := minimal(e.Serial)
		l.records = append(append(l.records, byte(len(serial))), serial...)
		l.records = binary.BigEndian.AppendUint32(l.records, seconds(e.Revoked))
		l.records = binary.BigEndian.AppendUint32(l.records, seconds(e.Invalid))
		l.records = append(l.records, e.Reason)
	}
	slices.SortFunc(l.order, func(a, b uint32) int { return bytes.Compare(l.serial(a), l.serial(b)) })
	l.records = slices.Clip(l.records)
	return l, nil
}

// minimal drops octets that say nothing: some CAs write more than DER allows.
func minimal(serial []byte) []byte {
	for len(serial) > 1 && serial[0] == 0 && serial[1] < 0x80 {
		serial = serial[1:]
	}
	return serial
}

// seconds clips what 32 bits do not hold (before 1970, after 2106); 0 is none.
func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 1), math.MaxUint32))
}

// serial gives the serial number of a record.
func (l *List) serial(at uint32) []byte {
	n := uint32(l.records[at])
	return l.records[at+1 : at+1+n]
}

// Len counts the entries.
func (l *List) Len() int { return len(l.order) }

// Span is thisUpdate and nextUpdate.
func (l *List) Span() (this, next time.Time) { return l.This, l.Next }

// Find gives the entry of a serial number, the content octets of its INTEGER.
// The Serial of the entry is a part of the list's memory.
func (l *List) Find(serial []byte) (e pkix.CRLEntry, listed bool) {
	i, found := slices.BinarySearchFunc(l.order, minimal(serial), func(at uint32, want []byte) int { return bytes.Compare(l.serial(at), want) })
	if !found {
		return e, false
	}
	e.Serial = l.serial(l.order[i])
	rest := l.records[l.order[i]+1+uint32(len(e.Serial)):]
	e.Revoked = time.Unix(int64(binary.BigEndian.Uint32(rest)), 0).UTC()
	if invalid := binary.BigEndian.Uint32(rest[4:]); invalid != 0 {
		e.Invalid = time.Unix(int64(invalid), 0).UTC()
	}
	e.Reason = rest[8]
	return e, true
}

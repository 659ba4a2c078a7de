package va

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func b64sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// seer is a vantage point that gives a record or an error; where it has a gate, when
// that is opened.
type seer struct {
	record Record
	err    error
	gate   chan struct{}
	broken *atomic.Bool // set when it is broken off
}

func (s seer) Validate(ctx context.Context, _ Question) (Record, error) {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			s.broken.Store(true)
			return Record{}, &Problem{Type: TypeConnection, Detail: "broken off", Retry: true}
		}
	}
	return s.record, s.err
}

func TestQuorum(t *testing.T) {
	at := func(second int64) Record {
		return Record{DNS: &DNSAnswer{Texts: int(second)}, Until: time.Unix(second, 0)}
	}
	no, hard := &Problem{Type: TypeDNS, Detail: "nothing there", Retry: true}, &Problem{Type: TypeUnauthorized, Detail: "something else"}
	for what, c := range map[string]struct {
		need int
		see  []Validator
		typ  string
		text string
	}{
		"all of three":      {3, []Validator{seer{record: at(3)}, seer{record: at(1)}, seer{record: at(2)}}, "", ""},
		"one lies":          {2, []Validator{seer{err: no}, seer{record: at(1)}, seer{record: at(2)}}, "", ""},
		"two lie":           {2, []Validator{seer{err: no}, seer{record: at(1)}, seer{err: hard}}, TypeDNS, "confirmed from 1 of 3 vantage points, and 2 are needed; from vantage point 1: nothing there"},
		"one of three":      {1, []Validator{seer{err: no}, seer{err: hard}, seer{record: at(9)}}, "", ""},
		"none":              {1, []Validator{seer{err: hard}, seer{err: no}}, TypeUnauthorized, "vantage point 1: something else"},
		"all, and one lies": {2, []Validator{seer{record: at(1)}, seer{err: no}}, TypeDNS, "vantage point 2: nothing there"},
		"a panic":           {2, []Validator{seer{record: at(1)}, panics{}}, TypeServerInternal, "internal reason"},
	} {
		record, err := Quorum{c.see, c.need}.Validate(t.Context(), Question{})
		var p *Problem
		switch {
		case c.typ == "" && (err != nil || record.Vantages.Confirmed != c.need || record.Vantages.Asked != len(c.see) || record.DNS == nil || record.Until.IsZero()):
			t.Errorf("%s: %+v, %v", what, record, err)
		case c.typ != "" && (!errors.As(err, &p) || p.Type != c.typ || !strings.Contains(p.Detail, c.text)):
			t.Errorf("%s: %v", what, err)
		}
	}
	// What ends first counts, whoever said it.
	record, err := Quorum{[]Validator{seer{record: at(3)}, seer{record: at(1)}, seer{record: at(2)}}, 3}.Validate(t.Context(), Question{})
	if err != nil || record.Until.Unix() != 1 || record.DNS.Texts != 3 {
		t.Errorf("%+v, %v", record, err)
	}
	var p *Problem
	if _, err := (Quorum{[]Validator{seer{err: hard}, seer{err: no}}, 2}).Validate(t.Context(), Question{}); !errors.As(err, &p) || !p.Retry {
		t.Errorf("another attempt may mend one of them: %v", err)
	}
	if _, err := (Quorum{[]Validator{seer{err: errors.New("no problem")}}, 1}).Validate(t.Context(), Question{}); err == nil || errors.As(err, &p) {
		t.Errorf("an error that is no problem: %v", err)
	}
}

type panics struct{}

func (panics) Validate(context.Context, Question) (Record, error) { panic("of a vantage point") }

// A vantage point that does not answer is not waited for once the quorum is there.
func TestQuorumBreaksOff(t *testing.T) {
	var broken atomic.Bool
	slow := seer{gate: make(chan struct{}), broken: &broken}
	record, err := Quorum{[]Validator{slow, seer{}, seer{}}, 2}.Validate(t.Context(), Question{})
	if err != nil || record.Vantages.Confirmed != 2 {
		t.Errorf("%+v, %v", record, err)
	}
}

package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		if names[k.String()] {
			t.Errorf("two kinds are called %s", k)
		}
		names[k.String()] = true
	}
	for _, want := range []string{"internal", "bad request", "bad proof", "denied", "pending", "not found", "conflict", "rate limited", "unavailable"} {
		if !names[want] {
			t.Errorf("there is no kind %q", want)
		}
	}
	if len(names) != 9 {
		t.Errorf("%d kinds", len(names))
	}
	if got := Kind(200).String(); got != "internal" {
		t.Errorf("an unknown kind is %q", got)
	}
}

func TestAsError(t *testing.T) {
	cause := errors.New("the cause")
	denied := Errorf(Denied, "no")
	for name, c := range map[string]struct {
		err  error
		kind Kind
	}{
		"ours":     {denied, Denied},
		"wrapped":  {fmt.Errorf("while: %w", denied), Denied},
		"foreign":  {cause, Internal},
		"deadline": {fmt.Errorf("while: %w", context.DeadlineExceeded), Unavailable},
		"canceled": {context.Canceled, Unavailable},
	} {
		if got := AsError(c.err); got.Kind != c.kind {
			t.Errorf("%s became %v", name, got)
		}
	}
	if AsError(nil) != nil || IsKind(nil, Internal) || IsKind(cause, Internal) {
		t.Error("an error came from nothing")
	}
	for _, e := range []*Error{InternalError(cause), UnavailableError(cause, time.Second), Wrap(BadProof, cause, "said")} {
		if strings.Contains(e.Public, "cause") || !errors.Is(e, cause) || !strings.Contains(e.Error(), "the cause") {
			t.Errorf("%v: public %q", e, e.Public)
		}
	}
}

func TestTrace(t *testing.T) {
	a, b := NewTrace(), NewTrace()
	if len(a) != 10 || a == b || strings.Trim(a+b, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
		t.Errorf("traces %s and %s", a, b)
	}
}

func TestOrderedID(t *testing.T) {
	now := time.Unix(1800000000, 0)
	seen, last := map[string]bool{}, ""
	for i := range 1000 {
		id := OrderedID(now.Add(time.Duration(i) * time.Millisecond))
		if len(id) != 24 || seen[id] || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		seen[id], last = true, id
	}
	if one, two := OrderedID(now), OrderedID(now); one == two || one[:8] != two[:8] {
		t.Errorf("%q and %q of one moment", one, two)
	}
}

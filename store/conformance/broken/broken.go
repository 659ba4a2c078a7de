// Package broken holds stores that are wrong on purpose, each in one way, and
// shows that the conformance suite notices: a case that no flaw makes fail
// proves nothing.
package broken

import (
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/store/conformance"
)

// flaw is one way to be wrong, and the cases that must notice.
type flaw struct {
	name  string
	cases []string
	spoil func(d *conformance.Driver)
}

// Ledger runs the ledger suite's cases against flawed stores made from a
// driver that passes; every one must be found by the cases named for it, and
// every case must find one.
func Ledger(t *testing.T, open func(t *testing.T) *conformance.Driver) {
	// What a store is asked is listed by the suite itself; no store can make it wrong.
	check(t, conformance.LedgerCases(), ledgerFlaws(), map[string]bool{"MethodsClassified": true}, open)
}

// ACME does the same for the suite of the ACME door's objects.
func ACME(t *testing.T, open func(t *testing.T) *conformance.Driver) {
	check(t, conformance.ACMECases(), acmeFlaws(), nil, open)
}

func check(t *testing.T, cases []conformance.Case, flaws []flaw, found map[string]bool, open func(t *testing.T) *conformance.Driver) {
	if found == nil {
		found = map[string]bool{}
	}
	byName := map[string]conformance.Case{}
	for _, c := range cases {
		byName[c.Name] = c
	}
	var mu sync.Mutex
	t.Run("flaws", func(t *testing.T) { // ends when every parallel one has
		for _, f := range flaws {
			for _, name := range f.cases {
				c, ok := byName[name]
				if !ok {
					t.Errorf("flaw %q names case %s, which there is not", f.name, name)
					continue
				}
				t.Run(f.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					failures := conformance.Failures(t.Context(), c, func() *conformance.Driver {
						d := open(t)
						f.spoil(d)
						return d
					})
					if len(failures) == 0 {
						t.Fatalf("case %s does not notice", name)
					}
					mu.Lock()
					found[name] = true
					mu.Unlock()
				})
			}
		}
	})
	for _, c := range cases {
		if !found[c.Name] {
			t.Errorf("case %s notices no flaw: add one that it must notice", c.Name)
		}
	}
}

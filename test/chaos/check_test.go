package chaos

import (
	"slices"
	"testing"
)

// whole is a record of one TLS certificate of the gateway and two of clients.
func whole() ([]held, record) {
	one := func() map[string]int { return map[string]int{"k0": 1, "k1": 1, "k2": 1} }
	return []held{{"a", "o1", []byte("d1")}, {"b", "o2", []byte("d2")}}, record{
		certificates: []certificateRow{{[]byte("d0"), "own", "t0", "k0"}, {[]byte("d1"), acmeEndpoint, "t1", "k1"}, {[]byte("d2"), acmeEndpoint, "t2", "k2"}},
		orders:       []orderRow{{"o1", "c1", "k1"}, {"o2", "c2", "k2"}},
		decisions:    one(), names: one(), transactions: map[string]int{"k1": 1, "k2": 1}, audits: map[string]int{"t0": 1, "t1": 1, "t2": 1},
	}
}

// TestCheck breaks a whole record in every way that check must see.
func TestCheck(t *testing.T) {
	clients, r := whole()
	if wrong := check(clients, r); len(wrong) > 0 {
		t.Fatalf("a whole record: %q", wrong)
	}
	for name, damage := range map[string]func(c *[]held, r *record){
		"row lost": func(_ *[]held, r *record) {
			r.certificates, r.orders = r.certificates[:2], r.orders[:1]
			for _, m := range []map[string]int{r.decisions, r.names, r.transactions} {
				delete(m, "k2")
			}
			delete(r.audits, "t2")
		},
		"other octets":      func(c *[]held, _ *record) { (*c)[1].der = []byte("dx") },
		"row twice":         func(_ *[]held, r *record) { r.certificates = append(r.certificates, r.certificates[1]) },
		"nobody holds it":   func(c *[]held, _ *record) { *c = (*c)[:1] },
		"a name twice":      func(c *[]held, _ *record) { (*c)[1].name = "a" },
		"a holder twice":    func(c *[]held, _ *record) { (*c)[1] = held{"b", "o1", []byte("d1")} },
		"other order":       func(c *[]held, _ *record) { (*c)[1].order = "o1" },
		"no decision":       func(_ *[]held, r *record) { delete(r.decisions, "k1") },
		"two decisions":     func(_ *[]held, r *record) { r.decisions["k1"] = 2 },
		"stray decision":    func(_ *[]held, r *record) { r.decisions[""] = 1 },
		"no names":          func(_ *[]held, r *record) { delete(r.names, "k0") },
		"stray name":        func(_ *[]held, r *record) { r.names["k9"] = 1 },
		"no audit row":      func(_ *[]held, r *record) { delete(r.audits, "t1") },
		"two audit rows":    func(_ *[]held, r *record) { r.audits["t1"] = 2 },
		"stray audit row":   func(_ *[]held, r *record) { r.audits["t9"] = 1 },
		"no transaction":    func(_ *[]held, r *record) { delete(r.transactions, "k1") },
		"two transactions":  func(_ *[]held, r *record) { r.transactions["k1"] = 2 },
		"stray transaction": func(_ *[]held, r *record) { r.transactions["k9"] = 1 },
		"order without":     func(_ *[]held, r *record) { r.orders[0].key = "" },
		"orders share":      func(_ *[]held, r *record) { r.orders[1].key = "k1" },
		"orders share ids":  func(_ *[]held, r *record) { r.orders[1].certificate = "c1" },
		"order not ended":   func(_ *[]held, r *record) { r.orders = r.orders[:1] },
	} {
		clients, r := whole()
		clients, r.certificates, r.orders = slices.Clone(clients), slices.Clone(r.certificates), slices.Clone(r.orders)
		damage(&clients, &r)
		if wrong := check(clients, r); len(wrong) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

package acme

import (
	"fmt"
	"net/http"
)

// ordersPage is how many orders one answer lists.
const ordersPage = 100

// orders lists the orders of the caller's account that are not invalid, a page
// at a time (RFC 8555 section 7.1.2.1). A page is named by the order that it
// comes after.
func (d *Door) orders(w http.ResponseWriter, r *request) error {
	s, err := d.read(r)
	if err != nil {
		return err
	}
	if err := own(s, r.param("id")); err != nil {
		return err
	}
	ids, err := d.Store.Orders(r.Context(), r.endpoint.Tenant, r.endpoint.ID, s.account.ID, r.param("after"), ordersPage+1)
	if err != nil {
		return err
	}
	if len(ids) > ordersPage {
		ids = ids[:ordersPage]
		w.Header().Add("Link", fmt.Sprintf("<%s/orders/%s>;rel=%q", r.endpoint.accountURL(s.account.ID), ids[ordersPage-1], "next"))
	}
	out := struct {
		Orders []string `json:"orders"`
	}{make([]string, len(ids))}
	for i, id := range ids {
		out.Orders[i] = r.endpoint.orderURL(id)
	}
	return answer(w, http.StatusOK, out)
}

// readDirectory and readNonce answer POST-as-GET (RFC 8555 section 6.3).
func (d *Door) readDirectory(w http.ResponseWriter, r *request) error {
	if _, err := d.read(r); err != nil {
		return err
	}
	return d.serveDirectory(w, r)
}

func (d *Door) readNonce(w http.ResponseWriter, r *request) error {
	if _, err := d.read(r); err != nil {
		return err
	}
	return d.newNonceEmpty(w, r)
}

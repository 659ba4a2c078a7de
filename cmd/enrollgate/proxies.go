package main

import (
	"net/http"

	"github.com/enrollgate/enrollgate/protocols/forwarded"
)

// openProxies sets up whom the listeners believe who a client is; without
// listen.trusted_proxies nobody, and no header is looked at.
func (d *daemon) openProxies() (err error) {
	l := d.cfg.Listen
	if len(l.TrustedProxies) == 0 {
		return nil
	}
	d.proxies = map[string]*forwarded.Proxies{}
	for _, name := range []string{"https", "http", "est"} { // admin has no business behind a proxy
		if d.sockets[name] == nil {
			continue
		}
		d.metrics.ForwardedBy(name, forwarded.Outcomes()...)
		d.proxies[name], err = forwarded.New(forwarded.Options{Trusted: l.TrustedProxies, Header: l.ForwardedHeader,
			Observe: func(outcome string) { d.metrics.Forwarded(name, outcome) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// behindProxies has a listener see its clients' addresses instead of the trusted
// proxies'.
func (d *daemon) behindProxies(listener string, h http.Handler) http.Handler {
	if p := d.proxies[listener]; p != nil {
		return p.Handler(h)
	}
	return h
}

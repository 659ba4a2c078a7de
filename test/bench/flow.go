package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// flow is what a client does again and again.
type flow struct {
	name   string
	door   string
	do     func(c client, j job, answers *responder) error
	issues bool             // a certificate each; else an account each
	same   bool             // a client's names stay the same
	shows  bool             // a client certificate
	text   *base64.Encoding // of requests
	rate   int              // bounds the flows that are made ready for a second; 0: maxRate
}

const (
	acmeDoor = "acme"
	estDoor  = "est"
	scepDoor = "scep"
)

// client is one that goes through flows of one door.
type client interface{ at() *peer }

// peer is what clients of all doors have.
type peer struct {
	wire  *wire
	posts int
	name  string // of its last certificate
}

func (p *peer) at() *peer { return p }

// by has clients of one kind go through a flow.
func by[C client](f func(C, job, *responder) error) func(client, job, *responder) error {
	return func(c client, j job, answers *responder) error { return f(c.(C), j, answers) }
}

// flows are those that can be measured, the first one by default of everything
// that only wants certificates.
var flows = []flow{
	{name: "enroll", door: acmeDoor, do: by((*account).enroll), issues: true, text: b64},
	{name: "renew", door: acmeDoor, do: by((*account).renew), issues: true, same: true, text: b64},
	{name: "account", door: acmeDoor, do: by(func(a *account, _ job, _ *responder) error {
		a.posts++
		_, err := register(a.wire, a.site+directoryPath)
		return err
	})},
	{name: "est", door: estDoor, do: by((*device).enroll), issues: true, text: base64.StdEncoding},
	{name: "scep", door: scepDoor, do: by((*gear).enroll), issues: true, rate: 300},
	{name: "est-renew", door: estDoor, do: by((*device).reenroll), issues: true, same: true, shows: true, text: base64.StdEncoding},
}

func flowOf(name string) flow {
	return flows[slices.IndexFunc(flows, func(f flow) bool { return f.name == name })]
}

func flowNames() string {
	var names []string
	for _, f := range flows {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// warmed is the flow that clients go through before they are measured.
func (f flow) warmed() flow {
	if f.door == acmeDoor {
		return flows[0]
	}
	return f
}

// jobs are the first n of a load.
func (f flow) jobs(n int, clients []client) ([]job, error) {
	if !f.issues {
		return make([]job, n), nil
	}
	if f.door == scepDoor {
		return newMessages(n, clients[0].(*gear))
	}
	var names []string
	if f.same {
		for _, c := range clients {
			names = append(names, c.at().name)
		}
	}
	return newJobs(n, names, f.text)
}

// left checks what a number of flows left in the store, and how often the
// daemon asked for a proof.
func (f flow) left(n int, c counts, fetched int64) error {
	want := counts{Accounts: int64(n), Commits: c.Commits}
	if f.issues {
		want = counts{Certificates: int64(n), Decisions: int64(n), Audits: int64(n), Commits: c.Commits}
	}
	if c != want || f.issues && f.door == acmeDoor && fetched < int64(n) {
		return fmt.Errorf("%d flows left %d certificates, %d decisions, %d audit rows, %d accounts and asked %d times for a proof",
			n, c.Certificates, c.Decisions, c.Audits, c.Accounts, fetched)
	}
	return nil
}

// renew is the flow of a client that has a certificate: it asks when to renew
// (RFC 9773 section 4), and orders the same name again, by "replaces".
func (a *account) renew(j job, answers *responder) error {
	if a.renewalID == "" {
		return a.enroll(j, answers)
	}
	path, err := below(a.directory.RenewalInfo+"/"+a.renewalID, a.site)
	if err != nil {
		return err
	}
	r, err := a.wire.do("GET", path, nil)
	if err != nil {
		return err
	}
	var info struct{ SuggestedWindow struct{ Start, End string } }
	if err := json.Unmarshal(r.body, &info); err != nil || info.SuggestedWindow.Start == "" {
		return fmt.Errorf("renewalInfo: %d: %s", r.status, r.body)
	}
	return a.order(j, answers, `,"replaces":"`+a.renewalID+`"`)
}

// keep remembers a certificate, PEM, as the one to renew (RFC 9773 section 4.1).
func (a *account) keep(name string, chain []byte) error {
	block, _ := pem.Decode(chain)
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("the certificate resource holds none")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	serial := c.SerialNumber.Bytes()
	if serial[0] >= 0x80 { // as DER has it
		serial = append([]byte{0}, serial...)
	}
	a.name, a.renewalID = name, b64.EncodeToString(c.AuthorityKeyId)+"."+b64.EncodeToString(serial)
	return nil
}

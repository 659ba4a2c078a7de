package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// flow is what a client does again and again.
type flow struct {
	name   string
	do     func(a *account, j job, answers *responder) error
	issues bool // a certificate each; else an account each
	same   bool // a client's names stay the same
}

// flows are those that can be measured, the first one by default of everything
// that only wants certificates.
var flows = []flow{
	{name: "enroll", do: (*account).enroll, issues: true},
	{name: "renew", do: (*account).renew, issues: true, same: true},
	{name: "account", do: func(a *account, _ job, _ *responder) error {
		a.posts++
		_, err := register(a.wire, a.site+directoryPath)
		return err
	}},
}

// jobs are the first n of a load.
func (f flow) jobs(n int, clients []*account) ([]job, error) {
	if !f.issues {
		return make([]job, n), nil
	}
	var names []string
	if f.same {
		for _, c := range clients {
			names = append(names, c.name)
		}
	}
	return newJobs(n, names)
}

// left checks what a number of flows left in the store, and how often the
// daemon asked for a proof.
func (f flow) left(n int, c counts, fetched int64) error {
	want := counts{Accounts: int64(n), Commits: c.Commits}
	if f.issues {
		want = counts{Certificates: int64(n), Decisions: int64(n), Audits: int64(n), Commits: c.Commits}
	}
	if c != want || f.issues && fetched < int64(n) {
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

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/config"
)

// selection says which certificates are meant, as flags and on the socket.
type selection struct {
	Tenant    string `help:"Tenant; needed with a selection where the configuration has several. With serial numbers and --proof the default is every one." placeholder:"ID" json:"tenant,omitempty"`
	CA        string `name:"ca" help:"Of this CA alone." placeholder:"ID" json:"ca,omitempty"`
	Subject   string `help:"With this very subject, as lists print it." placeholder:"CN=..." json:"subject,omitempty"`
	Name      string `help:"With this subject alternative name: dns:host.example, ip:192.0.2.1, email:..., uri:..." placeholder:"NAME" xor:"name" json:"name,omitempty"`
	NameEnd   string `name:"name-end" help:"With a name that ends so: dns:.host.example" placeholder:"NAME" xor:"name" json:"name_end,omitempty"`
	Profile   string `help:"Under this profile." placeholder:"ID" json:"profile,omitempty"`
	Requester string `help:"For this requester, as lists print it." placeholder:"ID" json:"requester,omitempty"`
	KeyID     string `name:"key-id" help:"For the key with this subject key identifier." placeholder:"HEX" json:"key_id,omitempty"`
	All       bool   `help:"Every certificate of --ca." json:"all,omitempty"`
	Expired   bool   `help:"Also those that have expired, which are left out otherwise." json:"expired,omitempty"`
}

// many tells whether more than a tenant and a CA is said.
func (s *selection) many() bool {
	return s.Subject != "" || s.Name != "" || s.NameEnd != "" || s.Profile != "" || s.Requester != "" || s.KeyID != "" || s.All
}

// read makes a selection of certificates in the tenants. BadRequest for what
// cannot be, or is too little to be meant.
func (s *selection) read(tenants []string, reason ca.Reason, now time.Time) (admin.Selection, error) {
	out := admin.Selection{Tenants: tenants}
	switch {
	case !s.many():
		return out, ca.Errorf(ca.BadRequest, "say which certificates: serial numbers, or --profile, --subject, --name, --name-end, --requester, --key-id, or --ca with --all")
	case s.All && s.CA == "":
		return out, ca.Errorf(ca.BadRequest, "--all is every certificate of one CA: give --ca, too")
	case len(tenants) != 1:
		return out, ca.Errorf(ca.BadRequest, "give --tenant, one of %s", strings.Join(tenants, ", "))
	}
	list := certListCmd{CA: s.CA, Subject: s.Subject, Name: s.Name, NameEnd: s.NameEnd, Profile: s.Profile, Requester: s.Requester, KeyID: s.KeyID}
	var err error
	if out.Filter, err = list.filter(now); err != nil {
		return out, err
	}
	if !s.Expired {
		out.Filter.ExpiresIn.From = now
	}
	if reason == ca.RemoveFromCRL {
		out.Filter.State = ca.Held
	}
	return out, nil
}

// renewIn asks for renewal windows in this period.
type renewIn struct {
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Explanation string    `json:"explanation_url,omitempty"`
}

// certSweepIn asks for one page of a bulk change of status, or of renewal windows. It is about the
// serial numbers, the proof's key, or the selection.
type certSweepIn struct {
	selection
	Serials []string  `json:"serials,omitempty"`
	Proof   []byte    `json:"proof,omitempty"` // PEM or DER
	Reason  string    `json:"reason,omitempty"`
	Invalid time.Time `json:"invalidity_date,omitzero"`
	Renew   *renewIn  `json:"renew,omitempty"` // instead of a reason
	Job     string    `json:"job"`
	Page    string    `json:"page,omitempty"`
}

// bulk reads the request.
func (in *certSweepIn) bulk(cfg *config.Config, now time.Time) (b admin.Bulk, err error) {
	b = admin.Bulk{Invalid: in.Invalid, Job: in.Job, Page: in.Page, Limit: admin.MaxBulk, Now: now}
	switch {
	case in.Renew == nil:
		if b.Reason, err = admin.ParseChange(in.Reason); err != nil {
			return b, err
		}
	case in.Reason != "" || !in.Invalid.IsZero() || len(in.Proof) > 0:
		return b, ca.Errorf(ca.BadRequest, "certificates that are to be renewed are given no reason, invalidity date or proof")
	}
	tenants, err := tenantsOf(cfg, in.Tenant)
	if err != nil {
		return b, err
	}
	b.Selection = admin.Selection{Tenants: tenants, Filter: ca.Filter{CA: in.CA}}
	said := 0
	for _, is := range []bool{in.many(), len(in.Serials) > 0, len(in.Proof) > 0} {
		if is {
			said++
		}
	}
	switch {
	case said > 1:
		return b, ca.Errorf(ca.BadRequest, "give serial numbers, a proof, or a selection: one of them")
	case len(in.Proof) > 0:
		if b.Reason != ca.KeyCompromise {
			return b, ca.Errorf(ca.BadRequest, "a proof is for the reason keyCompromise, not %s", b.Reason)
		}
		if b.Proof, err = admin.ParseProof(in.Proof); err != nil {
			return b, err
		}
		hash := b.Proof.Key.Hash()
		b.Selection.Key, b.Selection.Filter.KeyID = &hash, b.Proof.Key.KeyID()
	case len(in.Serials) > 0:
		for _, text := range in.Serials {
			serial, err := ca.ParseSerial(text)
			if err != nil {
				return b, err
			}
			b.Selection.Serials = append(b.Selection.Serials, serial)
		}
	default:
		b.Selection, err = in.read(tenants, b.Reason, now)
	}
	return b, err
}

// maxSerials bounds the serial numbers of one command.
const maxSerials = 1_000_000

// readSerials reads a file of serial numbers, one a line; "-" is stdin. Empty
// lines and what follows a # do not count.
func readSerials(path string) (all []string, err error) {
	in := os.Stdin
	if path != "-" {
		if in, err = os.Open(path); err != nil {
			return nil, err
		}
		defer in.Close() // only read from
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if _, err := ca.ParseSerial(text); err != nil {
			return nil, fmt.Errorf("%w: %s, line %d: %s", errUsage, path, n, sentence(err))
		}
		if all = append(all, text); len(all) > maxSerials {
			return nil, fmt.Errorf("%w: %s has more than %d serial numbers", errUsage, path, maxSerials)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}

// readProof reads a proof of key compromise and looks whether it is one.
func readProof(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxProof+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxProof {
		return nil, errors.New("the proof is longer than 32,768 octets")
	}
	_, err = admin.ParseProof(text)
	return text, err
}

// maxProof leaves room in the body of an operation of the socket.
const maxProof = 32 << 10

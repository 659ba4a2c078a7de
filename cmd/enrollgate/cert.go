package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/profile"
)

type certCmd struct {
	List   certListCmd   `cmd:"" help:"List issued certificates."`
	Show   certShowCmd   `cmd:"" help:"Print one certificate: where its fields come from, its status, PEM and chain."`
	Revoke certRevokeCmd `cmd:"" help:"Revoke certificates for good, or hold them: one, or all that a selection finds."`
	Unhold certUnholdCmd `cmd:"" help:"Release certificates that are held."`
	Renew  certRenewCmd  `cmd:"" help:"Ask ACME clients to renew certificates soon: those that ask for renewal information (RFC 9773) do."`
}

type certListCmd struct {
	source
	Tenant    string `help:"Tenant; needed where the configuration has several." placeholder:"ID"`
	CA        string `name:"ca" help:"Only of this CA." placeholder:"ID"`
	Serial    string `help:"Only serial numbers that begin so." placeholder:"HEX"`
	Subject   string `help:"Only this very subject, as lists print it." placeholder:"CN=..."`
	Name      string `help:"Only with this subject alternative name: dns:host.example, ip:192.0.2.1, email:..., uri:..." placeholder:"NAME" xor:"name"`
	NameEnd   string `name:"name-end" help:"Only with a name that ends so: dns:.host.example" placeholder:"NAME" xor:"name"`
	Profile   string `help:"Only under this profile." placeholder:"ID"`
	Requester string `help:"Only for this requester, as lists print it." placeholder:"ID"`
	KeyID     string `name:"key-id" help:"Only for the key with this subject key identifier." placeholder:"HEX"`
	State     string `help:"Only in this state: issued, held or revoked." enum:",issued,held,revoked" default:""`
	From      string `name:"expires-from" help:"Only if it expires then or later: a day or an RFC 3339 time." placeholder:"TIME"`
	Before    string `name:"expires-before" help:"Only if it expires earlier." placeholder:"TIME" xor:"end"`
	Within    string `name:"expires-within" help:"Only if it is not expired and will be after this time: P30D." placeholder:"DURATION" xor:"end"`
	Limit     int    `help:"How many at most, 1 to 1000." default:"100"`
	Page      string `help:"Go on where a page ended: what it printed as next." placeholder:"NEXT"`
	JSON      bool   `name:"json" help:"Print one JSON object: {\"certificates\": [...], \"next\": ...}."`
}

// Run lists certificates by CA and serial number, which is by month of expiry first.
func (cmd *certListCmd) Run(c console) (err error) {
	filter, err := cmd.filter(time.Now())
	if err != nil {
		return badRequest(err)
	}
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	if len(r.tenants) != 1 {
		return fmt.Errorf("%w: give --tenant, one of %s", errUsage, strings.Join(r.tenants, ", "))
	}
	filter.Tenant = r.tenants[0]
	page, err := admin.List(ctx, r.store, admin.Query{Filter: filter, Page: cmd.Page})
	if err != nil {
		return badRequest(err)
	}
	if cmd.JSON {
		return printJSON(c.out, page)
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "SERIAL\tSTATE\tEXPIRES\tPROFILE\tREQUESTER\tSUBJECT AND NAMES")
	for _, row := range page.Certificates {
		t.row(row.Serial, string(row.State), row.NotAfter.Format(time.DateOnly), row.Profile, row.Requester, row.Subject+" "+strings.Join(row.Names, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(c.err, "there are more: --page %s\n", page.Next)
	}
	return nil
}

// filter reads the flags.
func (cmd *certListCmd) filter(now time.Time) (f ca.Filter, err error) {
	f = ca.Filter{CA: cmd.CA, Subject: cmd.Subject, Profile: cmd.Profile, Requester: cmd.Requester, State: ca.State(cmd.State), Limit: cmd.Limit}
	read := func(text string, parse func() error) {
		if text != "" && err == nil {
			err = parse()
		}
	}
	read(cmd.Serial, func() (err error) { f.First, f.Last, err = admin.ParseSerialStart(cmd.Serial); return err })
	read(cmd.Name, func() (err error) { f.Name, err = admin.ParseName(cmd.Name); return err })
	read(cmd.NameEnd, func() (err error) { f.NameSuffix = true; f.Name, err = admin.ParseName(cmd.NameEnd); return err })
	read(cmd.KeyID, func() (err error) { f.KeyID, err = admin.ParseKeyID(cmd.KeyID); return err })
	read(cmd.From, func() (err error) { f.ExpiresIn.From, err = admin.ParseTime(cmd.From); return err })
	read(cmd.Before, func() (err error) { f.ExpiresIn.To, err = admin.ParseTime(cmd.Before); return err })
	read(cmd.Within, func() error {
		period, err := profile.ParsePeriod(cmd.Within)
		if err != nil {
			return ca.Errorf(ca.BadRequest, "--expires-within: %v", err)
		}
		if f.ExpiresIn.To = period.From(now); f.ExpiresIn.From.Before(now) {
			f.ExpiresIn.From = now
		}
		return nil
	})
	return f, err
}

type certShowCmd struct {
	source
	Serial string `arg:"" help:"Serial number: 32 hexadecimal digits."`
	Tenant string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	CA     string `name:"ca" help:"Look in this CA alone." placeholder:"ID"`
	PEM    bool   `name:"pem" help:"Print the certificate and its chain alone." xor:"form"`
	JSON   bool   `name:"json" help:"Print one JSON object." xor:"form"`
}

// shownCertificate is what `cert show --json` prints.
type shownCertificate struct {
	*admin.Origin
	PEM   string   `json:"pem"`
	Chain []string `json:"chain"` // PEM, the issuer first, the trust anchor last
}

// Run prints a certificate.
func (cmd *certShowCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, found, err := cmd.open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	origin, err := admin.Describe(ctx, r.store, found)
	if err != nil {
		return err
	}
	chain, err := admin.ChainOf(ctx, r.store, found)
	if err != nil {
		return err
	}
	out := shownCertificate{Origin: origin, PEM: pemOf(found.DER)}
	for _, der := range chain {
		out.Chain = append(out.Chain, pemOf(der))
	}
	switch {
	case cmd.JSON:
		return printJSON(c.out, out)
	case !cmd.PEM:
		if err := printOrigin(c, origin, time.Now()); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
	}
	_, err = fmt.Fprint(c.out, out.PEM, strings.Join(out.Chain, ""))
	return err
}

func (cmd *certShowCmd) open(ctx context.Context, c console) (*records, *ca.Certificate, error) {
	return cmd.openCertificate(ctx, c, cmd.Tenant, cmd.CA, cmd.Serial)
}

// openCertificate opens the store and finds one certificate in it.
func (s *source) openCertificate(ctx context.Context, c console, tenant, id, text string) (*records, *ca.Certificate, error) {
	serial, err := ca.ParseSerial(text)
	if err != nil {
		return nil, nil, badRequest(err)
	}
	r, err := s.openRecords(ctx, tenant, c)
	if err != nil {
		return nil, nil, err
	}
	found, err := admin.Find(ctx, r.store, r.tenants, id, serial)
	if err != nil {
		return nil, nil, errors.Join(err, r.store.Close())
	}
	return r, found, nil
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

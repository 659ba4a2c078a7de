package crl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// draft is a list that is being made.
type draft struct {
	issuer   ca.Issuer
	shard    int
	previous *Published // the complete list before it in its scope, nil for the first
	base     *Published // of a delta
	number   int64
	position int64
	now      time.Time
	life     time.Duration
	urls     []string // distribution points, the current one first
	freshest string   // where deltas are; empty: there are none
	expired  bool     // certificates that expired stay on it
	writer   *pkix.CRLWriter
}

// open writes the header.
func (d *draft) open() error {
	f := d.issuer.Facts()
	this := d.now.Add(-backdated).UTC().Truncate(time.Second)
	size := 0
	if d.previous != nil && d.base == nil {
		size = d.previous.Size + d.previous.Size/8
	}
	extensions, err := d.extensions(f)
	if err != nil {
		return ca.InternalError(err)
	}
	d.writer, err = pkix.NewCRLWriter(pkix.CRLHeader{Signature: f.Signature, Issuer: f.Subject, ThisUpdate: this,
		NextUpdate: this.Add(d.life), Extensions: extensions, Delta: d.base != nil}, size)
	if err != nil {
		return ca.InternalError(err)
	}
	return nil
}

func (d *draft) extensions(f *ca.Facts) ([]pkix.Extension, error) {
	var all []pkix.Extension
	var failed error
	add := func(e pkix.Extension, err error) {
		if err != nil && failed == nil {
			failed = err
		}
		all = append(all, e)
	}
	add(pkix.MarshalAuthorityKeyID(f.KeyID))
	add(pkix.MarshalCRLNumber(d.number))
	switch {
	case d.base != nil:
		add(pkix.MarshalDeltaCRLIndicator(d.base.Number))
	case d.shard > 0:
		add(pkix.MarshalIssuingDistributionPoint(d.urls))
	case d.freshest != "":
		add(pkix.MarshalFreshestCRL([]string{d.freshest}))
	}
	if d.expired { // no revocation is ever forgotten, so the list goes as far back as the CA
		add(pkix.MarshalExpiredCertsOnCRL(f.NotBefore))
	}
	return all, failed
}

// takes tells whether an entry belongs onto the list. A certificate that has
// expired leaves it once a list later than its expiry had it (RFC 5280 section
// 3.3), unless those stay; its serial says in which month it expires.
func (d *draft) takes(st *ca.Status) bool {
	if st.State == ca.Issued || d.shard > 0 && st.Shard != d.shard {
		return false
	}
	_, end, ends := st.Serial.Month().Range()
	if !ends || d.previous == nil || d.expired {
		return true
	}
	listed := d.previous.ThisUpdate
	return listed.Before(end) || st.At.After(listed.Add(-listedFor))
}

func (d *draft) add(st *ca.Status) error {
	e := pkix.CRLEntry{Serial: st.Serial[:], Revoked: st.At, Reason: uint8(st.Reason), Invalid: st.Invalid}
	if err := d.writer.Add(e); err != nil {
		return ca.InternalError(fmt.Errorf("certificate %s: %w", st.Serial, err))
	}
	return nil
}

// finish signs and checks the list: what is published parses, says what was
// meant and verifies with the issuer's key.
func (d *draft) finish(ctx context.Context) (*ca.CRL, error) {
	f := d.issuer.Facts()
	count := d.writer.Count()
	der, err := d.writer.Sign(func(tbs []byte) ([]byte, error) { return d.issuer.Sign(ctx, ca.LaneStatus, tbs) })
	if err != nil {
		return nil, ca.AsError(err)
	}
	parsed, err := pkix.ParseCRL(der)
	if err != nil {
		return nil, ca.InternalError(fmt.Errorf("the list that was made does not parse: %w", err))
	}
	if err := parsed.CheckSignatureFrom(f.Key); err != nil {
		return nil, ca.InternalError(fmt.Errorf("the issuer's signature does not verify: %w", err))
	}
	if parsed.Count != count || !bytes.Equal(parsed.Issuer, f.Subject) || parsed.Number == nil || parsed.Number.Int64() != d.number ||
		(parsed.Base != nil) != (d.base != nil) || (parsed.Points != nil) != (d.shard > 0) {
		return nil, ca.InternalError(fmt.Errorf("the list that was made does not say what it should"))
	}
	c := &ca.CRL{Tenant: f.Tenant, CA: f.CA, Scope: ca.CRLScope(f.Generation, d.shard), Number: d.number, Position: d.position,
		ThisUpdate: parsed.ThisUpdate, NextUpdate: parsed.NextUpdate, URLs: d.urls, Entries: count, SHA256: sha256.Sum256(der), Size: len(der), DER: der}
	if d.base != nil {
		c.Base = d.base.Number
	}
	return c, nil
}

// record publishes a list in the name of an actor.
func (p *Publisher) record(ctx context.Context, l *ca.Lease, c *ca.CRL, actor string) error {
	detail, err := json.Marshal(map[string]any{"ca": c.CA, "scope": c.Scope, "number": c.Number, "base": c.Base, "position": c.Position,
		"entries": c.Entries, "next_update": c.NextUpdate.Format(time.RFC3339), "sha256": fmt.Sprintf("%x", c.SHA256)})
	if err != nil {
		return ca.InternalError(err)
	}
	err = p.Store.PublishCRL(ctx, l, c, ca.Audit{Tenant: c.Tenant, Event: "crl.published", Actor: actor, Trace: ca.NewTrace(), Detail: detail})
	if err != nil {
		return err
	}
	p.Shelf.put(c)
	p.Observer.CRLPublished(c)
	p.Log.Info("crl.published", "tenant", c.Tenant, "ca", c.CA, "scope", c.Scope, "number", c.Number, "base", c.Base, "entries", c.Entries,
		"octets", c.Size, "next_update", c.NextUpdate)
	return nil
}

// withURL puts the current URL before those that a scope ever had, so that
// certificates from before a change of the base URL still match.
func withURL(current string, previous *Published) []string {
	urls := []string{current}
	if previous != nil {
		for _, u := range previous.URLs {
			if !slices.Contains(urls, u) && len(urls) < maxURLs {
				urls = append(urls, u)
			}
		}
	}
	return urls
}

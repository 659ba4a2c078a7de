package hierarchy

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// FirstListDays is how long a root's first revocation list is good where nothing
// else is asked: time enough to fetch the root from its safe for the next one.
const FirstListDays = 365

// FirstNumber is the CRL number of a root's first list. Whatever makes the
// lists after it may begin to count at 1 (RFC 5280 section 5.2.3).
const FirstNumber = 0

// FirstList makes the list of a CA that has revoked nothing yet, in DER: what
// its own certificate is checked against before the CA has signed another list.
// A root that has revoked something must not be asked for it again.
func (m *Maker) FirstList(ctx context.Context, now time.Time, days int) ([]byte, error) {
	begin := now.UTC().Add(-time.Minute).Truncate(time.Second) // for clients whose clocks are slow
	return m.list(ctx, FirstNumber, begin, begin.AddDate(0, 0, days), nil)
}

// list encodes and signs a complete list, and reads back what was made.
func (m *Maker) list(ctx context.Context, number int64, begin, end time.Time, entries []pkix.CRLEntry) ([]byte, error) {
	algorithm, err := pkix.SignatureFor(m.Public)
	if err != nil {
		return nil, err
	}
	above, err := pkix.MarshalAuthorityKeyID(m.KeyID)
	if err != nil {
		return nil, err
	}
	numbered, err := pkix.MarshalCRLNumber(number)
	if err != nil {
		return nil, err
	}
	w, err := pkix.NewCRLWriter(pkix.CRLHeader{Signature: algorithm, Issuer: m.Issuer, ThisUpdate: begin, NextUpdate: end,
		Extensions: []pkix.Extension{above, numbered}}, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := w.Add(e); err != nil {
			return nil, ca.Errorf(ca.BadRequest, "serial number %x: %v", e.Serial, err)
		}
	}
	der, err := w.Sign(func(tbs []byte) ([]byte, error) { return signWith(ctx, m.Signer, m.Tenant, m.Public, tbs) })
	if err != nil {
		return nil, err
	}
	list, err := pkix.ParseCRL(der)
	if err != nil {
		return nil, ca.InternalError(fmt.Errorf("the list that was made does not parse: %w", err))
	}
	if list.Count != len(entries) || list.Number == nil || list.Number.Cmp(big.NewInt(number)) != 0 || !bytes.Equal(list.KeyID, m.KeyID) {
		return nil, ca.InternalError(fmt.Errorf("the list that was made does not say what it should"))
	}
	return der, list.CheckSignatureFrom(m.Public)
}

// FirstListOf is FirstList for a root whose certificate there is.
func FirstListOf(ctx context.Context, ring *keys.Ring, key Key, root []byte, now time.Time, days int, log *Log) ([]byte, error) {
	above, err := pkix.ParseCertificate(root)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the root's certificate cannot be read: %v", err)
	}
	maker, err := asRoot(ctx, ring, key, above, nil)
	if err != nil {
		return nil, err
	}
	der, err := maker.FirstList(ctx, now, days)
	if err == nil {
		log.List("first CRL", der)
	}
	return der, err
}

package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// CRLStore is what an import needs of a store.
type CRLStore interface {
	ca.CRLs
	ca.Generations
}

// ImportedCRL is what became of an import for one CA.
type ImportedCRL struct {
	*ca.CRL
	Issuer  string // subject of the certificate that signed it
	Revokes bool   // it lists a certificate of this CA's own chain: the CA is revoked
}

// clockAllowance is how far another machine's clock may be ahead.
const clockAllowance = 5 * time.Minute

// ImportCRL takes over the list of a CA above the tenant's, such as an offline
// root: DER or one PEM block. It is published for every CA of the tenant below
// its issuer. Errors: BadRequest where it is no such list or not good now,
// NotFound where no CA certificate of the tenant signed it, Conflict where
// this one or a newer one was imported.
func ImportCRL(ctx context.Context, store CRLStore, tenant string, data []byte, by caller.Caller, now time.Time) ([]ImportedCRL, error) {
	if !by.Verified() || by.Door() != caller.Operator || by.Tenant() != tenant {
		return nil, ca.Errorf(ca.BadProof, "importing a CRL needs an operator of the tenant")
	}
	list, err := readCRL(data, now)
	if err != nil {
		return nil, err
	}
	generations, err := store.Generations(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var done []ImportedCRL
	for i := range generations {
		g := &generations[i]
		issuer, revokes, err := signerAbove(g, list)
		if err != nil {
			return done, err
		}
		if issuer == nil || slices.ContainsFunc(done, func(d ImportedCRL) bool { return d.CA == g.CA }) {
			continue
		}
		c, err := importFor(ctx, store, g, list, issuer, by)
		if err != nil {
			return done, err
		}
		done = append(done, ImportedCRL{c, issuer.Subject.String(), revokes})
	}
	if len(done) == 0 {
		return nil, ca.Errorf(ca.NotFound, "no CA certificate above a CA of tenant %s signed this CRL of %q", tenant, list.Issuer)
	}
	return done, nil
}

// readCRL checks what a list says of itself.
func readCRL(data []byte, now time.Time) (*pkix.CRL, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, ca.Errorf(ca.BadRequest, "the PEM block is a %q, not an X509 CRL", clip(block.Type))
		}
		data = block.Bytes
	}
	list, err := pkix.ParseCRL(data)
	switch {
	case err != nil:
		return nil, ca.Wrap(ca.BadRequest, err, "the file is not a CRL that can be read here")
	case list.Base != nil:
		return nil, ca.Errorf(ca.BadRequest, "the file is a delta CRL; import the complete one")
	case list.Points != nil:
		return nil, ca.Errorf(ca.BadRequest, "the CRL covers one distribution point alone; import the complete one")
	case list.NextUpdate.IsZero():
		return nil, ca.Errorf(ca.BadRequest, "the CRL has no nextUpdate (RFC 5280 section 5.1.2.5)")
	case !list.NextUpdate.After(now):
		return nil, ca.Errorf(ca.BadRequest, "the CRL ended at %s; have its CA sign a new one", stamp(list.NextUpdate))
	case list.ThisUpdate.After(now.Add(clockAllowance)):
		return nil, ca.Errorf(ca.BadRequest, "the CRL begins at %s; one of the clocks is wrong", stamp(list.ThisUpdate))
	}
	return list, nil
}

// signerAbove gives the certificate above a generation that signed the list,
// nil where none did, and whether the list has a certificate of the chain below.
func signerAbove(g *ca.Generation, list *pkix.CRL) (issuer *pkix.Certificate, revokes bool, err error) {
	below := [][]byte{}
	for _, der := range slices.Concat([][]byte{g.DER}, g.Chain, [][]byte{g.Root}) {
		cert, err := pkix.ParseCertificate(der)
		if err != nil {
			return nil, false, ca.InternalError(err)
		}
		if len(below) > 0 && list.CheckIssuer(cert) == nil {
			issuer = cert
			break
		}
		below = append(below, cert.Serial)
	}
	if issuer == nil {
		return nil, false, nil
	}
	for e, err := range list.Entries() {
		if err != nil {
			return nil, false, ca.InternalError(err) // parsing has read them all
		}
		revokes = revokes || slices.ContainsFunc(below[len(below)-1:], func(serial []byte) bool { return bytes.Equal(serial, e.Serial) })
	}
	return issuer, revokes, nil
}

func importFor(ctx context.Context, store CRLStore, g *ca.Generation, list *pkix.CRL, issuer *pkix.Certificate, by caller.Caller) (*ca.CRL, error) {
	keyID := issuer.Key.KeyID()
	if e, ok := pkix.FindExtension(issuer.Extensions, pkix.OIDSubjectKeyID); ok {
		id, err := pkix.ParseSubjectKeyID(e.Value)
		if err != nil {
			return nil, ca.Wrap(ca.BadRequest, err, "the certificate of the list's issuer has a malformed key identifier")
		}
		keyID = id
	}
	c := &ca.CRL{Tenant: g.Tenant, CA: g.CA, Scope: ca.ImportedCRLScope(keyID), Number: list.ThisUpdate.Unix(),
		ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Entries: list.Count, SHA256: sha256.Sum256(list.Raw), Size: len(list.Raw), DER: list.Raw}
	if err := newer(ctx, store, c, list); err != nil {
		return nil, err
	}
	detail, err := json.Marshal(map[string]any{"ca": c.CA, "scope": c.Scope, "number": c.Number, "entries": c.Entries,
		"next_update": stamp(c.NextUpdate), "sha256": hex.EncodeToString(c.SHA256[:])})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return c, store.PublishCRL(ctx, nil, c, ca.Audit{Tenant: c.Tenant, Event: "crl.imported", Actor: by.ID(), Trace: ca.NewTrace(), Detail: detail})
}

// newer refuses a list whose own number is not higher than the last one's: it
// would bring certificates back.
func newer(ctx context.Context, store CRLStore, c *ca.CRL, list *pkix.CRL) error {
	heads, err := store.CRLHeads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if h.Tenant != c.Tenant || h.CA != c.CA || h.Scope != c.Scope {
			continue
		}
		last, err := store.CRL(ctx, h.Tenant, h.CA, h.Scope, h.Complete)
		if err != nil {
			return err
		}
		before, err := pkix.ParseCRL(last.DER)
		if err != nil {
			return ca.InternalError(err)
		}
		if before.Number != nil && (list.Number == nil || list.Number.Cmp(before.Number) <= 0) {
			return ca.Errorf(ca.Conflict, "CRL number %v was imported already, and this one is %v: CRL numbers rise (RFC 5280 section 5.2.3)", before.Number, list.Number)
		}
	}
	return nil
}

package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// BackupRow makes the audit row of a backup or of a restore: event is
// "backup.created" or "store.restored", sha256 the hexadecimal digest of the archive,
// at the moment that it shows.
func BackupRow(event, sha256 string, schema int64, at time.Time, by caller.Caller) (ca.Audit, error) {
	if err := installationOperator(by); err != nil {
		return ca.Audit{}, err
	}
	detail, err := json.Marshal(map[string]any{"sha256": sha256, "schema": schema, "at": stamp(at)})
	if err != nil {
		return ca.Audit{}, ca.InternalError(err)
	}
	return ca.Audit{Tenant: ca.Installation, Event: event, Actor: by.ID(), Trace: ca.NewTrace(), Detail: detail}, nil
}

// LastList reads a CRL that a lost store published: DER or one PEM block, of
// any age, and complete or a shard. It gives the list with its number.
func LastList(data []byte) (list *pkix.CRL, number int64, err error) {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err = pkix.ParseCRL(data)
	switch {
	case err != nil:
		return nil, 0, ca.Wrap(ca.BadRequest, err, "the file is not a CRL that can be read here")
	case list.Base != nil:
		return nil, 0, ca.Errorf(ca.BadRequest, "the file is a delta CRL; give the complete list")
	case list.Number == nil || list.Number.Cmp(big.NewInt(1<<62)) > 0:
		return nil, 0, ca.Errorf(ca.BadRequest, "the CRL has no number, or none that this program gives")
	}
	return list, list.Number.Int64(), nil
}

// RelistStore is what Relist needs of a store.
type RelistStore interface {
	ca.Ledger
	ca.Generations
}

// Relisted is what Relist found in a list.
type Relisted struct {
	Tenant  string   `json:"tenant"`
	CA      string   `json:"ca"`
	Number  int64    `json:"number"`
	Entries int      `json:"entries"`
	Revoked int      `json:"revoked"` // that the store did not know of, and knows now
	Unknown []string `json:"unknown"` // serial numbers of certificates that the store does not have, at most 1,000 of them
	More    int      `json:"more_unknown,omitempty"`
}

const maxUnknown = 1000

// Relist revokes again what a list says is revoked and a restored store does not
// know of. The list must be signed by a CA of the tenants, NotFound where it is
// not. When it was revoked is lost: the revocations are of now.
func Relist(ctx context.Context, store RelistStore, tenants []string, list *pkix.CRL, actor func(tenant string) (caller.Caller, error)) (*Relisted, error) {
	g, err := signerAmong(ctx, store, tenants, list)
	if err != nil {
		return nil, err
	}
	by, err := actor(g.Tenant)
	if err != nil {
		return nil, err
	}
	done := &Relisted{Tenant: g.Tenant, CA: g.CA, Number: list.Number.Int64(), Entries: list.Count, Unknown: []string{}}
	for e, err := range list.Entries() {
		if err != nil {
			return done, ca.InternalError(err) // parsing has read them all
		}
		switch changed, err := relist(ctx, store, g, e, by); {
		case ca.IsKind(err, ca.NotFound) && len(done.Unknown) < maxUnknown:
			done.Unknown = append(done.Unknown, hex.EncodeToString(e.Serial))
		case ca.IsKind(err, ca.NotFound):
			done.More++
		case err != nil:
			return done, err
		case changed:
			done.Revoked++
		}
	}
	return done, nil
}

// signerAmong finds the generation that signed a list.
func signerAmong(ctx context.Context, store ca.Generations, tenants []string, list *pkix.CRL) (*ca.Generation, error) {
	for _, tenant := range tenants {
		all, err := store.Generations(ctx, tenant)
		if err != nil {
			return nil, err
		}
		for i := range all {
			cert, err := pkix.ParseCertificate(all[i].DER)
			if err != nil {
				return nil, ca.InternalError(err)
			}
			if list.CheckIssuer(cert) == nil {
				return &all[i], nil
			}
		}
	}
	return nil, ca.Errorf(ca.NotFound, "no CA of this store signed the CRL of %q", list.Issuer)
}

// relist gives NotFound where the store does not have the certificate.
func relist(ctx context.Context, store ca.Ledger, g *ca.Generation, e pkix.CRLEntry, by caller.Caller) (changed bool, err error) {
	if len(e.Serial) != ca.SerialSize {
		return false, ca.Errorf(ca.NotFound, "the serial number is not one of this program's")
	}
	serial, reason := ca.Serial(e.Serial), ca.Reason(e.Reason)
	c, err := store.Certificate(ctx, g.Tenant, g.CA, serial)
	if err != nil {
		return false, err
	}
	if c.State == ca.Revoked || c.State == ca.Held && reason == ca.CertificateHold {
		return false, nil
	}
	shard, err := ca.CRLShard(c.DER)
	if err != nil {
		return false, ca.InternalError(err)
	}
	detail, err := json.Marshal(map[string]string{"ca": g.CA, "serial": serial.String(), "reason": reason.String(), "from": "CRL of the lost store"})
	if err != nil {
		return false, ca.InternalError(err)
	}
	event := "certificate.revoked"
	if reason == ca.CertificateHold {
		event = "certificate.held"
	}
	_, err = store.Revoke(ctx, &ca.Revocation{Tenant: g.Tenant, CA: g.CA, Serial: serial, Reason: reason, Invalid: e.Invalid, Shard: shard,
		BlockKey: reason == ca.KeyCompromise, Audit: ca.Audit{Tenant: g.Tenant, Event: event, Actor: by.ID(), Trace: ca.NewTrace(), Detail: detail}})
	return err == nil, err
}

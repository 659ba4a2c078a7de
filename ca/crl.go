package ca

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// ForeignCRLPrefix begins the scopes of lists that are kept and not published.
const ForeignCRLPrefix = "foreign-"

// MaxCRLShards bounds how many shards a CA's CRL may have.
const MaxCRLShards = 4096

// CRL is one published certificate revocation list.
//
// Its scope says what it covers and is the last segment of its address: gN is
// every certificate of a CA, signed by its generation N; gN-sM is shard M of
// it; issuer-KEYID is an imported list, by the subject key identifier of the CA
// certificate that signed it; foreign-KEYID is a list of a CA that is not ours,
// kept for answering OCSP from it and not published. A scope's complete and delta lists share one
// sequence of numbers (RFC 5280 section 5.2.3).
type CRL struct {
	Tenant, CA string
	Scope      string
	Number     int64
	Base       int64 // of a delta: the number of the complete list that it starts from; 0: a complete list
	Position   int64 // of the status feed; every change up to it is taken into account
	ThisUpdate time.Time
	NextUpdate time.Time
	URLs       []string // distribution points that certificates of this scope name or ever named
	Entries    int
	SHA256     [32]byte // of DER
	Size       int      // octets of DER
	DER        []byte
}

// CRLHead says where a scope stands.
type CRLHead struct {
	Tenant, CA string
	Scope      string
	Number     int64 // of the newest list of either kind
	Position   int64 // of that list
	Complete   int64 // number of the newest complete list
	Delta      int64 // number of the newest delta; 0: none yet
}

// CRLs remembers published lists. What every list was (number, position,
// digest, times) is kept for ever; the bytes of superseded ones go.
type CRLs interface {
	// PublishCRL records a list together with its audit row. Conflict, and
	// nothing is recorded, unless its number is higher than every one of the
	// scope and its position not lower: a publisher that was paused comes too
	// late. With a lease also where that is lost. A delta needs its base to be
	// the newest complete list of the scope or an older one.
	PublishCRL(ctx context.Context, l *Lease, c *CRL, a Audit) error
	// CRLHeads lists the scopes of every tenant.
	CRLHeads(ctx context.Context) ([]CRLHead, error)
	// CRL gives one list with its bytes, NotFound where it never was or its bytes are gone.
	CRL(ctx context.Context, tenant, ca, scope string, number int64) (*CRL, error)
}

// CRLPart is how much of a list stores write in one go, in octets, so that a
// large one does not keep issuance waiting.
const CRLPart = 1 << 20

// CRLsKept is how many lists of each kind and scope keep their bytes in a
// store: replicas read the newest, and one that reads while the next is
// published its forerunner.
const CRLsKept = 2

// TooLate is the Conflict of a list that a scope has no place for any more:
// another publisher was first, with this number or with the parts or the base
// that this one was to stand on.
func (c *CRL) TooLate() error {
	return Errorf(Conflict, "CRL %s number %d comes too late: another publisher was first; the newest list is served, and the next is made from the status feed", c.Scope, c.Number)
}

// Check says what no store may take, as Internal: a list that contradicts itself.
func (c *CRL) Check() error {
	switch {
	case c.Tenant == "" || c.CA == "" || c.Scope == "":
		return InternalError(fmt.Errorf("a CRL belongs to nobody"))
	case c.Number <= 0 || c.Base < 0 || c.Base >= c.Number || c.Position < 0:
		return InternalError(fmt.Errorf("CRL %s has number %d, base %d and position %d", c.Scope, c.Number, c.Base, c.Position))
	case len(c.DER) == 0 || c.Size != len(c.DER) || c.SHA256 != sha256.Sum256(c.DER):
		return InternalError(fmt.Errorf("CRL %s does not have the bytes it says", c.Scope))
	}
	return nil
}

// CRLScope names a scope of a generation; shard 0 is every certificate of the CA.
func CRLScope(generation, shard int) string {
	if shard == 0 {
		return fmt.Sprintf("g%d", generation)
	}
	return fmt.Sprintf("g%d-s%d", generation, shard)
}

// ImportedCRLScope names the scope of an imported list, by the subject key
// identifier of the CA certificate that signed it.
func ImportedCRLScope(keyID []byte) string { return "issuer-" + hex.EncodeToString(keyID) }

// ParseCRLScope reads what CRLScope writes.
func ParseCRLScope(scope string) (generation, shard int, ok bool) {
	g, s, sharded := strings.Cut(scope, "-s")
	rest, ours := strings.CutPrefix(g, "g")
	generation, err := strconv.Atoi(rest)
	if !ours || err != nil || generation < 1 {
		return 0, 0, false
	}
	if sharded {
		if shard, err = strconv.Atoi(s); err != nil || shard < 1 || shard > MaxCRLShards {
			return 0, 0, false
		}
	}
	return generation, shard, CRLScope(generation, shard) == scope
}

// CRLPath is where the complete list of a scope is published.
func CRLPath(tenant, ca, scope string) string {
	return "/crl/" + tenant + "/" + ca + "/" + scope + ".crl"
}

// DeltaCRLPath is where the delta of a scope is published.
func DeltaCRLPath(tenant, ca, scope string) string { return CRLPath(tenant, ca, scope+"-delta") }

// Shard gives the serial's shard of n: 1 + (its first 4 random octets mod n).
func (s Serial) Shard(n int) int { return 1 + int(binary.BigEndian.Uint32(s[2:6])%uint32(n)) }

// CRLShard gives the shard that an issued certificate names in its
// cRLDistributionPoints, 0 where it names none. The certificate is the record:
// how many shards there are may have changed since.
func CRLShard(der []byte) (int, error) {
	c, err := pkix.ParseCertificate(der)
	if err != nil {
		return 0, err
	}
	ext, ok := pkix.FindExtension(c.Extensions, pkix.OIDCRLDistPoints)
	if !ok {
		return 0, nil
	}
	urls, err := pkix.ParseCRLDistributionPoints(ext.Value)
	if err != nil || len(urls) == 0 {
		return 0, err
	}
	last := urls[0][strings.LastIndexByte(urls[0], '/')+1:]
	_, shard, _ := ParseCRLScope(strings.TrimSuffix(last, ".crl"))
	return shard, nil
}

package foreign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// MaxList bounds a list that is fetched, in octets: a million and a half entries.
const MaxList = 64 << 20

// ahead is how far another machine's clock may be.
const ahead = 5 * time.Minute

// Read reads the complete CRL of issuer, DER or one PEM block, and checks
// whose it is: name, key identifier, the right to sign lists, signature and
// scope (RFC 5280 section 6.3.3). It says nothing of times.
func Read(data []byte, issuer *pkix.Certificate) (*List, []byte, error) {
	if len(data) > MaxList {
		return nil, nil, fmt.Errorf("the CRL is longer than %d octets", MaxList)
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, nil, errors.New("the PEM block is no X509 CRL")
		}
		data = block.Bytes
	}
	c, err := pkix.ParseCRL(data)
	switch {
	case err != nil:
		return nil, nil, err
	case c.Base != nil:
		return nil, nil, errors.New("this is a delta CRL; the complete one is wanted")
	case c.Points != nil:
		return nil, nil, errors.New("the CRL covers one distribution point alone; the complete one is wanted (RFC 5280 section 5.2.5)")
	case c.NextUpdate.IsZero() || !c.NextUpdate.After(c.ThisUpdate):
		return nil, nil, errors.New("the CRL has no nextUpdate after its thisUpdate (RFC 5280 section 5.1.2.5)")
	}
	if err := c.CheckIssuer(issuer); err != nil {
		return nil, nil, err
	}
	l, err := newList(c, sha256.Sum256(data))
	return l, data, err
}

// follows tells why a list must not take the place of last, which may be nil.
func (l *List) follows(last *List, now time.Time) error {
	switch {
	case !l.Next.After(now):
		return fmt.Errorf("the CRL ended at %s", stamp(l.Next))
	case l.This.After(now.Add(ahead)):
		return fmt.Errorf("the CRL begins at %s; one of the clocks is wrong", stamp(l.This))
	case last == nil:
		return nil
	case !l.This.After(last.This):
		return fmt.Errorf("the CRL of %s is not newer than that of %s, which was taken before: it would bring certificates back", stamp(l.This), stamp(last.This))
	case last.Number != nil && (l.Number == nil || l.Number.Cmp(last.Number) <= 0):
		return fmt.Errorf("CRL number %v does not follow %v, which was taken before (RFC 5280 section 5.2.3)", l.Number, last.Number)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// scopeOf names the lists of a foreign CA's key in the store.
func scopeOf(issuer *pkix.Certificate) string {
	return scopePrefix + hex.EncodeToString(issuer.Key.KeyID())
}

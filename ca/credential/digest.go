package credential

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/enrollgate/enrollgate/ca/seal"
)

// digestHeader begins what is kept of a password that is made here. It has as
// many random bits as the digest, so that argon2id would only cost time.
const digestHeader = "$hmac-sha256$"

// digest keeps a password that is made here: a keyed HMAC over it and where it belongs.
func (r *Registry) digest(ctx context.Context, into *Record, s Secret) error {
	keys, err := r.keys.Keys(ctx, seal.Lookup)
	if err != nil {
		return err
	}
	into.Secret = passwordDigest(keys.Current, into.Tenant, into.ID, s.Text())
	return nil
}

// matches tells whether a password is the one that is kept, in either form.
func (r *Registry) matches(ctx context.Context, record *Record, password string) (bool, error) {
	if strings.HasPrefix(string(record.Secret), digestHeader) {
		return r.digests(ctx, record, password)
	}
	return r.compare(ctx, string(record.Secret), password)
}

// digests tells whether a password is the one that digest kept, under any
// version of the data key.
func (r *Registry) digests(ctx context.Context, record *Record, password string) (bool, error) {
	keys, err := r.keys.Keys(ctx, seal.Lookup)
	if err != nil {
		return false, err
	}
	same := false
	for _, k := range keys.All {
		same = hmac.Equal(passwordDigest(k, record.Tenant, record.ID, password), record.Secret) || same
	}
	return same, nil
}

func passwordDigest(k seal.Key, tenant, id, password string) []byte {
	mac := hmac.New(sha256.New, k.Secret())
	fmt.Fprintf(mac, "enrollgate/credential/password/1\x00%d\x00%s\x00%d\x00%s\x00%s", len(tenant), tenant, len(id), id, password) // never fails
	return []byte(digestHeader + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)))
}

// MadeHere tells whether a name has the form of the ids that we make: 80 random
// bits, so that nobody finds one by trying.
func MadeHere(id string) bool {
	return len(id) == idSize && strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

package seal

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
)

// Rewrap puts every data key under another key-encryption key, all or none, in
// one commit with the audit row. What the data keys sealed is not touched. Other
// processes keep the keys that they have read; they must be started with the new
// key-encryption key to read them again. It gives the number of keys.
func (r *Keyring) Rewrap(ctx context.Context, next *Keyring, a ca.Audit) (int, error) {
	if next.kekID == r.kekID {
		return 0, ca.Errorf(ca.BadRequest, "the new key-encryption key is the same as the old one: make another with `openssl rand -base64 32`")
	}
	from, err := r.store.DataKeys(ctx)
	if err != nil {
		return 0, err
	}
	if len(from) == 0 {
		return 0, ca.Errorf(ca.NotFound, "the store has no data keys yet: set seal.key to the new key and start")
	}
	to := make([]WrappedKey, len(from))
	for i, row := range from {
		k, err := r.unwrap(row)
		if err != nil {
			return 0, err
		}
		from[i].KEK = r.kekID
		to[i] = next.wrap(k, row.Purpose)
	}
	return len(from), r.store.Rewrap(ctx, from, to, a)
}

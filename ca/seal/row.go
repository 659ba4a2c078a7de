package seal

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/enrollgate/enrollgate/ca"
)

// A sealed row is one octet of format, four of the data key's version, and what
// AES-256-GCM makes of the plaintext: 12 octets of nonce, ciphertext, 16 of tag.
const (
	rowFormat = 1
	rowHeader = 5
)

// errRow never says what is wrong, only that the row is not what was sealed.
var errRow = errors.New("seal: the row does not open: it belongs to another row, tenant or purpose, or was changed")

// Seal encrypts a row's secret with the current data key of the purpose. Tenant,
// row id, purpose and version are bound to it: it opens for no other.
func (r *Keyring) Seal(ctx context.Context, p Purpose, tenant, rowID string, plaintext []byte) ([]byte, error) {
	set, err := r.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(set.Current.secret[:])
	if err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint32([]byte{rowFormat}, uint32(set.Current.Version))
	return aead.Seal(out, nil, plaintext, rowData(out, p, tenant, rowID)), nil
}

// Open decrypts what Seal made for the same purpose, tenant and row id, with
// whichever version it was sealed. The error is of kind Internal.
func (r *Keyring) Open(ctx context.Context, p Purpose, tenant, rowID string, sealed []byte) ([]byte, error) {
	if len(sealed) < rowHeader || sealed[0] != rowFormat {
		return nil, ca.InternalError(errRow)
	}
	set, err := r.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	version := binary.BigEndian.Uint32(sealed[1:rowHeader])
	for range 2 { // the second time with what another replica may have added since
		for _, k := range set.All {
			if uint32(k.Version) != version {
				continue
			}
			aead, err := newAEAD(k.secret[:])
			if err != nil {
				return nil, err
			}
			plain, err := aead.Open(nil, nil, sealed[rowHeader:], rowData(sealed[:rowHeader], p, tenant, rowID))
			if err != nil {
				return nil, ca.InternalError(errRow)
			}
			return plain, nil
		}
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		if set = r.Cached(p); set == nil {
			break
		}
	}
	return nil, ca.InternalError(errRow)
}

// rowData is the associated data: every field with its length, so that no two
// lists of fields are the same octets.
func rowData(header []byte, p Purpose, tenant, rowID string) []byte {
	out := []byte("enrollgate/seal/row/1")
	for _, field := range []string{string(header), string(p), tenant, rowID} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
		out = append(out, field...)
	}
	return out
}

package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// RotatedKey is a data key that RotateDataKeys added.
type RotatedKey struct {
	Purpose string `json:"purpose"`
	Version int    `json:"version"`
}

// AllPurposes stands for every purpose in RotateDataKeys.
const AllPurposes = "all"

// RotateDataKeys adds a version of the data keys of one purpose, or of all, each
// with its audit row. It is used 30 s later, when every replica has read it.
func RotateDataKeys(ctx context.Context, ring *seal.Keyring, purpose string, actor caller.Caller) ([]RotatedKey, error) {
	if err := installationOperator(actor); err != nil {
		return nil, err
	}
	purposes := seal.Purposes()
	if purpose != AllPurposes {
		if !slices.Contains(purposes, seal.Purpose(purpose)) {
			return nil, ca.Errorf(ca.BadRequest, "no data key has the purpose %q; there are %v, and all of them: %s", purpose, purposes, AllPurposes)
		}
		purposes = []seal.Purpose{seal.Purpose(purpose)}
	}
	var done []RotatedKey
	for _, p := range purposes {
		version, err := ring.Rotate(ctx, p, ca.Audit{Tenant: ca.Installation, Event: "seal.rotated", Actor: actor.ID(), Trace: ca.NewTrace()})
		if err != nil {
			return done, fmt.Errorf("data key of purpose %s: %w", p, err)
		}
		done = append(done, RotatedKey{string(p), version})
	}
	return done, nil
}

// ChangeSealKey puts every data key under another key-encryption key, all or
// none, and gives their number.
func ChangeSealKey(ctx context.Context, ring, next *seal.Keyring, actor caller.Caller) (int, error) {
	if err := installationOperator(actor); err != nil {
		return 0, err
	}
	return ring.Rewrap(ctx, next, ca.Audit{Tenant: ca.Installation, Event: "seal.key_changed", Actor: actor.ID(), Trace: ca.NewTrace(), Detail: []byte("{}")})
}

// SignTrail makes a checkpoint of every chain that has rows after its last one,
// the row that says so included, and gives their number.
func SignTrail(ctx context.Context, store audit.Store, signer *audit.Signer, actor caller.Caller) (int, error) {
	if err := installationOperator(actor); err != nil {
		return 0, err
	}
	err := store.Append(ctx, ca.Audit{Tenant: ca.Installation, Event: "audit.signed", Actor: actor.ID(), Trace: ca.NewTrace(), Detail: []byte("{}")})
	if err != nil {
		return 0, err
	}
	return signer.All(ctx)
}

func installationOperator(actor caller.Caller) error {
	if !actor.Verified() || actor.Door() != caller.Operator || actor.Tenant() != ca.Installation {
		return ca.Errorf(ca.BadProof, "this needs an operator of the installation")
	}
	return nil
}

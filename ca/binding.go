package ca

import (
	"bytes"
	"errors"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// bound holds what would be certified against the credential that the caller was
// let in by. Names are all that the certificate would have; key is zero where it
// is not known yet.
func bound(c caller.Caller, profile string, names []pkix.GeneralName, key pkix.PublicKey) error {
	b, ok := c.Binding()
	if !ok {
		return nil
	}
	deny := func(field, text string, args ...any) error {
		err := Errorf(Denied, text, args...)
		err.Field, err.Rule = field, "credential "+b.Credential
		return err
	}
	if b.Profile != "" && b.Profile != profile {
		return deny("profile", "the credential of this caller is for another profile")
	}
	if hash := key.Hash(); !key.IsZero() && len(b.KeyHash) > 0 && !bytes.Equal(b.KeyHash, hash[:]) {
		return deny("key", "the credential of this caller is for another key")
	}
	if len(b.Names) == 0 {
		return nil
	}
	patterns := make([]claim.Pattern, len(b.Names))
	for i, text := range b.Names {
		var err error
		if patterns[i], err = claim.ParsePattern(text); err != nil {
			return InternalError(errors.Join(errors.New("a stored credential has a name pattern that cannot be read"), err))
		}
	}
next:
	for _, n := range names {
		for _, p := range patterns {
			if p.Matches(n) {
				continue next
			}
		}
		return deny(n.String(), "the credential of this caller does not allow the name")
	}
	return nil
}

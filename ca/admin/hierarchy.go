// Package admin holds the operations behind the command line and the
// administrative socket; each writes an audit row with its actor.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// Lifetimes of CA certificates where nothing else is asked.
const (
	RootYears    = hierarchy.RootYears
	IssuingYears = hierarchy.IssuingYears
)

// NewHierarchy asks for a two-tier hierarchy: a root that signs one issuing CA.
type NewHierarchy struct {
	Tenant     string
	CA         string // id of the issuing CA
	Name       string // organization in both subjects
	RootKey    string // key URI; the key is made here
	IssuingKey string
	Algorithm  string      // keys.Algorithms()
	Secret     keys.Secret // of the issuing key
	RootSecret keys.Secret // of the root key
	Actor      caller.Caller
	Now        time.Time
}

// CreateHierarchy makes both keys and certificates and records the issuing
// CA's first generation. Keys that exist already are used, so that an
// interrupted run can be repeated. The result is that generation.
func CreateHierarchy(ctx context.Context, store ca.Generations, ring *keys.Ring, linter ca.Linter, in NewHierarchy) (*ca.Generation, error) {
	if !in.Actor.Verified() || in.Actor.Tenant() != in.Tenant {
		return nil, ca.Errorf(ca.BadProof, "creating a CA needs an operator of the tenant")
	}
	root, rootPublic, err := hierarchy.OpenOrMake(ctx, ring, in.RootKey, in.Algorithm, in.RootSecret)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	_, issuingPublic, err := hierarchy.OpenOrMake(ctx, ring, in.IssuingKey, in.Algorithm, in.Secret)
	if err != nil {
		return nil, fmt.Errorf("issuing key: %w", err)
	}
	if bytes.Equal(rootPublic.Raw(), issuingPublic.Raw()) {
		return nil, errors.New("root and issuing CA must not share a key")
	}
	rootName, err := hierarchy.Name(in.Name, in.Name+" Root CA")
	if err != nil {
		return nil, err
	}
	issuingName, err := hierarchy.Name(in.Name, hierarchy.IssuingName(in.Name, in.CA, ca.FirstGeneration))
	if err != nil {
		return nil, err
	}
	maker := hierarchy.Maker{Linter: linter, Tenant: in.Tenant, Signer: root, Public: rootPublic, KeyID: rootPublic.KeyID(), Issuer: rootName}
	start := in.Now.UTC().Add(-time.Minute).Truncate(time.Second)
	rootDER, err := maker.Make(ctx, hierarchy.Order{Subject: rootName, Key: rootPublic, PathLen: -1, NotBefore: start, NotAfter: start.AddDate(RootYears, 0, 0)})
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	issuingDER, err := maker.Make(ctx, hierarchy.Order{Subject: issuingName, Key: issuingPublic, NotBefore: start, NotAfter: start.AddDate(IssuingYears, 0, 0)})
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	g := &ca.Generation{Tenant: in.Tenant, CA: in.CA, Number: 1, KeyURI: in.IssuingKey, DER: issuingDER, Root: rootDER}
	detail, err := json.Marshal(map[string]string{"ca": in.CA, "subject": issuingName.String(), "key": in.Algorithm,
		"key_id": fmt.Sprintf("%x", issuingPublic.KeyID()), "root": rootName.String()})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return g, store.AddGeneration(ctx, g, ca.Audit{Tenant: in.Tenant, Event: "ca.created", Actor: in.Actor.ID(), Detail: detail})
}

// Package admin holds the operations behind the command line and the
// administrative socket; each writes an audit row with its actor.
package admin

import (
	"bytes"
	"cmp"
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
	BaseURL    string      // where the tenant's CRLs are published; empty: nowhere, and the issuing certificate names none
	ListDays   int         // how long the root's first CRL is good; 0: hierarchy.FirstListDays
	Actor      caller.Caller
	Now        time.Time
}

// Hierarchy is what CreateHierarchy made.
type Hierarchy struct {
	*ca.Generation        // the issuing CA's first
	RootList       []byte // the root's first CRL, DER
}

// CreateHierarchy makes both keys and certificates and the root's first CRL. It
// records the issuing CA's first generation, and the list as ImportCRL does, so
// that whoever checks the issuing certificate finds it. Keys that exist already
// are used, so that an interrupted run can be repeated.
func CreateHierarchy(ctx context.Context, store CRLStore, ring *keys.Ring, linter ca.Linter, in NewHierarchy) (*Hierarchy, error) {
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
	var points []string
	if in.BaseURL != "" {
		points = append(points, in.BaseURL+ca.CRLPath(in.Tenant, in.CA, ca.ImportedCRLScope(maker.KeyID)))
	}
	issuingDER, err := maker.Make(ctx, hierarchy.Order{Subject: issuingName, Key: issuingPublic, CDP: points, NotBefore: start, NotAfter: start.AddDate(IssuingYears, 0, 0)})
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	list, err := maker.FirstList(ctx, in.Now, cmp.Or(in.ListDays, hierarchy.FirstListDays))
	if err != nil {
		return nil, fmt.Errorf("the root's first CRL: %w", err)
	}
	g := &ca.Generation{Tenant: in.Tenant, CA: in.CA, Number: 1, KeyURI: in.IssuingKey, DER: issuingDER, Root: rootDER}
	detail, err := json.Marshal(map[string]string{"ca": in.CA, "subject": issuingName.String(), "key": in.Algorithm,
		"key_id": fmt.Sprintf("%x", issuingPublic.KeyID()), "root": rootName.String()})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	if err := store.AddGeneration(ctx, g, ca.Audit{Tenant: in.Tenant, Event: "ca.created", Actor: in.Actor.ID(), Detail: detail}); err != nil {
		return nil, err
	}
	made := &Hierarchy{g, list}
	if _, err := ImportCRL(ctx, store, in.Tenant, list, in.Actor, in.Now); err != nil {
		return made, fmt.Errorf("the CA was made, but its root's first CRL was not recorded; hand it over with `enrollgate crl import`: %w", err)
	}
	return made, nil
}

package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// credentialKinds says which kind of credential a door's holders get.
var credentialKinds = map[caller.Door]credential.Kind{caller.ACME: credential.HMACKey, caller.EST: credential.Password, caller.SCEP: credential.OneTime}

const (
	maxBindingText = 256 // octets of a subject or device
	maxPatterns    = 100
	maxUses        = 1 << 30
	maxLifetime    = 100 * 366 * 24 * time.Hour
	credentialPage = 500 // a page of a list
)

// NewCredential says what a credential is to be.
type NewCredential struct {
	Tenant     string
	Door       caller.Door
	Profile    string // the one profile that may be issued under; empty: every one
	Endpoints  []string
	Subject    string
	Device     string
	Names      []string // see claim.ParsePattern
	CommonName string   // the one CN that may be certified; empty: see caller.Binding
	KeyHash    string   // 64 hexadecimal digits, or empty
	Uses       int      // or credential.Unlimited
	Lifetime   time.Duration
	Actor      caller.Caller
	Now        time.Time

	// Administrator makes a user who fetches one-time secrets of SCEP for others,
	// and is bound to nothing but endpoints and a profile.
	Administrator bool

	// DecryptKey makes a secret that keys which EST makes for clients are encrypted
	// under (RFC 7030 section 4.4.1.1). It lets nobody in, has no limit of uses and
	// is bound to nothing but endpoints and a profile.
	DecryptKey bool
}

// CreateCredential registers a credential with its audit row. Its secret is in
// the answer and can be read nowhere else. BadRequest where n does not hold
// together.
func CreateCredential(ctx context.Context, registry *credential.Registry, n NewCredential) (*credential.Credential, credential.Secret, error) {
	fail := func(format string, args ...any) (*credential.Credential, credential.Secret, error) {
		return nil, credential.Secret{}, ca.Errorf(ca.BadRequest, format, args...)
	}
	if err := credentialOperator(n.Actor, n.Tenant); err != nil {
		return nil, credential.Secret{}, err
	}
	kind, ok := credentialKinds[n.Door]
	if !ok {
		return fail("protocol %q has no credentials", n.Door)
	}
	switch {
	case n.Uses != credential.Unlimited && (n.Uses < 1 || n.Uses > maxUses):
		return fail("a credential is good for 1 to %d uses, or without limit", maxUses)
	case n.Lifetime <= 0 || n.Lifetime > maxLifetime:
		return fail("a credential lives for up to 100 years from now")
	case n.Administrator && n.Door != caller.SCEP:
		return fail("an administrator fetches one-time secrets of SCEP: protocol %q has none", n.Door)
	case n.Administrator && (n.Uses != credential.Unlimited || n.Device != "" || len(n.Names) > 0 || n.CommonName != "" || n.KeyHash != ""):
		return fail("an administrator gets no certificate: it is bound to endpoints and a profile alone, and has uses without limit")
	case n.DecryptKey && n.Door != caller.EST:
		return fail("keys are encrypted for clients of EST alone: protocol %q has no decrypt keys", n.Door)
	case n.DecryptKey && (n.Uses != credential.Unlimited || n.Device != "" || len(n.Names) > 0 || n.CommonName != "" || n.KeyHash != ""):
		return fail("a decrypt key gets no certificate: it is bound to endpoints and a profile alone, and has uses without limit")
	case len(n.Names) > maxPatterns:
		return fail("a credential has at most %d name patterns", maxPatterns)
	}
	for what, text := range map[string]string{"subject": n.Subject, "device": n.Device, "common name": n.CommonName} {
		if len(text) > maxBindingText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fail("the %s has at most %d octets of UTF-8 without control characters", what, maxBindingText)
		}
	}
	if n.CommonName != "" {
		if _, err := pkix.NewAttribute(pkix.OID{2, 5, 4, 3}, n.CommonName); err != nil { // X.520: 64 characters
			return fail("the common name: %v", err)
		}
	}
	for _, text := range n.Names {
		if _, err := claim.ParsePattern(text); err != nil {
			return fail("name pattern %q: %v", text, err)
		}
	}
	hash, err := hex.DecodeString(n.KeyHash)
	if err != nil || len(hash) != 0 && len(hash) != 32 {
		return fail("the key's hash is the SHA-256 of its SubjectPublicKeyInfo: 64 hexadecimal digits")
	}
	if len(hash) == 0 {
		hash = nil
	}
	switch {
	case n.Administrator:
		kind = credential.Password
	case n.DecryptKey:
		kind = credential.Code
	}
	c := credential.Credential{Tenant: n.Tenant, ID: ca.RandomID(16), Kind: kind, Door: n.Door, Endpoints: n.Endpoints, Granted: n.Uses, Left: n.Uses,
		Expires: n.Now.Add(n.Lifetime).UTC().Truncate(time.Microsecond),
		Binding: caller.Binding{Profile: n.Profile, Subject: n.Subject, Device: n.Device, Names: n.Names, CommonName: n.CommonName, KeyHash: hash}}
	audit, err := credentialAudit("credential.created", &c, n.Actor)
	if err != nil {
		return nil, credential.Secret{}, err
	}
	return registry.Create(ctx, c, "", audit)
}

// RevokeCredential ends a credential with its audit row. Accounts that were made
// with it stay. NotFound where the tenant has none of that id, Conflict where it
// was revoked before.
func RevokeCredential(ctx context.Context, store credential.Store, tenant, id string, actor caller.Caller) (*credential.Credential, error) {
	if err := credentialOperator(actor, tenant); err != nil {
		return nil, err
	}
	r, err := store.Credential(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	audit, err := credentialAudit("credential.revoked", &r.Credential, actor)
	if err != nil {
		return nil, err
	}
	if err := store.RevokeCredential(ctx, tenant, id, audit); err != nil {
		return nil, err
	}
	if r, err = store.Credential(ctx, tenant, id); err != nil {
		return nil, err
	}
	return &r.Credential, nil
}

// ListCredentials gives a tenant's credentials by id, without their secrets.
func ListCredentials(ctx context.Context, store credential.Store, tenant string) (all []credential.Credential, err error) {
	for after := ""; ; {
		page, err := store.Credentials(ctx, tenant, after, credentialPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			all, after = append(all, page[i].Credential), page[i].ID
		}
		if len(page) < credentialPage {
			return all, nil
		}
	}
}

func credentialOperator(actor caller.Caller, tenant string) error {
	if !actor.Verified() || actor.Door() != caller.Operator || actor.Tenant() != tenant {
		return ca.Errorf(ca.BadProof, "a credential needs an operator of its tenant")
	}
	return nil
}

func credentialAudit(event string, c *credential.Credential, actor caller.Caller) (ca.Audit, error) {
	detail, err := json.Marshal(map[string]any{"credential": c.ID, "kind": c.Kind, "protocol": c.Door, "profile": c.Binding.Profile,
		"endpoints": c.Endpoints, "subject": c.Binding.Subject, "device": c.Binding.Device, "names": c.Binding.Names, "common_name": c.Binding.CommonName,
		"key_sha256": hex.EncodeToString(c.Binding.KeyHash), "uses": c.Granted, "expires": c.Expires.Format(time.RFC3339)})
	if err != nil {
		return ca.Audit{}, ca.InternalError(err)
	}
	return ca.Audit{Tenant: c.Tenant, Event: event, Actor: actor.ID(), Trace: ca.NewTrace(), Detail: detail}, nil
}

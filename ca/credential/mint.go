package credential

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// MaxSecret bounds the secrets that are worth looking for, in octets.
const MaxSecret = 256

// Mint makes a one-time secret for an endpoint on behalf of a user of the registry
// who may fetch such secrets there, and records who that was. It is for the
// profile of the endpoint, and for what else the user is bound to. Denied for any
// other user.
func (r *Registry) Mint(ctx context.Context, by *Credential, e *ca.Endpoint, expires time.Time, trace string) (*Credential, Secret, error) {
	if !by.Administrator() || !by.Serves(e) {
		return nil, Secret{}, ca.Errorf(ca.Denied, "this user may not fetch secrets for the endpoint")
	}
	c := Credential{Tenant: e.Tenant, ID: ca.RandomID(idSize), Kind: OneTime, Door: e.Door, Endpoints: []string{e.ID}, Granted: 1, Left: 1,
		Expires: expires.UTC().Truncate(time.Microsecond)}
	c.Binding = by.Binding
	c.Binding.Profile, c.Binding.Names, c.Binding.KeyHash = e.Profile, slices.Clone(by.Binding.Names), slices.Clone(by.Binding.KeyHash)
	detail, err := json.Marshal(map[string]any{"credential": c.ID, "kind": c.Kind, "protocol": c.Door, "profile": e.Profile, "endpoints": c.Endpoints, "uses": c.Granted,
		"expires": c.Expires.Format(time.RFC3339)})
	if err != nil {
		return nil, Secret{}, ca.InternalError(errors.Join(errors.New("credential: mint"), err))
	}
	return r.Create(ctx, c, "", ca.Audit{Tenant: e.Tenant, Event: "credential.created", Actor: "credential:" + by.ID, Trace: trace, Detail: detail})
}

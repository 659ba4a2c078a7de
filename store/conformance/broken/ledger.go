package broken

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/trail"
)

func ledgerFlaws() []flaw {
	return slices.Concat(recordFlaws(), statusFlaws(), statusesFlaws(), crlFlaws(), serviceFlaws(), otherFlaws(), approvalFlaws(), replyFlaws(), tenantFlaws(), hookFlaws())
}

type revoker struct {
	conformance.Store
	revoke func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error)
}

func (r *revoker) Revoke(ctx context.Context, rev *ca.Revocation) (*ca.Status, error) {
	return r.revoke(ctx, r.Store, *rev)
}

func revoking(f func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error)) func(*conformance.Driver) {
	return func(d *conformance.Driver) { d.Store = &revoker{d.Store, f} }
}

func pretendedStatus(r ca.Revocation) *ca.Status {
	return &ca.Status{Position: 1, Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, State: ca.Revoked, Reason: r.Reason, Invalid: r.Invalid, At: time.Now()}
}

type feeder struct {
	conformance.Store
	change func([]ca.Status)
}

func (f *feeder) Feed(ctx context.Context, after int64, limit int) ([]ca.Status, error) {
	rows, err := f.Store.Feed(ctx, after, limit)
	f.change(rows)
	return rows, err
}

func statusFlaws() []flaw {
	return []flaw{
		{"revocation lost", []string{"Revoke", "Hold", "RevokeWithLostEffect", "BlockedKey"},
			revoking(func(_ context.Context, _ conformance.Store, r ca.Revocation) (*ca.Status, error) {
				return pretendedStatus(r), nil
			})},
		{"revocation refusals swallowed", []string{"RevokeUnknown", "RevokeTwice", "Hold", "RevokeRace", "TenantSwapRevoke"},
			revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
				s, err := next.Revoke(ctx, &r)
				if err != nil {
					return pretendedStatus(r), nil
				}
				return s, nil
			})},
		{"revocation's effects ignored", []string{"RevokeWithLostEffect", "ForeignEffect"},
			revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
				r.Effects = nil
				return next.Revoke(ctx, &r)
			})},
		{"reason lost", []string{"Revoke", "Hold"}, revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
			r.Reason = ca.Unspecified
			return next.Revoke(ctx, &r)
		})},
		{"block ignored", []string{"BlockedKey"}, revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
			r.BlockKey = false
			return next.Revoke(ctx, &r)
		})},
		{"revoked for good, whatever is proven", []string{"RevokeCompromised", "RevokeCompromisedRace"},
			revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
				c, err := next.Certificate(ctx, r.Tenant, r.CA, r.Serial)
				if err == nil && c.State == ca.Revoked {
					return nil, ca.Errorf(ca.Conflict, "the certificate is revoked already")
				}
				return next.Revoke(ctx, &r)
			})},
		{"a word taken for a proof", []string{"RevokeCompromised", "RevokeTwice"},
			revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
				r.BlockKey = r.BlockKey || r.Reason == ca.KeyCompromise
				return next.Revoke(ctx, &r)
			})},
		{"compromise moves the revocation", []string{"RevokeCompromised"},
			revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
				s, err := next.Revoke(ctx, &r)
				if err == nil && r.Proves() {
					s.At = time.Now().UTC().Truncate(time.Microsecond)
				}
				return s, err
			})},
		{"block for every reason", []string{"BlockedKey"}, revoking(func(ctx context.Context, next conformance.Store, r ca.Revocation) (*ca.Status, error) {
			r.BlockKey = true
			return next.Revoke(ctx, &r)
		})},
		{"feed order swapped", []string{"FeedOrder"}, func(d *conformance.Driver) { d.Store = &feeder{d.Store, slices.Reverse[[]ca.Status]} }},
		{"feed skips a row", []string{"FeedOrder"}, func(d *conformance.Driver) {
			d.Store = &feeder{d.Store, func(rows []ca.Status) {
				if len(rows) > 1 {
					rows[0] = rows[1]
				}
			}}
		}},
	}
}

// careless swallows conflicts and forgets where it must not.
type careless struct {
	conformance.Store
	what string
}

func (c *careless) swallow(what string, err error) error {
	if c.what == what && ca.IsKind(err, ca.Conflict) {
		return nil
	}
	return err
}

func (c *careless) KeepProfile(ctx context.Context, hash [32]byte, text []byte) error {
	err := c.Store.KeepProfile(ctx, hash, text)
	if c.what == "profile" {
		return nil
	}
	return err
}

func (c *careless) Note(a ca.Audit) {
	if c.what != "note" {
		c.Store.Note(a)
	}
}

func (c *careless) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*ca.Lease, error) {
	l, err := c.Store.Acquire(ctx, name, holder, ttl)
	if c.swallow("lease", err) == nil && err != nil {
		return &ca.Lease{Name: name, Holder: holder, Fence: 99, Until: time.Now().Add(ttl)}, nil
	}
	return l, err
}

func (c *careless) Held(l *ca.Lease) ca.Effect {
	if c.what == "held" {
		return c.Store.Post(conformance.Tenant, "held", []byte("1")) // lets everything through
	}
	return c.Store.Held(l)
}

func (c *careless) Delivered(ctx context.Context, tenant string, id int64) error {
	if c.what == "delivered" {
		return nil
	}
	return c.Store.Delivered(ctx, tenant, id)
}

func (c *careless) Waiting(ctx context.Context, limit int) ([]ca.Message, error) {
	all, err := c.Store.Waiting(ctx, limit)
	if c.what == "waiting" {
		slices.Reverse(all)
	}
	return all, err
}

func (c *careless) AddGeneration(ctx context.Context, g *ca.Generation, a ca.Audit) error {
	return c.swallow("generation", c.Store.AddGeneration(ctx, g, a))
}

func (c *careless) Activate(ctx context.Context, a *ca.Activation, audit ca.Audit) error {
	return c.swallow("activation", c.Store.Activate(ctx, a, audit))
}

func (c *careless) AddDataKey(ctx context.Context, k seal.WrappedKey, a ca.Audit) error {
	return c.swallow("data key", c.Store.AddDataKey(ctx, k, a))
}

func (c *careless) DataKeys(ctx context.Context) ([]seal.WrappedKey, error) {
	all, err := c.Store.DataKeys(ctx)
	if c.what == "data key's time" {
		for i := range all {
			all[i].CreatedAt = all[i].CreatedAt.AddDate(-1, 0, 0)
		}
	}
	return all, err
}

func (c *careless) Rewrap(ctx context.Context, from, to []seal.WrappedKey, a ca.Audit) error {
	switch c.what {
	case "rewrap":
		return nil
	case "what a rewrap replaces":
		all, err := c.Store.DataKeys(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		for i := range all {
			all[i].KEK = from[0].KEK
		}
		return c.swallow(c.what, c.Store.Rewrap(ctx, all, append(slices.Clone(to), all[len(to):]...), a))
	}
	return c.Store.Rewrap(ctx, from, to, a)
}

func (c *careless) AddCredential(ctx context.Context, r *credential.Record, a ca.Audit) error {
	switch {
	case c.what == "credential's tenant" && r.Tenant == conformance.OtherTenant:
		return ca.Errorf(ca.Conflict, "the credential id is taken")
	case c.what == "expiry":
		r.Expires = r.Expires.AddDate(1, 0, 0)
	case c.what == "credential's limit" && r.Granted == credential.Unlimited:
		r.Granted, r.Left = 2, 2
	case c.what == "credential's binding":
		bare := *r
		bare.Binding.Names = nil
		return c.Store.AddCredential(ctx, &bare, a)
	case c.what == "credential's audit row":
		a.Trace = ca.NewTrace()
	}
	return c.swallow("credential", c.Store.AddCredential(ctx, r, a))
}

func (c *careless) RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error {
	if c.what == "credential's end" {
		return nil
	}
	return c.Store.RevokeCredential(ctx, tenant, id, a)
}

func (c *careless) Credentials(ctx context.Context, tenant, after string, limit int) ([]credential.Record, error) {
	if c.what == "credential's page" {
		after = ""
	}
	return c.Store.Credentials(ctx, tenant, after, limit)
}

func otherFlaws() (all []flaw) {
	for what, cases := range map[string][]string{"profile": {"ProfileTexts"}, "note": {"Note", "Reopened"}, "lease": {"Lease", "LeaseRace"},
		"held": {"LeaseHeld"}, "delivered": {"Outbox"}, "waiting": {"Outbox"}, "generation": {"Generations"}, "activation": {"Activations"}, "data key": {"DataKeys"},
		"data key's time": {"TwoKeyrings"}, "rewrap": {"Rewrap", "RewrapConflict"}, "what a rewrap replaces": {"RewrapConflict"},
		"credential": {"CredentialTaken"}, "credential's tenant": {"TenantSwapAddCredential"}, "credential's limit": {"CredentialUnlimited"}, "credential's binding": {"Credential"},
		"credential's audit row": {"CredentialAudited"}, "credential's end": {"CredentialRevoked"}, "credential's page": {"CredentialList"}, "expiry": {"BurnExpired"}} {
		all = append(all, flaw{"careless with " + what, cases, func(d *conformance.Driver) { d.Store = &careless{d.Store, what} }})
	}
	return all
}

// hookFlaws spoil what the suite reads past the store's methods.
func hookFlaws() []flaw {
	return []flaw{
		{"revocations taken back", []string{"NoTakingBack"}, func(d *conformance.Driver) { d.TryChange = func(string) error { return nil } }},
		{"deletes allowed", []string{"NoDelete"}, func(d *conformance.Driver) { d.TryDelete = func(string) error { return nil } }},
		{"data gone after reopening", []string{"Reopened"}, func(d *conformance.Driver) {
			d.Reopen = func() (conformance.Store, error) { return nil, errors.New("gone") }
		}},
		{"audit row left out", []string{"AuditChain", "Note"}, spoiledTrail(func(b *trail.Batch) { b.Rows = b.Rows[1:] })},
		{"audit row changed later", []string{"AuditChain"}, spoiledTrail(func(b *trail.Batch) { b.Rows[0].Event = "x" })},
		{"audit batch moved", []string{"AuditChain"}, spoiledTrail(func(b *trail.Batch) { b.Seq++ })},
		{"names lost", []string{"AltNamesReadBack"}, func(d *conformance.Driver) {
			d.AltNames = func(context.Context, string, string, ca.Serial) ([]pkix.GeneralName, error) { return nil, nil }
		}},
	}
}

func spoiledTrail(spoil func(*trail.Batch)) func(*conformance.Driver) {
	return func(d *conformance.Driver) {
		read := d.Trail
		d.Trail = func(ctx context.Context) ([]trail.Batch, error) {
			all, err := read(ctx)
			for i := range all {
				all[i].Rows = slices.Clone(all[i].Rows)
				spoil(&all[i])
			}
			return all, err
		}
	}
}

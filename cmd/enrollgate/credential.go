package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/admin"
)

type credentialCmd struct {
	Create credentialCreateCmd `cmd:"" help:"Make a credential and print its secret, which nobody can read again."`
	List   credentialListCmd   `cmd:"" help:"List credentials, without their secrets."`
	Revoke credentialRevokeCmd `cmd:"" help:"End a credential; what it was used for stays."`
}

type credentialCreateCmd struct {
	source
	Protocol      string   `required:"" help:"Protocol that it is for: acme (a key of an external account, RFC 8555 section 7.3.4), est (a user name and password), scep (a challenge password, RFC 8894 section 7.3)." placeholder:"PROTOCOL"`
	Profile       string   `help:"Profile that may be issued under; one of an endpoint that takes the credential. Needed without --endpoint." placeholder:"ID"`
	Endpoint      []string `help:"Endpoint that takes it; may be given again. Default: every one of protocol, tenant and profile." placeholder:"ID"`
	Tenant        string   `help:"Tenant; needed where the configuration has several." placeholder:"ID"`
	Subject       string   `help:"Who it is given to, in words: recorded, and with every certificate that it leads to." placeholder:"TEXT"`
	Device        string   `help:"Device that it is given for: recorded, and compared with what a device attests." placeholder:"TEXT"`
	Name          []string `help:"Names that may be certified: host.example.com, *.example.com for every name below, an address or a range; may be given again. Default: what the profile allows." placeholder:"PATTERN"`
	CommonName    string   `name:"common-name" help:"The one CN that the subject must have, letter by letter. Default: with --name, a CN is one of those names; without, what the profile allows." placeholder:"TEXT"`
	KeyHash       string   `name:"key-hash" help:"The one key that may be certified: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal." placeholder:"HEX"`
	Administrator bool     `help:"Make a user (with --protocol scep) who fetches challenge passwords for others from the NDES-shaped page; it enrolls nothing itself."`
	DecryptKey    bool     `name:"decrypt-key" help:"Make a secret (with --protocol est) that keys which are made for clients are encrypted under, where these ask for it (RFC 7030 section 4.4.1.1); it lets nobody in."`
	Uses          string   `help:"How often it can be used: a number, or unlimited. An EST password of one use is an enrollment code. Default: 1; of an administrator and a decrypt key: unlimited." placeholder:"N"`
	TTL           string   `name:"ttl" help:"How long it can be used: 12h, P30D." default:"P30D" placeholder:"PERIOD"`
	JSON          bool     `name:"json" help:"Print one JSON object."`
}

const (
	credentialCreatePath = "/v1/credential/create"
	credentialRevokePath = "/v1/credential/revoke"
	unlimitedUses        = "unlimited"
)

// What the socket's operations take and give.
type (
	credentialCreateIn struct {
		Tenant        string   `json:"tenant"`
		Protocol      string   `json:"protocol"`
		Profile       string   `json:"profile"`
		Endpoints     []string `json:"endpoints"`
		Subject       string   `json:"subject"`
		Device        string   `json:"device"`
		Names         []string `json:"names"`
		CommonName    string   `json:"common_name"`
		KeyHash       string   `json:"key_hash"`
		Administrator bool     `json:"administrator"`
		DecryptKey    bool     `json:"decrypt_key"`
		Uses          int      `json:"uses"`
		TTL           string   `json:"ttl"`
	}
	credentialRevokeIn struct {
		Tenant string `json:"tenant"`
		ID     string `json:"id"`
	}
)

// describedCredential is a credential as it is printed. Its secret is there
// once, when it is made: KID and HMAC of ACME's, Username and Password of EST's and
// of an administrator's, Challenge of SCEP's, Secret (base64url, as a password) and
// SecretHex (as an AES-256 key) of a decrypt key, whose id clients name.
type describedCredential struct {
	Tenant        string           `json:"tenant"`
	ID            string           `json:"id"`
	Protocol      caller.Door      `json:"protocol"`
	Kind          credential.Kind  `json:"kind"`
	State         credential.State `json:"state"`
	Profile       string           `json:"profile,omitempty"`
	Endpoints     []string         `json:"endpoints,omitempty"`
	Subject       string           `json:"subject,omitempty"`
	Device        string           `json:"device,omitempty"`
	Names         []string         `json:"names,omitempty"`
	CommonName    string           `json:"common_name,omitempty"`
	KeyHash       string           `json:"key_hash,omitempty"`
	Uses          string           `json:"uses"` // at first: a number, or unlimited
	Left          string           `json:"left"`
	Expires       time.Time        `json:"expires"`
	Created       time.Time        `json:"created"`
	Revoked       *time.Time       `json:"revoked,omitempty"`
	KID           string           `json:"kid,omitempty"`
	HMAC          string           `json:"hmac,omitempty"` // base64url without padding
	Username      string           `json:"username,omitempty"`
	Password      string           `json:"password,omitempty"`
	Challenge     string           `json:"challenge,omitempty"`
	Administrator bool             `json:"administrator,omitempty"`
	DecryptKey    bool             `json:"decrypt_key,omitempty"`
	Secret        string           `json:"secret,omitempty"`
	SecretHex     string           `json:"secret_hex,omitempty"`
}

func describeCredential(c *credential.Credential, now time.Time) describedCredential {
	count := func(n int) string {
		if n == credential.Unlimited {
			return unlimitedUses
		}
		return strconv.Itoa(n)
	}
	out := describedCredential{Tenant: c.Tenant, ID: c.ID, Protocol: c.Door, Kind: c.Kind, State: c.At(now), Profile: c.Binding.Profile,
		Endpoints: c.Endpoints, Subject: c.Binding.Subject, Device: c.Binding.Device, Names: c.Binding.Names, CommonName: c.Binding.CommonName, Administrator: c.Administrator(), KeyHash: hex.EncodeToString(c.Binding.KeyHash),
		DecryptKey: c.DecryptKey(), Uses: count(c.Granted), Left: count(c.Left), Expires: c.Expires, Created: c.CreatedAt}
	if !c.RevokedAt.IsZero() {
		out.Revoked = &c.RevokedAt
	}
	return out
}

// Run has the daemon make the credential, or does it itself where none runs.
func (cmd *credentialCreateCmd) Run(c console) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	in := credentialCreateIn{Protocol: cmd.Protocol, Profile: cmd.Profile, Endpoints: cmd.Endpoint, Subject: cmd.Subject, Device: cmd.Device,
		Names: cmd.Name, CommonName: cmd.CommonName, KeyHash: cmd.KeyHash, Administrator: cmd.Administrator, DecryptKey: cmd.DecryptKey, Uses: credential.Unlimited, TTL: cmd.TTL}
	if in.Tenant, err = oneTenant(cfg, cmd.Tenant); err != nil {
		return err
	}
	if cmd.Uses == "" && !cmd.Administrator && !cmd.DecryptKey {
		in.Uses = 1
	} else if cmd.Uses != "" && cmd.Uses != unlimitedUses {
		if in.Uses, err = strconv.Atoi(cmd.Uses); err != nil || in.Uses < 1 {
			return fmt.Errorf("%w: --uses is a number from 1 on, or %s", errUsage, unlimitedUses)
		}
	}
	var out describedCredential
	err = cmd.ask(c, credentialCreatePath, in, &out, func(ctx context.Context, d *daemon, _ caller.Caller) error {
		actor, err := localOperator(in.Tenant)
		if err == nil {
			out, err = d.createCredential(ctx, d.cfg, in, actor)
		}
		return err
	})
	if err != nil {
		return badRequest(err)
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	names, values := [2]string{"key id", "HMAC key"}, [2]string{out.KID, out.HMAC}
	switch {
	case out.Password != "":
		names, values = [2]string{"username", "password"}, [2]string{out.Username, out.Password}
	case out.Challenge != "":
		names, values = [2]string{"id", "challenge"}, [2]string{out.ID, out.Challenge}
	case out.Secret != "":
		names, values = [2]string{"key id", "secret"}, [2]string{out.ID, out.Secret + " (as a password), " + out.SecretHex + " (as an AES-256 key)"}
	}
	_, err = fmt.Fprintf(c.out, "%-10s %s\n%-10s %s\nuses:      %s until %s\nThe %s is shown once and cannot be read again.\n",
		names[0]+":", values[0], names[1]+":", values[1], out.Uses, out.Expires.Format(time.RFC3339), names[1])
	return err
}

// oneTenant is the tenant that is named, or the only one that there is.
func oneTenant(cfg *config.Config, named string) (string, error) {
	all, err := tenantsOf(cfg, named)
	if err != nil {
		return "", badRequest(err)
	}
	if len(all) != 1 {
		return "", fmt.Errorf("%w: give --tenant, one of %s", errUsage, strings.Join(all, ", "))
	}
	return all[0], nil
}

func (d *daemon) createCredential(ctx context.Context, cfg *config.Config, in credentialCreateIn, actor caller.Caller) (out describedCredential, err error) {
	if in.Profile == "" && len(in.Endpoints) == 0 {
		return out, ca.Errorf(ca.BadRequest, "a credential is for a profile, or for endpoints: give --profile or --endpoint")
	}
	if err := taken(cfg, in); err != nil {
		return out, err
	}
	period, err := profile.ParsePeriod(in.TTL)
	if err != nil {
		return out, ca.Errorf(ca.BadRequest, "the lifetime: %v", err)
	}
	now, err := d.store.Now(ctx)
	if err != nil {
		return out, err
	}
	made, secret, err := core.CreateCredential(ctx, credential.NewRegistry(d.store, d.sealing), core.NewCredential{Tenant: in.Tenant,
		Door: caller.Door(in.Protocol), Profile: in.Profile, Endpoints: in.Endpoints, Subject: in.Subject, Device: in.Device, Names: in.Names,
		CommonName: in.CommonName, KeyHash: in.KeyHash, Administrator: in.Administrator, DecryptKey: in.DecryptKey, Uses: in.Uses, Lifetime: period.From(now).Sub(now), Actor: actor, Now: now})
	if err != nil {
		return out, err
	}
	out = describeCredential(made, now)
	switch made.Kind {
	case credential.Password:
		out.Username, out.Password = made.ID, secret.Text()
	case credential.OneTime:
		out.Challenge = secret.Text()
	case credential.Code:
		out.Secret, out.SecretHex = secret.Text(), hex.EncodeToString(secret.Octets())
	default:
		out.KID, out.HMAC = made.ID, secret.Text()
	}
	return out, nil
}

// heldBy says which method the holders of a door's credentials are let in by, and
// how an endpoint's authentication names it.
var heldBy = map[caller.Door]struct {
	method caller.Method
	policy string
}{
	caller.ACME: {caller.ExternalAccount, "[acme-account, eab]"},
	caller.EST:  {caller.Password, "[password]"},
	caller.SCEP: {caller.SCEPSecret, "[scep-secret]"},
}

// taken refuses a credential that no endpoint of the tenant would take.
func taken(cfg *config.Config, in credentialCreateIn) error {
	by, ok := heldBy[caller.Door(in.Protocol)]
	if !ok {
		return ca.Errorf(ca.BadRequest, "protocol %q has no credentials", in.Protocol)
	}
	want := "its authentication must name " + by.policy
	if in.DecryptKey {
		want = "it must say server_keygen: true"
	}
	takes := func(e *ca.Endpoint) bool {
		if in.DecryptKey && !cfg.ESTOf[e.ID].ServerKeygen {
			return false
		}
		return e.Tenant == in.Tenant && string(e.Door) == in.Protocol && (in.Profile == "" || e.Profile == in.Profile) &&
			(in.DecryptKey || slices.ContainsFunc(e.Policies, func(set []caller.Method) bool { return slices.Contains(set, by.method) }))
	}
	var ids []string
	for i := range cfg.Endpoints {
		if takes(&cfg.Endpoints[i]) {
			ids = append(ids, cfg.Endpoints[i].ID)
		}
	}
	for _, id := range in.Endpoints {
		if !slices.Contains(ids, id) {
			return ca.Errorf(ca.NotFound, "tenant %s has no endpoint %s of protocol %q that takes such a credential; %s", in.Tenant, id, in.Protocol, want)
		}
	}
	if len(ids) == 0 {
		return ca.Errorf(ca.NotFound, "tenant %s has no endpoint of protocol %q and profile %q that takes such a credential; %s", in.Tenant, in.Protocol, in.Profile, want)
	}
	return nil
}

type credentialListCmd struct {
	source
	Tenant string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print one JSON list."`
}

// Run lists what the store has.
func (cmd *credentialListCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	all := []describedCredential{}
	for _, tenant := range r.tenants {
		some, err := r.listCredentials(ctx, tenant)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if cmd.JSON {
		return printJSON(c.out, all)
	}
	t := newTable(c.out)
	t.row("TENANT", "ID", "PROTOCOL", "PROFILE", "STATE", "LEFT", "EXPIRES", "SUBJECT", "NAMES")
	for _, d := range all {
		t.row(d.Tenant, d.ID, string(d.Protocol), d.Profile, string(d.State), d.Left, d.Expires.Format(time.DateOnly), d.Subject, strings.Join(d.Names, " "))
	}
	return t.Flush()
}

func (d *daemon) listCredentials(ctx context.Context, tenant string) (all []describedCredential, err error) {
	now, err := d.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	found, err := core.ListCredentials(ctx, d.store, tenant)
	for i := range found {
		all = append(all, describeCredential(&found[i], now))
	}
	return all, err
}

type credentialRevokeCmd struct {
	source
	ID     string `arg:"" help:"Id of the credential: the key id of an external account, a user name, or the id beside a challenge password."`
	Tenant string `help:"Tenant; needed where the configuration has several." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Run has the daemon end the credential, or does it itself where none runs.
func (cmd *credentialRevokeCmd) Run(c console) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	in := credentialRevokeIn{ID: cmd.ID}
	if in.Tenant, err = oneTenant(cfg, cmd.Tenant); err != nil {
		return err
	}
	var out describedCredential
	err = cmd.ask(c, credentialRevokePath, in, &out, func(ctx context.Context, d *daemon, _ caller.Caller) error {
		actor, err := localOperator(in.Tenant)
		if err == nil {
			out, err = d.revokeCredential(ctx, in, actor)
		}
		return err
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	_, err = fmt.Fprintf(c.out, "credential %s is revoked; accounts and certificates that were made with it stay\n", out.ID)
	return err
}

func (d *daemon) revokeCredential(ctx context.Context, in credentialRevokeIn, actor caller.Caller) (out describedCredential, err error) {
	done, err := core.RevokeCredential(ctx, d.store, in.Tenant, in.ID, actor)
	if err != nil {
		return out, err
	}
	return describeCredential(done, time.Now()), nil
}

// credentialOperations are the socket's operations on credentials.
func (d *daemon) credentialOperations() []admin.Operation {
	return []admin.Operation{
		admin.Op(credentialCreatePath, func(ctx context.Context, by admin.Actor, in credentialCreateIn) (out describedCredential, err error) {
			actor, err := by.For(in.Tenant)
			if err != nil {
				return out, err
			}
			p := d.enter()
			defer p.leave()
			return d.createCredential(ctx, p.cfg, in, actor)
		}),
		admin.Op(credentialRevokePath, func(ctx context.Context, by admin.Actor, in credentialRevokeIn) (out describedCredential, err error) {
			actor, err := by.For(in.Tenant)
			if err != nil {
				return out, err
			}
			return d.revokeCredential(ctx, in, actor)
		}),
	}
}

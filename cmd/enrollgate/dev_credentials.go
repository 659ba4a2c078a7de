package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
)

// devCredentials is DIR/dev-credentials.json: one credential a door that exists.
type devCredentials struct {
	ACME *devExternalAccount `json:"acme,omitempty"`
	EST  *devUser            `json:"est,omitempty"`
	SCEP *devChallenge       `json:"scep,omitempty"`
}

type devExternalAccount struct {
	KID  string `json:"kid"`
	HMAC string `json:"hmac"` // base64url without padding
}

type devUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type devChallenge struct {
	Challenge string `json:"challenge"`
}

// devLifetime is how long a developer may leave the folder alone.
const devLifetime = 10 * 365 * 24 * time.Hour

// ensureDevCredentials makes the credentials of --dev on the first start. They
// stay as long as the store has them.
func (d *daemon) ensureDevCredentials(ctx context.Context, dir string) error {
	path := filepath.Join(dir, "dev-credentials.json")
	var have devCredentials
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &have); err != nil {
			return fmt.Errorf("%s: %w; remove it, and another one is made", path, err)
		}
	}
	made := false
	doors := []caller.Door{caller.ACME, caller.EST}
	if slices.ContainsFunc(d.cfg.Endpoints, func(e ca.Endpoint) bool { return e.Door == caller.SCEP && e.Tenant == devTenant }) {
		doors = append(doors, caller.SCEP)
	}
	for _, door := range doors {
		there, err := d.hasDevCredential(ctx, &have, door)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		c, secret, err := d.makeDevCredential(ctx, door)
		if err != nil {
			return err
		}
		made = true
		have.set(door, c.ID, secret.Text())
	}
	if !made {
		return nil
	}
	if data, err = json.Marshal(have); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}

// hasDevCredential tells whether the store still has a door's credential.
func (d *daemon) hasDevCredential(ctx context.Context, have *devCredentials, door caller.Door) (there bool, err error) {
	switch {
	case door == caller.ACME && have.ACME != nil:
		_, err = d.store.Credential(ctx, devTenant, have.ACME.KID)
	case door == caller.EST && have.EST != nil:
		_, err = d.store.Credential(ctx, devTenant, have.EST.Username)
	case door == caller.SCEP && have.SCEP != nil:
		_, err = credential.NewRegistry(d.store, d.sealing).Find(ctx, devTenant, have.SCEP.Challenge)
	default:
		return false, nil
	}
	if ca.IsKind(err, ca.NotFound) || ca.IsKind(err, ca.BadProof) {
		return false, nil
	}
	return err == nil, err
}

func (c *devCredentials) set(door caller.Door, id, secret string) {
	switch door {
	case caller.ACME:
		c.ACME = &devExternalAccount{KID: id, HMAC: secret}
	case caller.EST:
		c.EST = &devUser{Username: id, Password: secret}
	case caller.SCEP:
		c.SCEP = &devChallenge{Challenge: secret}
	}
}

func (d *daemon) makeDevCredential(ctx context.Context, door caller.Door) (*credential.Credential, credential.Secret, error) {
	actor, err := localOperator(devTenant)
	if err != nil {
		return nil, credential.Secret{}, err
	}
	now, err := d.store.Now(ctx)
	if err != nil {
		return nil, credential.Secret{}, err
	}
	return core.CreateCredential(ctx, credential.NewRegistry(d.store, d.sealing), core.NewCredential{Tenant: devTenant, Door: door,
		Subject: "dev", Uses: credential.Unlimited, Lifetime: devLifetime, Actor: actor, Now: now})
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
)

// devCredentials is DIR/dev-credentials.json: one credential a door that exists.
type devCredentials struct {
	ACME *devExternalAccount `json:"acme,omitempty"`
}

type devExternalAccount struct {
	KID  string `json:"kid"`
	HMAC string `json:"hmac"` // base64url without padding
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
	if have.ACME != nil {
		_, err := d.store.Credential(ctx, devTenant, have.ACME.KID)
		if err == nil || !ca.IsKind(err, ca.NotFound) {
			return err
		}
	}
	actor, err := localOperator(devTenant)
	if err != nil {
		return err
	}
	now, err := d.store.Now(ctx)
	if err != nil {
		return err
	}
	made, secret, err := core.CreateCredential(ctx, credential.NewRegistry(d.store, d.sealing), core.NewCredential{Tenant: devTenant, Door: caller.ACME,
		Subject: "dev", Uses: credential.Unlimited, Lifetime: devLifetime, Actor: actor, Now: now})
	if err != nil {
		return err
	}
	have.ACME = &devExternalAccount{KID: made.ID, HMAC: secret.Text()}
	if data, err = json.Marshal(have); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}

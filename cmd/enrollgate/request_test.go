package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// TestRequestCommands: operators list, read and decide requests without a daemon.
func TestRequestCommands(t *testing.T) {
	dir := t.TempDir()
	text := fmt.Sprintf(scriptConfig, dir, "enrollgate")
	text += "endpoints:\n  - {id: web, protocol: acme, tenant: default, ca: issuing, profile: privatessl-tls-server, authentication: [[acme-account]]}\n"
	text += "profiles:\n  - id: privatessl-tls-server\n    extends: privatessl-tls-server\n    approval: manual\n"
	file, ask := installed(t, dir, text)
	says := func(text string, want ...string) {
		t.Helper()
		contains(t, text, want...)
	}
	one, two := parkedBy(t, file, "one.example"), parkedBy(t, file, "two.example")

	says(ask(exitOK, "request", "list"), one.ID, "one.example", two.ID, "acme-account:a")
	var listed []core.ParkedRequest
	if err := json.Unmarshal([]byte(ask(exitOK, "request", "list", "--json")), &listed); err != nil || len(listed) != 2 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	says(ask(exitUsage, "request", "list", "--state", "lost"), "--state is one of")
	says(ask(exitOK, "request", "show", one.ID), "pending", "dns:one.example", "ecdsa-p256", one.Trace)
	says(ask(exitUsage, "request", "deny", one.ID, "--reason", " "), "give a reason")
	says(ask(exitOK, "request", "deny", one.ID, "--reason", "not ours"), "denied "+one.ID)
	says(ask(exitFailed, "request", "approve", one.ID, "--reason", "ours after all"), "denied already")
	says(ask(exitOK, "request", "approve", two.ID, "--reason", "ticket 7", "--json"), `"state": "approved"`, `"reason": "ticket 7"`)
	says(ask(exitOK, "request", "show", one.ID, "--json"), `"state": "denied"`, `"decided_by": "operator:`)
	says(ask(exitOK, "request", "list", "--state", "approved"), two.ID)
	says(ask(exitOK, "explain", two.Trace), "request.parked", "request.approved", "ticket 7")
	says(ask(exitFailed, "request", "show", "nothing"), "request list")
}

// parkedBy has an ACME account ask for a name and gives the request that waits.
func parkedBy(t *testing.T, file, name string) (out *ca.PendingRequest) {
	t.Helper()
	ctx := context.Background()
	s := &source{Config: file}
	r, err := s.openRecords(ctx, "", console{t.Output(), t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(r.ring.Close(), r.store.Close()); err != nil {
			t.Error(err)
		}
	}()
	authority, err := r.decider(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e, now := r.cfg.Endpoints[0], time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		t.Fatal(err)
	}
	thumbprint := [32]byte{1}
	by, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: e.Tenant, Endpoint: e.ID, Account: "a", Status: "valid",
		KeyThumbprint: thumbprint, AccountKey: thumbprint, At: now})
	if err != nil {
		t.Fatal(err)
	}
	proven, err := claim.FromAuthorization(claim.NewVerifier(caller.ACME), claim.ValidatedAuthorization{ID: "z", Owner: by.ID(), Identifier: name, Challenge: claim.HTTP01,
		Status: "valid", Validated: now, Expires: now.Add(time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	result := authority.Enroll(ctx, &ca.Request{Trace: ca.NewTrace(), Endpoint: e.ID, Operation: ca.Enroll, Caller: by, Possession: possession, Claims: []claim.Claim{proven},
		Asserted: ca.Asserted{AltNames: csr.AltNames}, Transaction: name, Window: time.Hour})[0]
	if !ca.IsKind(result.Err, ca.Pending) || result.Request == "" {
		t.Fatalf("%+v", result)
	}
	if again := authority.Poll(ctx, by, result.Request); !ca.IsKind(again.Err, ca.Pending) {
		t.Errorf("poll: %+v", again)
	}
	stranger, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: e.Tenant, Endpoint: e.ID, Account: "b", Status: "valid",
		KeyThumbprint: thumbprint, AccountKey: thumbprint, At: now})
	if err != nil {
		t.Fatal(err)
	}
	if theirs := authority.Poll(ctx, stranger, result.Request); !ca.IsKind(theirs.Err, ca.NotFound) {
		t.Errorf("a stranger's poll: %+v", theirs)
	}
	if out, err = r.store.PendingRequest(ctx, e.Tenant, result.Request); err != nil {
		t.Fatal(err)
	}
	return out
}

package core

import (
	"context"
	"crypto/x509"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/store/memory"
	"github.com/enrollgate/enrollgate/test/fixture"
	"github.com/enrollgate/enrollgate/test/harness"
)

// authorities are made once a process: they write keys to files, and open them.
var authorities struct {
	sync.Once
	issuers *issuer.Registry
	roots   *x509.CertPool
	err     error
}

// Authorities are the CAs of every core, which a process has once: "issuing" of
// the tenants "one" and "two", and "spare" of tenant "one", each below a root of
// its own. Their names are "Test TENANT Issuing CA NAME".
func Authorities(t testing.TB) (*issuer.Registry, *x509.CertPool) {
	t.Helper()
	authorities.Do(func() {
		authorities.err = errors.New("the CAs could not be made for an earlier test") // which ends before this changes
		authorities.issuers, authorities.roots, authorities.err = makeAuthorities(t)
	})
	if authorities.err != nil {
		t.Fatal(authorities.err)
	}
	return authorities.issuers, authorities.roots
}

func makeAuthorities(t testing.TB) (*issuer.Registry, *x509.CertPool, error) {
	const password = "correct horse battery staple"
	dir, store, ring, secret := t.TempDir(), memory.New(memory.Options{Clock: time.Now}), keys.NewRing(), keys.LiteralSecret(password)
	defer store.Close()
	roots := x509.NewCertPool()
	var bindings []issuer.Binding
	for _, b := range []issuer.Binding{{Tenant: "one", CA: "issuing", Secret: secret}, {Tenant: "one", CA: "spare", Secret: secret}, {Tenant: "two", CA: "issuing", Secret: secret}} {
		name := filepath.Join(dir, b.Tenant+b.CA)
		harness.Keys(t, password, name+"-root.pem", name+".pem")
		made, err := admin.CreateHierarchy(context.Background(), store, ring, lint.Linter{}, admin.NewHierarchy{Tenant: b.Tenant, CA: b.CA, Name: "Test " + b.Tenant, Algorithm: "ecdsa-p256",
			RootKey: "file:" + name + "-root.pem", RootSecret: secret, IssuingKey: "file:" + name + ".pem", Secret: secret, Actor: Operator(t, b.Tenant, time.Now()), Now: time.Now()})
		if err != nil {
			return nil, nil, err
		}
		root, err := x509.ParseCertificate(made.Root)
		if err != nil {
			return nil, nil, err
		}
		roots.AddCert(root)
		bindings = append(bindings, b)
	}
	issuers, err := issuer.Load(context.Background(), store, ring, bindings, time.Now)
	return issuers, roots, err
}

// Operator is an operator "test" of a tenant, who was let in at a moment.
func Operator(t testing.TB, tenant string, at time.Time) caller.Caller {
	t.Helper()
	return fixture.Must(caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: tenant, User: "test", At: at}))(t)
}

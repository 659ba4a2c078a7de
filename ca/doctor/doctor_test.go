package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11"
)

func clock() time.Time { return now }

func TestStore(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*installation)
		accepted string
		what     string
		status   Status
	}{
		"good tables":         {func(*installation) {}, "", "tables", OK},
		"old tables":          {func(i *installation) { i.known = 8 }, "", "tables", Fail},
		"new tables":          {func(i *installation) { i.known = 6 }, "", "tables", Warn},
		"gone":                {func(i *installation) { i.broken = errors.New("gone") }, "", "tables", Fail},
		"durable":             {func(*installation) {}, "", "fsync", OK},
		"not durable":         {func(i *installation) { i.durability[0].Safe = false }, "", "fsync", Fail},
		"accepted":            {func(i *installation) { i.durability[0].Safe = false }, "a test", "fsync", Warn},
		"clock":               {func(i *installation) { i.skew = time.Second }, "", "the store's clock", OK},
		"clock off":           {func(i *installation) { i.skew = -10 * time.Second }, "", "the store's clock", Warn},
		"clock far off":       {func(i *installation) { i.skew = 2 * time.Minute }, "", "the store's clock", Fail},
		"no replica":          {func(*installation) {}, "", "running replicas", Warn},
		"a replica":           {func(i *installation) { i.replicas = []ca.Replica{{ID: "r", Schema: 7}} }, "", "r", OK},
		"another config":      {func(i *installation) { i.replicas = []ca.Replica{{ID: "r", Schema: 7, Config: [32]byte{1}}} }, "", "r", Warn},
		"another program":     {func(i *installation) { i.replicas = []ca.Replica{{ID: "r", Schema: 8}} }, "", "r", Warn},
		"a replica's clock":   {func(i *installation) { i.replicas = []ca.Replica{{ID: "r", Schema: 7, Offset: time.Minute}} }, "", "r", Warn},
		"replicas of nowhere": {func(i *installation) { i.broken = errors.New("gone") }, "", "running replicas", Fail},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstallation(t)
			c.change(i)
			var f Findings
			f.LookAtStore(t.Context(), i, c.accepted, clock)
			f.LookAtReplicas(t.Context(), i, [32]byte{}, 7)
			want(t, f, c.what, c.status)
			if c.status == Fail && !f.Failed() {
				t.Error("it did not fail")
			}
		})
	}
}

func TestPublished(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*installation)
		what   string
		status Status
	}{
		"list":                   {func(*installation) {}, base + "/crl", OK},
		"no list":                {func(i *installation) { delete(i.served, base+"/crl") }, base + "/crl", Fail},
		"no CRL":                 {func(i *installation) { i.served[base+"/crl"] = []byte("<html>") }, base + "/crl", Fail},
		"forged":                 {func(i *installation) { i.crl(5, now, time.Hour, nil) }, base + "/crl", Fail},
		"ended":                  {func(i *installation) { i.crl(5, now.Add(-2*time.Hour), time.Hour, i.key) }, base + "/crl", Fail},
		"late":                   {func(i *installation) { i.crl(5, now, time.Hour, i.key) }, base + "/crl", Warn},
		"old":                    {func(i *installation) { i.crl(4, now, 7*24*time.Hour, i.key) }, base + "/crl", Warn},
		"openssl":                {func(*installation) {}, base + "/crl by openssl", OK},
		"answer":                 {func(*installation) {}, base + "/ocsp", OK},
		"revoked":                {func(i *installation) { i.ocsp(ocsp.Revoked, now.Add(time.Hour)) }, base + "/ocsp", OK},
		"unknown":                {func(i *installation) { i.ocsp(ocsp.Unknown, now.Add(time.Hour)) }, base + "/ocsp", Fail},
		"an answer that ended":   {func(i *installation) { i.ocsp(ocsp.Good, now.Add(-time.Minute)) }, base + "/ocsp", Fail},
		"no answer":              {func(i *installation) { delete(i.served, base+"/ocsp") }, base + "/ocsp", Fail},
		"no OCSP":                {func(i *installation) { i.served[base+"/ocsp"] = []byte("x") }, base + "/ocsp", Fail},
		"nothing was issued":     {func(i *installation) { i.issued = nil }, base + "/ocsp", Warn},
		"CA certificate":         {func(*installation) {}, base + "/aia", OK},
		"another CA certificate": {func(i *installation) { i.served[base+"/aia"] = i.leaf.Raw }, base + "/aia", Fail},
		"no CA certificate":      {func(i *installation) { delete(i.served, base+"/aia") }, base + "/aia", Fail},
		"no store":               {func(i *installation) { i.broken = errors.New("gone") }, "CA default/issuing, generation 1", Fail},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstallation(t)
			c.change(i)
			var f Findings
			f.LookAtPublished(t.Context(), &Asking{Store: i, Fetch: i.fetch, OpenSSL: OpenSSL, Now: now}, published(i))
			want(t, f, c.what, c.status)
		})
	}
}

func published(i *installation) *Published {
	return &Published{Tenant: "default", CA: "issuing", Generation: 1, DER: i.issuer.Raw, Overlap: 24 * time.Hour,
		CRLs: []List{{URL: base + "/crl", Scope: "g1"}}, OCSP: base + "/ocsp", AIA: base + "/aia"}
}

func TestOpenSSL(t *testing.T) {
	i := newInstallation(t)
	i.crl(6, now, time.Hour, nil)
	if err := OpenSSL(t.Context(), i.served[base+"/crl"], i.issuer.Raw); err == nil || errors.Is(err, ErrNoProgram) {
		t.Errorf("openssl takes a signature that is wrong: %v", err)
	}
	var f Findings
	i.crl(6, now, 7*24*time.Hour, i.key)
	f.LookAtPublished(t.Context(), &Asking{Store: i, Fetch: i.fetch, Now: now, OpenSSL: func(context.Context, []byte, []byte) error { return errors.New("it differs") }}, published(i))
	want(t, f, base+"/crl by openssl", Fail)
	t.Setenv("PATH", t.TempDir())
	f = nil
	f.LookAtPublished(t.Context(), &Asking{Store: i, Fetch: i.fetch, Now: now, OpenSSL: OpenSSL}, published(i))
	want(t, f, base+"/crl by openssl", Warn)
	if f.Failed() {
		t.Errorf("%+v", f)
	}
}

func TestCertificates(t *testing.T) {
	i := newInstallation(t)
	made := func(from, until time.Time) []byte {
		return certificate(t, &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until}, i.issuer, i.key, i.key).Raw
	}
	for name, c := range map[string]struct {
		Certificate
		status Status
	}{
		"CA":             {Certificate{CA: true, DER: i.issuer.Raw}, OK},
		"CA soon":        {Certificate{CA: true, DER: made(now.AddDate(-1, 0, 0), now.AddDate(0, 0, 30))}, Warn},
		"own":            {Certificate{DER: i.leaf.Raw}, OK},
		"own late":       {Certificate{DER: made(now.AddDate(0, 0, -80), now.AddDate(0, 0, 10))}, Warn},
		"ended":          {Certificate{DER: made(now.AddDate(0, 0, -80), now)}, Fail},
		"not begun":      {Certificate{DER: made(now.Add(time.Hour), now.AddDate(0, 0, 80))}, Fail},
		"no certificate": {Certificate{DER: []byte("x")}, Fail},
	} {
		var f Findings
		c.Name = name
		f.LookAtCertificates([]Certificate{c.Certificate}, now)
		want(t, f, name, c.status)
	}
}

func TestKeys(t *testing.T) {
	ring := keys.NewRing()
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	uri, secret := "file:"+filepath.Join(t.TempDir(), "key.pem"), keys.LiteralSecret("a password")
	if err := ring.Generate(t.Context(), uri, "ecdsa-p256", secret); err != nil {
		t.Fatal(err)
	}
	var f Findings
	f.LookAtKeys(t.Context(), ring, []Key{{Name: "good", URI: uri, Secret: secret}, {Name: "wrong password", URI: uri, Secret: keys.LiteralSecret("b")},
		{Name: "gone", URI: uri + "x", Secret: secret}, {Name: "another", URI: uri, Secret: secret, Certificate: newInstallation(t).issuer.Raw}})
	want(t, f, "good", OK)
	for _, what := range []string{"wrong password", "gone", "another"} {
		want(t, f, what, Fail)
	}
}

type tokens map[string][]pkcs11.Info

func (m tokens) Inspect(_ context.Context, module string) ([]pkcs11.Info, error) {
	if found, ok := m[module]; ok {
		return found, nil
	}
	return nil, ca.Errorf(ca.Unavailable, "the module does not load")
}

func TestTokens(t *testing.T) {
	info := func(change func(*pkcs11.Info)) []pkcs11.Info {
		i := pkcs11.Info{Label: "keys", Serial: "1", Module: "/m.so", Algorithms: []string{"ecdsa-p256"}, Mechanisms: []pkcs11.Mechanism{{Name: "CKM_ECDSA", MinKey: 256, MaxKey: 384}}}
		change(&i)
		return []pkcs11.Info{i}
	}
	name := fmt.Sprintf("token %q, serial number %s", "keys", "1")
	for what, c := range map[string]struct {
		found  tokens
		what   string
		status Status
	}{
		"good":         {tokens{"/m.so": info(func(*pkcs11.Info) {})}, name, OK},
		"locked":       {tokens{"/m.so": info(func(i *pkcs11.Info) { i.Locked = true })}, name, Fail},
		"one try left": {tokens{"/m.so": info(func(i *pkcs11.Info) { i.PINLast = true })}, name, Fail},
		"a wrong PIN":  {tokens{"/m.so": info(func(i *pkcs11.Info) { i.PINLow = true })}, name, Warn},
		"makes no key": {tokens{"/m.so": info(func(i *pkcs11.Info) { i.Algorithms = nil })}, name, Warn},
		"another":      {tokens{"/m.so": info(func(i *pkcs11.Info) { i.Label, i.Locked = "other", true })}, `token "other", serial number 1`, OK},
		"no token":     {tokens{"/m.so": nil}, "module /m.so", Warn},
		"no module":    {tokens{}, "module /m.so", Fail},
	} {
		t.Run(what, func(t *testing.T) {
			var f Findings
			f.LookAtTokens(t.Context(), c.found, []string{"/m.so"}, []Key{{URI: "file:/x"}, {URI: "pkcs11:token=keys;object=ca"}})
			want(t, f, c.what, c.status)
		})
	}
}

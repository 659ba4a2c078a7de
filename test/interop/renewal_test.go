package interop

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/certificate"
	legohttp "github.com/go-acme/lego/v4/challenge/http01"
	"github.com/go-acme/lego/v4/challenge/tlsalpn01"

	"github.com/enrollgate/enrollgate/test/harness"
)

// renewalLines add an endpoint where addresses are issued, orders choose among
// profiles, and CAA records count.
const renewalLines = `
profiles:
  - id: web
    title: Names and addresses
    keys: [ecdsa-p256]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P90D}
    subject: {cn_from_first_dns: true}
    subject_alt_name: {dns: {methods: [http-01, dns-01, tls-alpn-01]}, ip: {methods: [http-01, tls-alpn-01], allow: ["127.0.0.0/8"]}}
  - id: web-short
    title: Six days
    keys: [ecdsa-p256]
    key_usage: {bits: [digitalSignature]}
    ext_key_usage: {mode: fixed, values: [serverAuth]}
    validity: {default: P6D}
    subject_alt_name: {dns: {methods: [tls-alpn-01]}}
endpoints:
  - {id: acme-web, protocol: acme, tenant: default, ca: issuing, profile: web, authentication: [[acme-account]], profiles: {short: web-short, standard: web}, caa: [ca.example]}
`

// TestRenewal: lego proves names and addresses by tls-alpn-01, chooses profiles,
// asks for renewal information and says what it replaces; operators move the windows.
func TestRenewal(t *testing.T) {
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, lines(t)+renewalLines)
			r := &renewing{T: t, site: s, operator: &operator{t, harness.Binary(t), s.flags},
				lego: newLego(t, &door{site: s, directory: s.directory(t, "web"), root: s.File("root.pem")}).(*legoClient)}
			proven, standard := r.proves(), r.profiles()
			r.windows(proven[0], proven[1], standard)
			r.replaces(standard)
		})
	}
}

type renewing struct {
	*testing.T
	site     *site
	operator *operator
	lego     *legoClient
}

// obtain has lego obtain a certificate by one method.
func (r *renewing) obtain(method string, q certificate.ObtainRequest) (*x509.Certificate, error) {
	r.Helper()
	legoTurn.Lock()
	defer legoTurn.Unlock()
	client := r.lego.client(r.T, r.lego.user)
	var err error
	if method == "tls-alpn-01" {
		err = client.Challenge.SetTLSALPN01Provider(tlsalpn01.NewProviderServer("127.0.0.1", fmt.Sprint(r.site.tls)))
	} else {
		err = client.Challenge.SetHTTP01Provider(legohttp.NewProviderServer("127.0.0.1", fmt.Sprint(r.site.port)))
	}
	if err != nil {
		r.Fatal(err)
	}
	got, err := client.Certificate.Obtain(q)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(got.Certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		r.Fatal(err)
	}
	return leaf, nil
}

// proves: a name and an address together by tls-alpn-01, and an address by http-01.
func (r *renewing) proves() (all []*x509.Certificate) {
	r.Helper()
	for method, names := range map[string][]string{"http-01": {"127.0.0.1"}, "tls-alpn-01": {"127.0.0.1", "tls.host.example"}} {
		leaf, err := r.obtain(method, certificate.ObtainRequest{Domains: names})
		if err != nil {
			r.Fatalf("%s of %v: %v", method, names, err)
		}
		for _, name := range names {
			if err := leaf.VerifyHostname(name); err != nil {
				r.Error(err)
			}
		}
		if ip := net.ParseIP(leaf.Subject.CommonName); ip != nil {
			r.Errorf("the address %s is in the CN", ip)
		}
		all = append(all, leaf)
	}
	return all
}

func (r *renewing) profiles() *x509.Certificate {
	r.Helper()
	by := map[string]*x509.Certificate{}
	for profile, days := range map[string]int{"short": 6, "standard": 90} {
		leaf, err := r.obtain("tls-alpn-01", certificate.ObtainRequest{Domains: []string{profile + ".example"}, Profile: profile})
		if err != nil {
			r.Fatal(err)
		}
		if got := int(leaf.NotAfter.Sub(leaf.NotBefore).Hours()+1) / 24; got != days {
			r.Errorf("profile %s: %d days", profile, got)
		}
		by[profile] = leaf
	}
	if _, err := r.obtain("http-01", certificate.ObtainRequest{Domains: []string{"profile.example"}, Profile: "long"}); err == nil || !strings.Contains(err.Error(), "invalidProfile") {
		r.Errorf("a profile that there is not: %v", err)
	}
	return by["standard"]
}

func (r *renewing) info(leaf *x509.Certificate) *certificate.RenewalInfoResponse {
	r.Helper()
	legoTurn.Lock()
	defer legoTurn.Unlock()
	info, err := r.lego.client(r.T, r.lego.user).Certificate.GetRenewalInfo(certificate.RenewalInfoRequest{Cert: leaf})
	if err != nil {
		r.Fatal(err)
	}
	return info
}

// windows: one certificate's own, one that an operator set, and a past one of one
// that was revoked. Nobody asked for these before, so that nothing is remembered.
func (r *renewing) windows(own, revoked, moved *x509.Certificate) {
	r.Helper()
	if info := r.info(own); info.SuggestedWindow.Start.Before(own.NotAfter.AddDate(0, 0, -31)) || info.RetryAfter != 6*time.Hour || info.ShouldRenewAt(time.Now(), 0) != nil {
		r.Errorf("of its own: %+v", info)
	}
	var out struct {
		swept
		Renew struct{ Until time.Time }
	}
	r.operator.ask(&out, "cert", "renew", "--name", "dns:standard.example", "--within", "24h", "--explanation-url", "https://why.example/", "--yes")
	if out.Matched != 1 || out.Changed != 1 || !out.Complete || time.Until(out.Renew.Until) > 24*time.Hour {
		r.Errorf("cert renew: %+v", out)
	}
	if info := r.info(moved); info.SuggestedWindow.End.After(out.Renew.Until) || info.ExplanationURL != "https://why.example/" {
		r.Errorf("of an operator: %+v", info)
	}
	r.operator.run(0, "cert", "revoke", fmt.Sprintf("%032x", revoked.SerialNumber), "--reason", "superseded", "--yes")
	if info := r.info(revoked); !info.SuggestedWindow.End.Before(time.Now()) || info.ShouldRenewAt(time.Now(), 0) == nil {
		r.Errorf("of a revoked certificate: %+v", info)
	}
	client := acmezWithoutAccount(r.T, &door{site: r.site, directory: r.lego.door.directory, root: r.lego.door.root}).client
	for what, leaf := range map[string]*x509.Certificate{"of an operator": moved, "of a revoked certificate": revoked} {
		if info, err := client.GetRenewalInfo(r.Context(), leaf); err != nil || info.SelectedTime.After(out.Renew.Until) {
			r.Errorf("%s, to acmez: %+v, %v", what, info, err)
		}
	}
	var trail struct{ Audit []json.RawMessage }
	r.operator.ask(&trail, "explain", out.Job)
	if !strings.Contains(fmt.Sprintf("%s", trail.Audit), "renewal.asked") {
		r.Errorf("explain %s: %s", out.Job, trail.Audit)
	}
	r.operator.run(2, "cert", "renew", "--name", "dns:standard.example", "--within", "1s", "--yes")
}

func (r *renewing) replaces(leaf *x509.Certificate) {
	r.Helper()
	id, err := certificate.MakeARICertID(leaf)
	if err != nil {
		r.Fatal(err)
	}
	// The second time lego orders again without naming what is replaced already.
	for _, operation := range []string{"rekey", "enroll"} {
		next, err := r.obtain("http-01", certificate.ObtainRequest{Domains: []string{"standard.example"}, ReplacesCertID: id})
		if err != nil {
			r.Fatal(err)
		}
		r.operator.wantOperation(next, operation)
	}
}

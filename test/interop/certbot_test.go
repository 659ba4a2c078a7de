package interop

import (
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// certbot is an unmodified certbot with folders of its own.
type certbot struct {
	*harness.CertbotClient
	door  *door
	hooks []string
}

func newCertbot(t *testing.T, d *door) client {
	c := certbot{harness.Certbot(t, d.root, d.port), d, d.zone.hooks(t)}
	c.MustRun("register", "--server", d.directory, "--agree-tos", "-m", "ops@host.example", "--no-eff-email")
	return c
}

func (c certbot) obtain(t *testing.T, method string, names ...string) product {
	args := []string{"certonly", "--server", c.door.directory, "--cert-name", method}
	for _, name := range names {
		args = append(args, "-d", name)
	}
	if method == "dns-01" {
		args = append(args, c.hooks...)
	}
	c.MustRun(args...)
	return c.live(method, names)
}

// renew needs no more than the name: certbot remembers how it was done.
func (c certbot) renew(t *testing.T, p product) product {
	c.MustRun("renew", "--cert-name", p.method, "--force-renewal", "--no-random-sleep-on-renew")
	return c.live(p.method, p.names)
}

func (c certbot) revoke(t *testing.T, p product, signer signer, why reason) {
	args := []string{"revoke", "--server", c.door.directory, "--cert-path", c.Live(p.method, "cert.pem"),
		"--reason", strings.ToLower(why.name), "--no-delete-after-revoke"}
	if signer == byCertificate {
		args = append(args, "--key-path", c.Live(p.method, "privkey.pem"))
	}
	c.MustRun(args...)
}

// live are the files of a certificate that certbot calls after its method.
func (c certbot) live(method string, names []string) product {
	return product{method: method, names: names,
		certificate: c.Live(method, "cert.pem"), chain: c.Live(method, "chain.pem"), key: c.Live(method, "privkey.pem")}
}

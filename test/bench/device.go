package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/enrollgate/enrollgate/test/harness"
)

// device is one EST client (RFC 7030): a connection, and a password or a client
// certificate.
type device struct{ peer }

// estSite is where a site serves EST, and for whom.
type estSite struct {
	address, host  string
	user, password string
}

const estPath = "/.well-known/est/default/issuing/est-digital-signature/"

// newESTSite makes a password for many uses, as an operator would.
func newESTSite(h *host, daemon *harness.Process, config string) (e estSite) {
	made := newCredential(h, daemon, config, estDoor, "est-digital-signature")
	e.user, e.password = made.Username, made.Password
	e.address = daemon.Addresses().EST
	_, port, _ := cutLast(e.address, ":")
	e.host = "localhost:" + port
	return e
}

// credential is what `credential create --json` gives.
type credential struct{ Username, Password, Challenge string }

func newCredential(h *host, daemon *harness.Process, config, door, profile string) (made credential) {
	cmd := exec.Command(harness.PlainBinary(h), "credential", "create", "--dev", "--data", daemon.File(""), "--config", config,
		"--protocol", door, "--profile", profile, "--uses", "unlimited", "--ttl", "P1D", "--json")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		h.Fatalf("make a credential: %v: %s", err, said.Bytes())
	}
	h.check("read the credential", json.Unmarshal(out, &made))
	return made
}

// device makes a client that sends the password, or has enrolled a certificate and
// shows that.
func (s *site) device(shows bool) (*device, error) {
	const media = "Content-Type: application/pkcs10\r\n"
	d := &device{peer{wire: newWire(s.est.address, s.est.host, s.roots)}}
	d.wire.head = media + "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s.est.user+":"+s.est.password)) + "\r\n"
	if !shows {
		return d, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	d.name = fmt.Sprintf("d%s-%d.bench.example", started, made.Add(1))
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{d.name}}, key)
	if err != nil {
		return nil, err
	}
	answer, err := d.ask("simpleenroll", base64.StdEncoding.EncodeToString(der))
	if err != nil {
		return nil, err
	}
	certificate, err := bundled(answer)
	if err != nil {
		return nil, err
	}
	d.wire.hangUp()
	d.wire.head, d.posts = media, 0
	d.wire.config.Certificates = []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}
	return d, nil
}

// enroll is one flow: a certificate for a name that nobody has yet.
func (d *device) enroll(j job, _ *responder) error {
	_, err := d.ask("simpleenroll", j.csr)
	return err
}

// reenroll is one flow: the certificate of the connection anew, with another key.
func (d *device) reenroll(j job, _ *responder) error {
	_, err := d.ask("simplereenroll", j.csr)
	return err
}

// ask posts a request and gives the answer, in base64.
func (d *device) ask(operation, csr string) (string, error) {
	d.posts++
	r, err := d.wire.do("POST", estPath+operation, []byte(csr))
	if err != nil {
		return "", err
	}
	if r.status != 200 || len(r.body) == 0 {
		return "", fmt.Errorf("%s: %d: %s", operation, r.status, bytes.TrimSpace(r.body))
	}
	return string(r.body), nil
}

// bundled finds the certificate in a SignedData that holds nothing else: it stands
// before the empty set of signers (RFC 5652 section 5.1).
func bundled(text string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	for at := range der {
		if c, err := x509.ParseCertificate(bytes.TrimSuffix(der[at:], []byte{0x31, 0})); err == nil {
			return c.Raw, nil
		}
	}
	return nil, errors.New("the answer holds no certificate")
}

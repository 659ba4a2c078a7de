package scep

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// conversation is how a vendor's client enrolls and renews: a fixture in
// testdata/quirks, which says where that is known from.
type conversation struct {
	Method        string  `yaml:"method"`     // get or post
	Version       string  `yaml:"version"`    // of HTTP
	Path          string  `yaml:"path"`       // behind the endpoint's; "ndes": that of NDES
	Identifier    *string `yaml:"identifier"` // message of GetCACaps and GetCACert; missing: none is sent
	Base64        string  `yaml:"base64"`     // of a GET: escaped, plain or unpadded
	Cipher        string  `yaml:"cipher"`
	Digest        string  `yaml:"digest"`         // of the message
	RequestDigest string  `yaml:"request_digest"` // of the PKCS#10 request
	Challenge     string  `yaml:"challenge"`      // string type
	NoNonce       bool    `yaml:"no_nonce"`
	Renews        string  `yaml:"renews"`         // RenewalReq, PKCSReq (signed by the certificate) or anew
	RenewalKey    string  `yaml:"renewal_key"`    // same or new
	RenewalSecret string  `yaml:"renewal_secret"` // none, first or fresh
}

func readConversation(t *testing.T, name string) *conversation {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "quirks", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "nothing was recorded") || !strings.Contains(string(text), "# Source: ") {
		t.Errorf("%s does not say where it is from", name)
	}
	out, decoder := &conversation{}, yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(out); err != nil {
		t.Fatal(name, err)
	}
	return out
}

// vendor is a client that talks as a fixture says.
type vendor struct {
	*client
	*conversation
}

var (
	digestNames = map[string]crypto.Hash{"SHA-1": crypto.SHA1, "SHA-256": crypto.SHA256, "SHA-512": crypto.SHA512}
	stringNames = map[string]casn1.Tag{"PrintableString": casn1.PrintableString, "UTF8String": casn1.UTF8String}
)

func newVendor(k *kit, c *conversation) *vendor {
	k.Helper()
	v := &vendor{k.newClient(1), c}
	var ok bool
	if v.cipher, ok = cms.CipherByName(c.Cipher); !ok || digestNames[c.Digest] == 0 || digestNames[c.RequestDigest] == 0 || stringNames[c.Challenge] == 0 {
		k.Fatalf("%+v", c)
	}
	v.hash, v.path = digestNames[c.Digest], at+c.Path
	if c.Path == "ndes" {
		v.path = ndesPath
	}
	return v
}

// operation sends one without a message of SCEP's.
func (v *vendor) operation(name string) answer {
	query := "?operation=" + name
	if v.Identifier != nil {
		query += "&message=" + *v.Identifier
	}
	return v.send(query, nil)
}

func (v *vendor) send(query string, body []byte) answer {
	if body != nil {
		return v.k.do(http.MethodPost, v.path+query, body)
	}
	r := v.k.raw(http.MethodGet, v.path+query, "HTTP/"+v.Version)
	text, err := io.ReadAll(r.Body)
	if err != nil {
		v.k.Fatal(err)
	}
	if r.ContentLength != int64(len(text)) {
		v.k.Errorf("%s: %d octets of %d", query, len(text), r.ContentLength)
	}
	return answer{r.StatusCode, r.Header, text}
}

// talk sends a request and reads what comes back.
func (v *vendor) talk(kind messageType, change ...func(*csr)) *received {
	v.k.Helper()
	change = append(change, func(r *csr) { r.hash, r.tag = digestNames[v.RequestDigest], stringNames[v.Challenge] })
	attributes := cms.Attributes{printable(oidMessageType, map[messageType]string{pkcsReq: "19", renewalReq: "17"}[kind]), printable(oidTransaction, v.transaction)}
	if !v.NoNonce {
		attributes = append(attributes, octets(oidSenderNonce, nonce))
	}
	message := v.signed(v.envelope(v.csr(change...)), attributes)
	query := "?operation=PKIOperation"
	if v.Method == "post" {
		return v.readFrom(v.send(query, message))
	}
	text := base64.StdEncoding.EncodeToString(message)
	switch v.Base64 {
	case "escaped":
		text = url.QueryEscape(text)
	case "unpadded":
		text = url.QueryEscape(strings.TrimRight(text, "="))
	case "plain":
	default:
		v.k.Fatal(v.Base64)
	}
	return v.readFrom(v.send(query+"&message="+text, nil))
}

func (v *vendor) readFrom(a answer) *received {
	v.k.Helper()
	if v.NoNonce {
		return v.readTo(a, nil)
	}
	return v.read(a)
}

// TestQuirkSets: with its quirk set each vendor's client enrolls and renews; where
// the set grants something it does not without.
func TestQuirkSets(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "quirks", "*.yaml"))
	if err != nil || len(files) != len(QuirkSets()) {
		t.Fatalf("%d fixtures, %d quirk sets, %v", len(files), len(QuirkSets()), err)
	}
	for _, name := range QuirkSets() {
		t.Run(name, func(t *testing.T) {
			set, err := QuirkSet(name)
			if err != nil || set.About == "" {
				t.Fatal(err)
			}
			said := readConversation(t, name)
			for _, quirks := range []string{name, ""} {
				k := newKit(t, func(k *kit) {
					k.adapt = func(o *Options) {
						o.Own["one-issuing-"+dual] = Own{Quirks: quirks}
						o.NDES = &NDES{Endpoint: "one-issuing-" + dual, Lifetime: time.Hour}
					}
				})
				v := newVendor(k, said)
				if quirks == "" && len(set.Legacy) > 0 {
					k.refused("without its quirk set", v.talk(pkcsReq, with(k.secret())), badAlg, "an algorithm of the message")
					if k.events()["certificate.issued"] != 0 || len(k.seen.legacy) != 0 {
						t.Error("something came of it")
					}
					continue
				}
				v.enrollsAndRenews(t, set)
			}
		})
	}
}

func (v *vendor) enrollsAndRenews(t *testing.T, set Quirks) {
	k := v.k
	caps, certificates := v.operation("GetCACaps"), v.operation("GetCACert")
	if caps.status != http.StatusOK || certificates.status != http.StatusOK || certificates.header.Get("Content-Type") != typeCACerts {
		t.Fatalf("%d %d", caps.status, certificates.status)
	}
	listed := strings.Fields(string(caps.body))
	for _, name := range set.Legacy {
		if word := map[string]string{"des3": "DES3", "sha1": "SHA-1"}[name]; !slices.Contains(listed, word) {
			t.Errorf("%s is not listed: %v", word, listed)
		}
	}
	first := k.secret()
	old := v.issued(v.talk(pkcsReq, with(first)))
	k.Late(time.Until(old.NotAfter) - 30*24*time.Hour)
	secret := map[string]func() string{"none": func() string { return "" }, "first": func() string { return first }, "fresh": func() string { return k.secret() }}[v.RenewalSecret]()
	next, kind := *v.client, pkcsReq
	next.transaction = ca.RandomID(16)
	renewing := &vendor{&next, v.conversation}
	key := next.key
	if v.RenewalKey == "new" {
		key = rsaKey(t, 2)
	}
	switch v.Renews {
	case "anew":
		again := k.clientWith(key)
		again.cipher, again.hash, again.path = v.cipher, v.hash, v.path
		renewing.client = again
	case "RenewalReq":
		kind = renewalReq
		fallthrough
	case "PKCSReq":
		next.certificate = old.Raw
	default:
		t.Fatal(v.Renews)
	}
	if cert := renewing.issued(renewing.talk(kind, with(secret), func(r *csr) { r.key = key })); cert.Equal(old) || cert.Subject.String() != old.Subject.String() {
		t.Errorf("renewed to %s", cert.Subject)
	}
	for _, name := range set.Legacy {
		if k.seen.legacy[name] != 2 {
			t.Errorf("%v were counted", k.seen.legacy)
		}
	}
}

// TestQuirksOfClocks: what is known of when clients renew.
func TestQuirksOfClocks(t *testing.T) {
	for _, name := range QuirkSets() {
		set, err := QuirkSet(name)
		if want := map[string]time.Duration{"ilo": 30 * 24 * time.Hour}[name]; err != nil || set.RenewsBefore() != want {
			t.Errorf("%s: %s, %v", name, set.RenewsBefore(), err)
		}
	}
}

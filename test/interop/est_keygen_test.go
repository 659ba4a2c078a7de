package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// madeKeys is an endpoint that makes keys for its clients.
const madeKeys = `profiles:
  - id: est-made-keys
    extends: est-digital-signature
    server_keys: [ecdsa-p256, rsa-2048]
    key_usage: {bits: [digitalSignature, keyAgreement]}
endpoints:
  - {id: est-made-keys, protocol: est, tenant: default, ca: issuing, profile: est-made-keys, authentication: [[password], [certificate]], server_keygen: true}
`

// keyUser makes a password for that endpoint.
func (d *estDoor) keyUser(t *testing.T, args ...string) (u estUser) {
	t.Helper()
	args = append([]string{"credential", "create", "--json", "--protocol", "est", "--endpoint", "est-made-keys"}, args...)
	if err := json.Unmarshal(enrollgate(t, append(args, d.flags...)...), &u); err != nil || u.Password == "" {
		t.Fatal(u, err)
	}
	return u
}

// in runs a shell command in the clients' folder, as the page of the door has it.
func (d *estDoor) in(t *testing.T, folder, command string) string {
	t.Helper()
	return sh(t, "cd "+folder+"\n"+strings.NewReplacer("BASE", d.keys, "root.pem", d.File("root.pem")).Replace(command))
}

// The commands of docs/est.md, which the page is held against.
const (
	splitReply = `tr -d '\r' < reply.txt | awk '/^--/{n++; next} n==1 && NF && !/: /' | openssl base64 -d > key.der
tr -d '\r' < reply.txt | awk '/^--/{n++; next} n==2 && NF && !/: /' | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out device.pem
`
	makeRequest = `printf 'oid_section=oids\n[oids]\ndecryptKeyID=1.2.840.113549.1.9.16.2.37\n[req]\nprompt=no\ndistinguished_name=dn\nattributes=asked\n[dn]\nCN=device-10\n[asked]\ndecryptKeyID=KEYID\n' > device.cnf
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout throwaway.key -config device.cnf -outform DER | openssl base64 > device.b64
`
	unpackKey = `openssl asn1parse -inform DER -in signed.der -strparse $(openssl asn1parse -inform DER -in signed.der | awk -F: '/OCTET STRING/ {print $1; exit}') -noout -out package.der
openssl asn1parse -inform DER -in package.der -strparse $(openssl asn1parse -inform DER -in package.der | awk -F: '/d=1/ {print $1; exit}') -noout -out key.der
`
)

// paired checks that key.der and device.pem in a folder belong together, and are
// the CA's.
func (d *estDoor) paired(t *testing.T, folder string) {
	t.Helper()
	d.in(t, folder, `openssl pkey -inform DER -in key.der -pubout -out a.pub; openssl x509 -in device.pem -noout -pubkey > b.pub; cmp a.pub b.pub`)
	openssl(t, "verify", "-CAfile", d.File("root.pem"), "-untrusted", d.File("chain.pem"), filepath.Join(folder, "device.pem"))
}

// made has curl and openssl, and the client of globalsign, ask for keys.
func (d *estDoor) made(t *testing.T) {
	page := read(t, filepath.Join(harness.ModuleRoot(t), "docs", "est.md"))
	for _, commands := range []string{splitReply, unpackKey, makeRequest} {
		if !strings.Contains(page, commands) {
			t.Errorf("docs/est.md lacks what is run here:\n%s", commands)
		}
	}
	u, folder := d.keyUser(t), t.TempDir()
	ask := `curl -sf --cacert root.pem --user ` + u.Username + ":" + u.Password + ` -H "Content-Type: application/pkcs10" --data-binary @device.b64 BASE/serverkeygen -o reply.txt` + "\n"
	d.in(t, folder, `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout throwaway.key -subj /CN=device-8 -addext subjectAltName=DNS:device-8.example -outform DER | openssl base64 > device.b64
`+ask+splitReply)
	d.paired(t, folder)
	d.in(t, folder, "cp reply.txt first.txt\n"+ask+"cmp reply.txt first.txt")
	if out := sh(t, "curl -s -o /dev/null -w '%{http_code}' --cacert "+d.File("root.pem")+" -H 'Content-Type: application/pkcs10' --data-binary @"+folder+"/device.b64 "+d.url+"/serverkeygen"); out != "404" {
		t.Errorf("where it is not switched on: %s", out)
	}
	path := estclient(t)
	at, label, _ := strings.Cut(strings.TrimPrefix(d.keys, "https://"), "/.well-known/est/")
	more := d.keyUser(t)
	d.in(t, folder, `openssl req -new -newkey rsa:2048 -nodes -keyout other.key -subj /CN=device-9 -out device.csr`)
	out, err := exec.CommandContext(t.Context(), path, "serverkeygen", "-server", at, "-aps", strings.ReplaceAll(label, "/", "_"), "-explicit", d.File("root.pem"), "-user", more.Username,
		"-pass", more.Password, "-csr", filepath.Join(folder, "device.csr"), "-out", filepath.Join(folder, "device.pem"), "-keyout", filepath.Join(folder, "made.key")).CombinedOutput()
	if err != nil {
		t.Fatalf("estclient: %v\n%s", err, out)
	}
	d.in(t, folder, `openssl pkey -in made.key -outform DER -out key.der; openssl pkey -in made.key -noout -text | grep -q '2048 bit'`)
	d.paired(t, folder)
}

// decryptKey makes a secret that keys are encrypted under.
func (d *estDoor) decryptKey(t *testing.T) (out struct {
	ID, Secret string
	SecretHex  string `json:"secret_hex"`
}) {
	t.Helper()
	if err := json.Unmarshal(enrollgate(t, append([]string{"credential", "create", "--json", "--protocol", "est", "--endpoint", "est-made-keys", "--decrypt-key"}, d.flags...)...), &out); err != nil || out.SecretHex == "" {
		t.Fatal(out, err)
	}
	return out
}

// encrypted has openssl open a key as a password and as a key-encryption key.
func (d *estDoor) encrypted(t *testing.T) {
	u, k, folder := d.keyUser(t), d.decryptKey(t), t.TempDir()
	d.in(t, folder, strings.Replace(makeRequest, "KEYID", k.ID, 1)+`curl -sf --cacert root.pem --user `+u.Username+":"+u.Password+` -H "Content-Type: application/pkcs10" --data-binary @device.b64 BASE/serverkeygen -o reply.txt
grep -q 'smime-type=server-generated-key' reply.txt
`+splitReply+`mv key.der envelope.der`)
	for name, how := range map[string]string{"password": "-pwri_password " + k.Secret, "key": "-secretkey " + k.SecretHex + " -secretkeyid " + hex.EncodeToString([]byte(k.ID))} {
		d.in(t, folder, "openssl cms -decrypt -inform DER -in envelope.der "+how+" -binary -out signed.der\n"+unpackKey)
		d.paired(t, folder)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// encryptedTo has a key made for a client that renews by a certificate, encrypted
// for that certificate.
func (d *estDoor) encryptedTo(t *testing.T) {
	u, folder := d.keyUser(t), t.TempDir()
	d.in(t, folder, `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old.key -subj /CN=device-11 -outform DER | openssl base64 > device.b64
curl -sf --cacert root.pem --user `+u.Username+":"+u.Password+` -H "Content-Type: application/pkcs10" --data-binary @device.b64 BASE/simpleenroll | openssl base64 -d | openssl pkcs7 -inform DER -print_certs | openssl x509 -out old.pem`)
	text, err := os.ReadFile(filepath.Join(folder, "old.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	old, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "asked.der"), askingFor(t, old.SubjectKeyId), 0o600); err != nil {
		t.Fatal(err)
	}
	d.in(t, folder, `curl -sf --cacert root.pem --cert old.pem --key old.key -H "Content-Type: application/pkcs10" --data-binary @asked.der BASE/serverkeygen -o reply.txt
`+splitReply+`mv key.der envelope.der
openssl cms -decrypt -inform DER -in envelope.der -recip old.pem -inkey old.key -binary -out signed.der
`+unpackKey)
	d.paired(t, folder)
	if out := d.in(t, folder, "openssl x509 -in device.pem -noout -subject"); !strings.Contains(out, "device-11") {
		t.Error(out)
	}
}

// askingFor is a request for a key that is encrypted for a certificate (RFC 7030
// section 4.4.1.2).
func askingFor(t *testing.T, keyID []byte) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	type attribute struct {
		Type   asn1.ObjectIdentifier
		Values [][]byte `asn1:"set"`
	}
	info, err := asn1.Marshal(struct {
		Version    int
		Subject    pkix.RDNSequence
		Key        asn1.RawValue
		Attributes []attribute `asn1:"tag:0,set"`
	}{Key: asn1.RawValue{FullBytes: spki}, Attributes: []attribute{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 54}, [][]byte{keyID}}}})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(info)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// cmc has openssl sign a full PKI request and verify the response; the request in
// it is openssl's, too.
func (d *estDoor) cmc(t *testing.T) {
	u, folder := d.keyUser(t, "--uses", "2"), t.TempDir()
	d.in(t, folder, `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -subj /CN=device-12 -outform DER -out device.csr
openssl req -x509 -new -key device.key -subj /CN=device-12 -out self.pem`)
	csr, err := os.ReadFile(filepath.Join(folder, "device.csr"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := asn1.Marshal(1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := asn1.Marshal(struct{ Controls, Requests, Contents, Others []asn1.RawValue }{
		Requests: []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(part, csr...)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "data.der"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	post := `curl -s -w '%{http_code}' --cacert root.pem --user ` + u.Username + ":" + u.Password + ` -H "Content-Type: application/pkcs7-mime; smime-type=CMC-request" --data-binary @request.b64 BASE/fullcmc -o response.b64` + "\n"
	sign := func(content string) string {
		return d.in(t, folder, `openssl cms -sign -binary -nodetach -econtent_type 1.3.6.1.5.5.7.12.2 -in `+content+` -signer self.pem -inkey device.key -outform DER | openssl base64 > request.b64
`+post)
	}
	verify := `openssl base64 -d -in response.b64 -out response.der
openssl cms -verify -inform DER -in response.der -CAfile root.pem -purpose any -binary -out answer.der
openssl asn1parse -inform DER -in answer.der`
	if status := sign("data.der"); status != "200" {
		t.Fatalf("%s %s", status, d.in(t, folder, verify))
	}
	out := d.in(t, folder, verify+`
openssl pkcs7 -inform DER -in response.der -print_certs`)
	if !strings.Contains(out, "device-12") || !strings.Contains(out, "Registration Authority") {
		t.Error(out)
	}
	if status := sign("device.csr"); status != "400" {
		t.Errorf("no PKIData: %s", status)
	}
	if out := d.in(t, folder, verify); !strings.Contains(out, "not a full PKI request") {
		t.Error(out)
	}
}

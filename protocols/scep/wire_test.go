package scep

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// TestOperations: operations are found whatever their case is; what is not listed
// is refused, and what GetCACaps and GetCACert are asked with is passed over.
func TestOperations(t *testing.T) {
	k := newKit(t, nil)
	for _, operation := range []string{"GetCACaps", "getcacaps", "GETCACAPS", "GetCACert", "getCACert"} {
		for _, message := range []string{"", "&message", "&message=", "&message=CAIdentifier", "&message=0", "&message=%2F%00", "&message=tp+1", "&message=" + strings.Repeat("A", maxMessage)} {
			if a := k.get(at + "?operation=" + operation + message); a.status != http.StatusOK {
				t.Errorf("%s%.20s: %d %s", operation, message, a.status, a.body)
			}
		}
	}
	if a := k.do(http.MethodPost, at+"?operation=GetCACaps", nil); a.status != http.StatusOK {
		t.Errorf("POST: %d", a.status)
	}
	for _, query := range []string{"", "?", "?operation", "?operation=", "?operation=PKI", "?operation=GetCACaps%20", "?operation=GetCAChain", "?Operation=GetCACaps", "?message=x", "?operation=%zz", "?x=GetCACaps"} {
		if a := k.get(at + query); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "RFC 8894 section 4.1") || !strings.Contains(string(a.body), " [trace ") {
			t.Errorf("%q: %d %s", query, a.status, a.body)
		}
	}
	for _, query := range []string{"?operation=PKIOperation", "?operation=PKIOperation&message=", "?operation=PKIOperation&message=CAIdentifier", "?operation=PKIOperation&message=****"} {
		if a := k.get(at + query); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", query, a.status, a.body)
		}
	}
	if n := k.seen.Replies("one-issuing-" + dual + " GetCACaps http 2xx"); n != 25 {
		t.Errorf("%d were counted", n)
	}
	if n := k.seen.Replies("one-issuing-" + dual + " unlisted http 4xx"); n != 11 {
		t.Errorf("%d refusals were counted", n)
	}
}

// TestPaths: what clients append is part of the address; nothing is redirected.
func TestPaths(t *testing.T) {
	k := newKit(t, nil)
	for path, want := range map[string]int{
		"": 200, "/": 200, "/pkiclient.exe": 200, "/PKICLIENT.EXE": 200, "/cgi-bin/pkiclient.exe": 200, "/CGI-BIN/PKIClient.exe": 200, "/nop": 200, "/nop/": 200, "/nop/whatever": 200,
		"/nop/a/b/pkiclient.exe": 200, "/intune": 404, "/intune/": 404, "/mdm": 404, "/nope": 404, "/pkiclient": 404, "/pkiclient.exe/": 404, "/cgi-bin/": 404, "/cgi-bin": 404, "/../nop": 404, "//": 404, "/x/nop": 404,
	} {
		a := k.get(at + path + "?operation=GetCACaps")
		if a.status != want || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	for _, path := range []string{"/scep", "/scep/", "/scep/one", "/scep/one/issuing", "/scep/one/issuing/", "/scep/one/issuing/none", "/scep/none/issuing/" + dual, "/scep/two/spare/" + dual,
		"/scep/one/issuing/SCEP-digital-signature", "/SCEP/one/issuing/" + dual, "/scep/one/issuing%2F" + dual, ndesPath, ndesPath + "/pkiclient.exe", adminPath, adminPath + "/"} {
		if a := k.raw("GET", path+"?operation=GetCACaps", "HTTP/1.1"); a.StatusCode != http.StatusNotFound || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header)
		}
	}
}

func TestMethods(t *testing.T) {
	k := newKit(t, nil)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"} {
		if a := k.raw(method, at+"?operation=GetCACaps", "HTTP/1.1"); a.StatusCode != http.StatusMethodNotAllowed && a.StatusCode != http.StatusNotFound || method != "PROPFIND" && a.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: %d %v", method, a.StatusCode, a.Header)
		}
	}
}

// raw sends a request line and nothing else.
func (k *kit) raw(method, target, version string) *http.Response {
	k.Helper()
	conn, err := net.Dial("tcp", k.server.Listener.Addr().String())
	if err != nil {
		k.Fatal(err)
	}
	defer conn.Close()
	host := "Host: scep.example\r\nConnection: close\r\n"
	if version == "HTTP/1.0" {
		host = "" // such clients send none
	}
	if _, err := fmt.Fprintf(conn, "%s %s %s\r\n%s\r\n", method, target, version, host); err != nil {
		k.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		k.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		k.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

// TestHTTP10: old clients speak HTTP/1.0 without a Host and read no chunks.
func TestHTTP10(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	message := url.QueryEscape(base64.StdEncoding.EncodeToString(c.message(pkcsReq, c.envelope(c.csr(with(k.secret()))))))
	for _, query := range []string{"GetCACaps", "GetCACert&message=trustpoint", "PKIOperation&message=" + message, "none"} {
		r := k.raw("GET", at+"/pkiclient.exe?operation="+query, "HTTP/1.0")
		body, err := io.ReadAll(r.Body)
		if err != nil || len(r.TransferEncoding) > 0 || r.ContentLength != int64(len(body)) || len(body) == 0 {
			t.Errorf("%.20s: %d octets, %v %v, %v", query, len(body), r.Header, r.TransferEncoding, err)
		}
		if strings.HasPrefix(query, "PKI") {
			c.issued(c.read(answer{r.StatusCode, r.Header, body}))
		}
	}
}

// TestBase64: the forms in which clients write a message into an address.
func TestBase64(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	var text string // one that has every character that matters
	for !strings.Contains(text, "+") || !strings.Contains(text, "/") || !strings.HasSuffix(text, "=") {
		c.transaction = ca.RandomID(10 + len(c.transaction)%3)
		text = base64.StdEncoding.EncodeToString(c.message(pkcsReq, c.envelope(c.csr(with("wrong")))))
	}
	lines := func(end string) string {
		var b strings.Builder
		for i := 0; i < len(text); i += 64 {
			b.WriteString(text[i:min(i+64, len(text))] + end)
		}
		return b.String()
	}
	for name, sent := range map[string]string{
		"escaped": url.QueryEscape(text), "as it is": text, "blanks for plus": strings.ReplaceAll(url.QueryEscape(text), "%2B", "%20"), "unpadded": url.QueryEscape(strings.TrimRight(text, "=")),
		"for addresses": strings.NewReplacer("+", "-", "/", "_").Replace(text), "lines": url.QueryEscape(lines("\n")), "lines of CRLF": url.QueryEscape(lines("\r\n")),
	} {
		if r := c.read(k.get(at + "?operation=PKIOperation&message=" + sent)); r.fail != badMessageCheck || !strings.Contains(r.text, "challengePassword is wrong") {
			t.Errorf("%s: %s %s", name, r.fail, r.text)
		}
	}
	for name, sent := range map[string]string{"cut": url.QueryEscape(text[:len(text)-5]), "another character": "*" + url.QueryEscape(text), "PEM": url.QueryEscape("-----BEGIN-----" + text)} {
		if a := k.get(at + "?operation=PKIOperation&message=" + sent); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestTooLong: a message over the limit is refused by its length, however it comes.
func TestTooLong(t *testing.T) {
	k := newKit(t, nil)
	if a := k.post(at, make([]byte, maxMessage+1)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("POST: %d", a.status)
	}
	if a := k.get(at + "?operation=PKIOperation&message=" + strings.Repeat("A", maxMessage*4/3+5)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("GET: %d", a.status)
	}
	r, err := http.Post(k.server.URL+at+"?operation=PKIOperation", "application/x-pki-message", io.LimitReader(zeros{}, maxMessage+1)) // in chunks
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("in chunks: %d", r.StatusCode)
	}
	if a := k.post(at, make([]byte, maxMessage)); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "no pkiMessage") {
		t.Errorf("at the limit: %d %s", a.status, a.body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestNonces: a message without a senderNonce is answered without a
// recipientNonce, and every answer has a nonce of its own.
func TestNonces(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	envelope := c.envelope(c.csr(with(k.secret())))
	attributes := cms.Attributes{printable(oidMessageType, "19"), printable(oidTransaction, c.transaction)}
	seen := map[string]bool{}
	for range 3 {
		a := k.post(at, c.signed(envelope, attributes))
		m := signerOf(t, a.body)
		sender, ok := m.Signed.Value(oidSenderNonce)
		if _, has := m.Signed.Value(oidRecipientNonce); has || !ok || len(sender) != 2+nonceSize || seen[string(sender)] {
			t.Errorf("senderNonce %x, recipientNonce %t", sender, has)
		}
		seen[string(sender)] = true
	}
	for size, want := range map[int]int{0: 200, 8: 200, maxNonce: 200, maxNonce + 1: 400} {
		sent := bytes.Repeat([]byte{7}, size)
		a := k.post(at, c.signed(envelope, append(attributes[:2:2], octets(oidSenderNonce, sent))))
		if a.status != want {
			t.Errorf("%d octets: %d %s", size, a.status, a.body)
			continue
		}
		if want == 200 {
			if got, _ := signerOf(t, a.body).Signed.Value(oidRecipientNonce); !bytes.HasSuffix(got, sent) || len(got) != size+2 {
				t.Errorf("%d octets: %x", size, got)
			}
		}
	}
}

// signerOf is the signature of a reply.
func signerOf(t testing.TB, body []byte) *cms.SignerInfo {
	t.Helper()
	s, err := cms.ReadSigned(body, cms.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := s.Signer()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

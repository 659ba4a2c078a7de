package scep

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"html"
	"net/http"
	"time"
	"unicode/utf16"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// NDES serves one endpoint under the addresses of Microsoft's Network Device
// Enrollment Service, for products that know no other ones.
type NDES struct {
	Endpoint string        // id of an endpoint that takes secrets of the registry
	Lifetime time.Duration // of a secret that the administrator's page gives
}

const (
	ndesPath  = "/certsrv/mscep/mscep.dll"
	adminPath = "/certsrv/mscep_admin"
)

// AdminRoutes mounts the page that gives one-time secrets. It belongs on an https
// listener: its users send passwords.
func (d *Door) AdminRoutes(r chi.Router) {
	if d.ndes == nil {
		return
	}
	at := func(*http.Request) *endpoint { return d.ndes }
	r.HandleFunc(adminPath, d.serve(at, d.admin))
	r.HandleFunc(adminPath+"/*", d.serve(func(r *http.Request) *endpoint {
		if rest := chi.URLParam(r, "*"); rest == "" || rest == "mscep.dll" {
			return d.ndes
		}
		return nil
	}, d.admin))
}

// admin makes a one-time secret and shows it in the words of NDES's page, which
// management products search it for. Each is a row of the registry: there is no
// cache that fills up, and none is lost when the daemon starts again.
func (d *Door) admin(w http.ResponseWriter, r *request) error {
	r.operation = "mscep_admin"
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		return httpx.Fail(http.StatusMethodNotAllowed, "the page is read by GET")
	}
	by, err := d.administrator(r)
	if err != nil {
		return err
	}
	issuer, err := d.Issuers.Issuer(r.endpoint.Tenant, r.endpoint.CA)
	if err != nil {
		return err
	}
	_, secret, err := d.Credentials.Mint(r.Context(), by, &r.endpoint.Endpoint, d.Now().Add(d.NDES.Lifetime), r.trace)
	if err != nil {
		return err
	}
	return send(w, "text/html; charset=UTF-16LE", page(BundleIssuer.of(issuer)[0], secret.Text(), d.NDES.Lifetime))
}

// administrator checks HTTP Basic credentials of a user who may fetch secrets for
// the endpoint.
func (d *Door) administrator(r *request) (*credential.Credential, error) {
	user, password, sent := r.BasicAuth()
	if !sent {
		return nil, &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, First: true, Text: "this page wants a user name and password by HTTP Basic"}
	}
	wrong := &httpx.Refusal{Status: http.StatusUnauthorized, Challenge: true, Text: "the user name or password is wrong, or for another endpoint"}
	known, err := d.Credentials.User(r.Context(), &r.endpoint.Endpoint, user, password)
	if ca.IsKind(err, ca.BadProof) {
		return nil, wrong
	}
	if err != nil {
		return nil, err
	}
	if known.At(d.Now()) != credential.Live {
		return nil, wrong
	}
	return known, nil
}

// page is the text that products look for, in the encoding that they expect it in.
func page(issuer []byte, secret string, lifetime time.Duration) []byte {
	thumbprint := sha256.Sum256(issuer)
	text := fmt.Sprintf("<HTML><Head><Title>Network Device Enrollment Service</Title></Head><Body>\r\n"+
		"<P> The thumbprint (hash value) for the CA certificate is: <B> %s </B>\r\n"+
		"<P> The enrollment challenge password is: <B> %s </B>\r\n"+
		"<P> This password can be used only once and will expire within %d minutes.\r\n"+
		"<P> Each enrollment requires a new challenge password. You can refresh this web page to obtain a new challenge password.\r\n"+
		"</Body></HTML>\r\n", grouped(thumbprint[:]), html.EscapeString(secret), int(lifetime.Round(time.Minute).Minutes()))
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// grouped writes octets in hexadecimal by fours.
func grouped(octets []byte) string {
	out := ""
	for i := 0; i < len(octets); i += 4 {
		if out != "" {
			out += " "
		}
		out += hex.EncodeToString(octets[i : i+4])
	}
	return out
}

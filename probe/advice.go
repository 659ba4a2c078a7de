package probe

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"golang.org/x/crypto/acme"
)

// advice is what to do about a failure that says nothing better itself.
var advice = map[Step]string{
	Directory: "See that the daemon runs, that base_url.https leads to it from here, and that this URL is one of `enrollgate urls`.",
	Nonce:     "See that nothing between here and the gateway takes headers out of its replies.",
	Account:   "Where the endpoint asks for an external account, give --eab-kid and --eab-key-file; a binding that is used up goes on working with the --account-key that it was used with.",
	Order:     "The endpoint's profile must let the name through; give another by --name, or look at `enrollgate profile show`.",
	Challenge: "The gateway must reach this machine under the name: see where it resolves to, which port acme.http01.port or acme.tlsalpn01.port asks, and whether acme.allow_targets lists the address if it is private.",
	Finalize:  "Look for the trace id with `enrollgate explain` and in the daemon's log.",
	Download:  "Look for the trace id in the daemon's log.",
	CACerts:   "See that the daemon runs, that base_url.est leads to it from here, past no proxy that ends TLS, and that this URL is one of `enrollgate urls`.",
	CACaps:    "See that the daemon runs, that base_url.http or https leads to it from here, and that this URL is one of `enrollgate urls`.",
	CACert:    "See `enrollgate doctor` about the registration authority, and look for the trace id in the daemon's log.",
	CSRAttrs:  "Look for the trace id in the daemon's log.",
	Enroll:    "The credential must be good for this endpoint and many uses, and the endpoint's profile must let the name through; give another by --name, or look at `enrollgate profile show`; `enrollgate explain` knows the trace id.",
	Renew:     "The endpoint must let certificates in (authentication: [certificate]) and its profile take renewals at any time (renewal.window); where it shall not, give --no-renew.",
	Chain:     "Look at the certificate with `enrollgate cert show`, and at the CA with `enrollgate ca list`.",
	OCSP:      "Relying parties ask this address: see that base_url.http leads to the http listener, and what `enrollgate doctor` says.",
	CRL:       "Relying parties ask this address: see that base_url.http leads to the http listener, and what `enrollgate doctor` says.",
	Revoke:    "Look for the trace id with `enrollgate explain`.",
	Revoked:   "See that the replica that answers OCSP follows the status feed: check `status` of /readyz.",
}

// adviceOf says what to do about a step's error.
func adviceOf(step Step, err error) string {
	var own *Failure
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	var p *acme.Error
	var refused *refusal
	switch {
	case errors.As(err, &own):
		return own.Do
	case errors.As(err, &unknown):
		return "The gateway's own TLS certificate must be trusted: give the root it chains to by --root or --tls-root."
	case errors.As(err, &name):
		return "The gateway's TLS certificate has another name than this URL: correct base_url.https or tls.issue.names."
	case errors.As(err, &dns):
		return "The name of the host does not resolve here: correct the base URL or this machine's DNS."
	case errors.As(err, &p) && p.ProblemType == "urn:ietf:params:acme:error:rateLimited":
		return "A limit of acme.rate_limits was reached: probe less often, or raise it."
	case errors.As(err, &p) && p.StatusCode >= 500:
		return "The gateway failed inside: look for the trace id in its log, and at /readyz."
	case errors.As(err, &refused) && refused.status == http.StatusUnauthorized:
		return "Give a credential that is good for this endpoint and for many uses: `enrollgate credential create --uses unlimited`, --est-user and --est-password-file."
	case errors.As(err, &refused) && refused.status >= 500:
		return "The gateway failed inside: look for the trace id in its log, and at /readyz."
	}
	return advice[step]
}

package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Explanation says why a certificate is as it is, or why a request was refused.
type Explanation struct {
	Tenant      string      `json:"tenant"`
	Trace       string      `json:"trace,omitempty"` // where a trace id was asked for
	Refusals    []Refusal   `json:"refusals,omitempty"`
	Certificate *Origin     `json:"certificate,omitempty"`
	Dropped     *Remains    `json:"dropped,omitempty"` // instead of a certificate whose month was dropped
	Audit       []AuditLine `json:"audit"`             // oldest first
}

// Origin is a certificate with where everything in it comes from.
type Origin struct {
	Certificate
	Operation   string     `json:"operation,omitempty"`   // enroll, renew, rekey, keygen
	Transaction string     `json:"transaction,omitempty"` // the protocol's own id; ACME: the order
	Revocation  *Change    `json:"revocation,omitempty"`  // where the status ever changed
	ProfileHash string     `json:"profile_hash"`          // SHA-256, hexadecimal
	ProfileText string     `json:"profile_text"`          // canonical YAML, as it was at issuance
	Fields      []ca.Field `json:"fields"`
	Unexplained []string   `json:"unexplained"` // parts of the certificate that no field accounts for; empty unless records were tampered with
	DER         []byte     `json:"der"`
}

// Change is the last change of a certificate's status.
type Change struct {
	State   ca.State   `json:"state"`
	Reason  string     `json:"reason"` // RFC 5280 section 5.3.1
	At      time.Time  `json:"at"`
	Invalid *time.Time `json:"invalidity_date,omitempty"`
}

// Refusal is a request that was refused after its caller was known.
type Refusal struct {
	At       time.Time `json:"at"`
	Caller   string    `json:"caller"`
	Endpoint string    `json:"endpoint"`
	Kind     string    `json:"kind"`
	Field    string    `json:"field"`
	Rule     string    `json:"rule"`
	Text     string    `json:"text"`   // what the requester was told
	Advice   string    `json:"advice"` // what the operator can do
}

// AuditLine is one audit row.
type AuditLine struct {
	At     time.Time       `json:"at"`
	Event  string          `json:"event"`
	Actor  string          `json:"actor"`
	Trace  string          `json:"trace,omitempty"`
	Detail json.RawMessage `json:"detail"`
}

func (a AuditLine) same(b AuditLine) bool {
	return a.Event == b.Event && a.At.Equal(b.At) && string(a.Detail) == string(b.Detail)
}

// issuance is what the audit row of an issuance says.
type issuance struct {
	CA          string `json:"ca"`
	Serial      string `json:"serial"`
	Operation   string `json:"operation"`
	Transaction string `json:"transaction"`
}

// ParseTrace reads a trace id as people copy it: in any case, and with the
// letters O, I and L for the digits that they look like.
func ParseTrace(text string) (trace string, ok bool) {
	trace = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(text)))
	return trace, len(trace) == 10 && strings.Trim(trace, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// Explain finds what a serial number or a trace id stands for in the tenants.
// Errors: BadRequest for what is neither, NotFound with where else to look,
// Conflict for what several tenants have.
func Explain(ctx context.Context, r Records, tenants []string, what string) (*Explanation, error) {
	if trace, ok := ParseTrace(what); ok {
		return explainTrace(ctx, r, tenants, trace)
	}
	serial, err := ca.ParseSerial(what)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "%q is neither a serial number (32 hexadecimal digits) nor a trace id (10 letters and digits)", clip(what))
	}
	c, err := Find(ctx, r, tenants, "", serial)
	if ca.IsKind(err, ca.NotFound) {
		if left, failed := remainsIn(ctx, r, tenants, serial); left != nil || failed != nil {
			return left, failed
		}
	}
	if err != nil {
		return nil, err
	}
	return explainCertificate(ctx, r, c)
}

func clip(text string) string {
	if len(text) > 64 {
		return text[:64] + "..."
	}
	return text
}

func explainTrace(ctx context.Context, r Records, tenants []string, trace string) (*Explanation, error) {
	var found []ca.Audit
	var of []string // the tenants that have the trace id
	for _, tenant := range tenants {
		rows, err := r.AuditByTrace(ctx, tenant, trace)
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			found, of = rows, append(of, tenant)
		}
	}
	switch len(of) {
	case 0:
	case 1:
		return explainRows(ctx, r, of[0], trace, found)
	default:
		return nil, ca.Errorf(ca.Conflict, "the trace id %s is in tenants %s; say which with --tenant", trace, strings.Join(of, ", "))
	}
	return nil, ca.Errorf(ca.NotFound, "no audit row of tenant %s has the trace id %s. A request that was refused before its caller was known (a bad signature, an unknown "+
		"account) is in the log alone: search the replicas' logs for trace=%s. A refusal is written within seconds. Otherwise look in another tenant (--tenant) or store "+
		"(--config, --store)", strings.Join(tenants, ", "), trace, trace)
}

// explainRows explains the audit rows of one tenant with a trace id.
func explainRows(ctx context.Context, r Records, tenant, trace string, rows []ca.Audit) (*Explanation, error) {
	out := &Explanation{Tenant: tenant, Trace: trace}
	for _, row := range rows {
		if row.Event == "request.refused" {
			refusal, err := refusalOf(row)
			if err != nil {
				return nil, err
			}
			out.Refusals = append(out.Refusals, *refusal)
		}
		if !slices.Contains(aboutOne, row.Event) || out.Certificate != nil || many(rows) {
			continue
		}
		about, err := explainRow(ctx, r, row)
		if err != nil {
			return nil, err
		}
		out.Certificate, out.Dropped, out.Audit = about.Certificate, about.Dropped, about.Audit
	}
	for _, row := range rows { // those about the certificate are there already
		if line := lineOf(row); !slices.ContainsFunc(out.Audit, line.same) {
			out.Audit = append(out.Audit, line)
		}
	}
	slices.SortStableFunc(out.Audit, func(a, b AuditLine) int { return a.At.Compare(b.At) })
	return out, nil
}

// aboutOne are the events whose audit row names one certificate.
var aboutOne = []string{"certificate.issued", "certificate.revoked", "certificate.held", "certificate.released"}

// many tells whether rows are those of a bulk change of status, which is about
// no certificate in particular.
func many(rows []ca.Audit) bool {
	changes := 0
	for _, row := range rows {
		if row.Event != aboutOne[0] && slices.Contains(aboutOne, row.Event) {
			changes++
		}
	}
	return changes > 1
}

// explainRow explains the certificate that an audit row is about.
func explainRow(ctx context.Context, r Records, row ca.Audit) (*Explanation, error) {
	var about issuance
	if err := json.Unmarshal(row.Detail, &about); err != nil {
		return nil, ca.InternalError(err)
	}
	serial, err := ca.ParseSerial(about.Serial)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	c, err := r.Certificate(ctx, row.Tenant, about.CA, serial)
	if ca.IsKind(err, ca.NotFound) {
		if left, failed := remains(ctx, r, row.Tenant, about.CA, serial, true); left != nil || failed != nil {
			return left, failed
		}
	}
	if err != nil {
		return nil, err
	}
	return explainCertificate(ctx, r, c)
}

func refusalOf(row ca.Audit) (*Refusal, error) {
	out := &Refusal{}
	if err := json.Unmarshal(row.Detail, out); err != nil {
		return nil, ca.InternalError(err)
	}
	out.At, out.Caller, out.Advice = row.At, row.Actor, adviceFor(out.Kind)
	return out, nil
}

func lineOf(row ca.Audit) AuditLine {
	return AuditLine{row.At, row.Event, row.Actor, row.Trace, json.RawMessage(row.Detail)}
}

func explainCertificate(ctx context.Context, r Records, c *ca.Certificate) (*Explanation, error) {
	origin, err := Describe(ctx, r, c)
	if err != nil {
		return nil, err
	}
	issued, err := r.AuditByTrace(ctx, c.Tenant, c.Trace)
	if err != nil {
		return nil, err
	}
	later, err := r.AuditOf(ctx, c.Tenant, c.Serial)
	if err != nil {
		return nil, err
	}
	out := &Explanation{Tenant: c.Tenant, Certificate: origin}
	for _, row := range append(issued, later...) {
		var about issuance
		if err := json.Unmarshal(row.Detail, &about); err != nil {
			return nil, ca.InternalError(err)
		}
		waited := row.Trace == c.Trace && strings.HasPrefix(row.Event, "request.") && row.Event != "request.refused" // for an operator's approval
		if !waited && (about.CA != c.CA || about.Serial != origin.Serial) {
			continue // another certificate, or a refusal, under the same trace id
		}
		if row.Event == "certificate.issued" {
			origin.Operation, origin.Transaction = about.Operation, about.Transaction
		}
		line := lineOf(row)
		if !slices.ContainsFunc(out.Audit, line.same) { // or it was found both ways
			out.Audit = append(out.Audit, line)
		}
	}
	return out, nil
}

// Describe gives a certificate with its decision, profile and status.
func Describe(ctx context.Context, r Records, c *ca.Certificate) (*Origin, error) {
	row, parsed, err := describe(c)
	if err != nil {
		return nil, err
	}
	detail, hash, err := r.Decision(ctx, c.Tenant, c.CA, c.Serial)
	if err != nil {
		return nil, err
	}
	var fields []ca.Field
	if err := json.Unmarshal(detail, &fields); err != nil {
		return nil, ca.InternalError(err)
	}
	text, err := r.Profile(ctx, hash)
	if err != nil {
		return nil, err
	}
	out := &Origin{Certificate: *row, ProfileHash: hex.EncodeToString(hash[:]), ProfileText: string(text), DER: c.DER}
	if out.Fields, out.Unexplained = Account(parsed, fields); out.Unexplained == nil {
		out.Unexplained = []string{}
	}
	out.Revocation, err = changeOf(ctx, r, c.Tenant, c.CA, c.Serial)
	return out, err
}

// changeOf gives the last change of a certificate's status, nil where there was none.
func changeOf(ctx context.Context, r Records, tenant, issuer string, serial ca.Serial) (*Change, error) {
	changed, err := r.Revocation(ctx, tenant, issuer, serial)
	if ca.IsKind(err, ca.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &Change{State: changed.State, Reason: changed.Reason.String(), At: changed.At}
	if !changed.Invalid.IsZero() {
		out.Invalid = &changed.Invalid
	}
	return out, nil
}

// adviceFor says what an operator can do about a refusal of a kind.
func adviceFor(kind string) string { return advice[kind] }

var advice = map[string]string{
	ca.Internal.String():    "This is a fault of ours: the log has the cause under this trace id.",
	ca.BadRequest.String():  "The client sent something that does not parse or contradicts itself: correct the client or its CSR.",
	ca.BadProof.String():    "The client did not prove what it must: see that it holds the key and that its proofs have not expired, then let it try again.",
	ca.Denied.String():      "Policy refuses this: change what the client asks for, or the rule in the profile (`enrollgate profile show PROFILE`).",
	ca.Pending.String():     "The request waits; the client asks again by itself.",
	ca.NotFound.String():    "What the client names does not exist here: see that it uses the right URL, tenant and account.",
	ca.Conflict.String():    "The client repeated a transaction with other content, or something changed meanwhile: let it start a new transaction.",
	ca.RateLimited.String(): "The caller is over its limit: wait, or raise the limit in its rule set.",
	ca.Unavailable.String(): "A key or the store could not answer: look at /readyz and the log of that time; the client may simply try again.",
}

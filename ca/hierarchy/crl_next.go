package hierarchy

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Change is what becomes of one certificate with the next list: it is revoked,
// held, or with RemoveFromCRL released from its hold.
type Change struct {
	Certificate []byte // DER; nil: Serial says which
	Serial      []byte // content octets of the INTEGER
	Reason      ca.Reason
	At          time.Time // zero: the list's thisUpdate
	Invalid     time.Time // since when its key must not be trusted; zero: not said
}

// Update asks for the list of a CA after the last one, as whoever holds its key
// grants it.
type Update struct {
	Root        Key
	Certificate []byte // the CA's
	Previous    []byte // its last complete list, DER
	Changes     []Change
	ThisUpdate  time.Time // zero: a minute ago, and later than the previous one's
	Days        int
	Now         time.Time
	Log         *Log
}

// NextList makes the complete list after another one, in DER: every entry of
// the previous one stays, whether its certificate has expired or not, since a
// list has no expiries; the number is the next. BadRequest says what is wrong
// with what was given, Conflict that a certificate is where it should come to.
func NextList(ctx context.Context, ring *keys.Ring, in Update) ([]byte, error) {
	above, err := pkix.ParseCertificate(in.Certificate)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the root's certificate cannot be read: %v", err)
	}
	if err := acceptOne(above, in.Now); err != nil {
		return nil, err
	}
	previous, number, err := in.previous(above)
	if err != nil {
		return nil, err
	}
	begin, end, err := in.times(above, previous)
	if err != nil {
		return nil, err
	}
	entries, err := in.entries(above, previous, begin)
	if err != nil {
		return nil, err
	}
	maker, err := asRoot(ctx, ring, in.Root, above, nil)
	if err != nil {
		return nil, err
	}
	in.Log.key("root key", in.Root.URI, maker.Public)
	in.Log.List("previous CRL", in.Previous)
	der, err := maker.list(ctx, number, begin, end, entries)
	if err != nil {
		return nil, err
	}
	for _, c := range in.Changes {
		in.Log.Note("change", "serial %x, %s", c.Serial, c.Reason)
	}
	in.Log.List("next CRL", der)
	return der, nil
}

// previous reads the list before, which must be the CA's own and complete, and
// gives the number of the next one (RFC 5280 section 5.2.3).
func (in *Update) previous(above *pkix.Certificate) (*pkix.CRL, int64, error) {
	list, err := pkix.ParseCRL(in.Previous)
	if err != nil {
		return nil, 0, ca.Errorf(ca.BadRequest, "the previous list cannot be read: %v", err)
	}
	if err := list.CheckIssuer(above); err != nil {
		return nil, 0, ca.Errorf(ca.BadRequest, "the previous list is not one of %s: %v", above.Subject, err)
	}
	switch {
	case list.Base != nil:
		return nil, 0, ca.Errorf(ca.BadRequest, "the previous list is a delta; give the complete one")
	case list.Points != nil:
		return nil, 0, ca.Errorf(ca.BadRequest, "the previous list covers one distribution point alone; give the complete one")
	case list.Number == nil: // another program's; whoever imports the next one compares it with what was imported
		return list, FirstNumber + 1, nil
	case !list.Number.IsInt64() || list.Number.Int64() == math.MaxInt64:
		return nil, 0, ca.Errorf(ca.BadRequest, "the number of the previous list, %v, is too large to count on from", list.Number)
	}
	return list, list.Number.Int64() + 1, nil
}

// times gives thisUpdate and nextUpdate. Importers and clients go by
// thisUpdate, so it rises as the number does.
func (in *Update) times(above *pkix.Certificate, previous *pkix.CRL) (begin, end time.Time, err error) {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	begin = in.ThisUpdate.UTC().Truncate(time.Second)
	if in.ThisUpdate.IsZero() {
		begin = in.Now.UTC().Add(-time.Minute).Truncate(time.Second) // for clients whose clocks are slow
		if !begin.After(previous.ThisUpdate) {
			begin = previous.ThisUpdate.Add(time.Second)
		}
		if begin.After(in.Now) {
			return begin, end, ca.Errorf(ca.BadRequest, "the previous list began at %s, and by this machine's clock it is %s; set the clock, or say when the list begins",
				stamp(previous.ThisUpdate), stamp(in.Now))
		}
	}
	end = begin.AddDate(0, 0, in.Days)
	switch {
	case !begin.After(previous.ThisUpdate):
		err = ca.Errorf(ca.BadRequest, "the previous list began at %s; the next one begins later, not at %s", stamp(previous.ThisUpdate), stamp(begin))
	case begin.After(in.Now) && begin.After(previous.NextUpdate):
		err = ca.Errorf(ca.BadRequest, "the list would begin at %s, after the previous one has ended at %s: there would be none in between", stamp(begin), stamp(previous.NextUpdate))
	case begin.Before(above.NotBefore) || !begin.Before(above.NotAfter):
		err = ca.Errorf(ca.BadRequest, "the root is valid from %s to %s, not at %s", stamp(above.NotBefore), stamp(above.NotAfter), stamp(begin))
	case !end.After(in.Now):
		err = ca.Errorf(ca.BadRequest, "the list would have ended already, at %s", stamp(end))
	}
	return begin, end, err
}

// entries gives those of the previous list with the changes, and fills in the
// changes' serial numbers.
func (in *Update) entries(above *pkix.Certificate, previous *pkix.CRL, begin time.Time) ([]pkix.CRLEntry, error) {
	entries := make([]pkix.CRLEntry, 0, previous.Count+len(in.Changes))
	at := make(map[string]int, previous.Count)
	for e, err := range previous.Entries() {
		if err != nil {
			return nil, ca.InternalError(err) // parsing has read them all
		}
		if _, twice := at[string(e.Serial)]; twice {
			return nil, ca.Errorf(ca.BadRequest, "the previous list has serial number %x twice", e.Serial)
		}
		at[string(e.Serial)] = len(entries)
		entries = append(entries, e)
	}
	given, released := map[string]bool{}, map[string]bool{}
	for i := range in.Changes {
		c := &in.Changes[i]
		if err := c.check(above, begin, in.Now); err != nil {
			return nil, err
		}
		e := pkix.CRLEntry{Serial: c.Serial, Revoked: c.At, Reason: uint8(c.Reason), Invalid: c.Invalid}
		n, listed := at[string(c.Serial)]
		held := listed && ca.Reason(entries[n].Reason) == ca.CertificateHold
		switch twice := given[string(c.Serial)]; {
		case twice:
			return nil, ca.Errorf(ca.BadRequest, "serial number %x is given twice", c.Serial)
		case listed && (!held || c.Reason == ca.CertificateHold):
			return nil, ca.Errorf(ca.Conflict, "serial number %x is on the previous list already, since %s with reason %s", c.Serial,
				entries[n].Revoked.UTC().Format(time.RFC3339), ca.Reason(entries[n].Reason))
		case !held && c.Reason == ca.RemoveFromCRL:
			return nil, ca.Errorf(ca.Conflict, "serial number %x is not on hold on the previous list", c.Serial)
		case c.Reason == ca.RemoveFromCRL:
			released[string(c.Serial)] = true
		case held:
			entries[n] = e
		default:
			entries = append(entries, e)
		}
		given[string(c.Serial)] = true
	}
	return slices.DeleteFunc(entries, func(e pkix.CRLEntry) bool { return released[string(e.Serial)] }), nil
}

// check holds a change against the CA, and fills in what it leaves open.
func (c *Change) check(above *pkix.Certificate, begin, now time.Time) error {
	if c.Certificate != nil {
		cert, err := pkix.ParseCertificate(c.Certificate)
		if err != nil {
			return ca.Errorf(ca.BadRequest, "a certificate to revoke cannot be read: %v", err)
		}
		if !bytes.Equal(cert.Issuer, above.Subject) {
			return ca.Errorf(ca.BadRequest, "the certificate of %s is one of %s, not of %s", cert.Subject, cert.Issuer, above.Subject)
		}
		if err := cert.CheckSignatureFrom(above.Key); err != nil {
			return ca.Errorf(ca.BadRequest, "the certificate of %s was not signed with the root's key: %v", cert.Subject, err)
		}
		c.Serial = cert.Serial
	}
	if bytes.Equal(c.Serial, above.Serial) && bytes.Equal(above.Issuer, above.Subject) {
		return ca.Errorf(ca.BadRequest, "%x is the root's own serial number: no list revokes a root, since clients trust it for itself; have them remove it", c.Serial)
	}
	if !c.Reason.Valid() {
		return ca.Errorf(ca.BadRequest, "%d is no reason (RFC 5280 section 5.3.1)", c.Reason)
	}
	if c.At.IsZero() {
		c.At = begin
	}
	latest := now
	if begin.After(now) {
		latest = begin
	}
	if c.At.Before(above.NotBefore) || c.At.After(latest) || c.Invalid.After(latest) {
		return ca.Errorf(ca.BadRequest, "serial number %x: it is revoked between %s, when the root began, and %s", c.Serial,
			above.NotBefore.UTC().Format(time.RFC3339), latest.UTC().Format(time.RFC3339))
	}
	return nil
}

// ParseSerial reads a serial number of any CA: hexadecimal digits as other
// tools print them, with colons, spaces or a leading 0x. It gives the content
// octets of the INTEGER, at most 20 (RFC 5280 section 4.1.2.2).
func ParseSerial(text string) ([]byte, error) {
	digits := strings.TrimLeft(strings.TrimPrefix(strings.NewReplacer(":", "", " ", "").Replace(strings.ToLower(text)), "0x"), "0")
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	serial, err := hex.DecodeString(digits)
	if err == nil && len(serial) > 0 && serial[0] >= 0x80 {
		serial = slices.Insert(serial, 0, 0)
	}
	if err != nil || len(serial) == 0 || len(serial) > 20 {
		return nil, ca.Errorf(ca.BadRequest, "%s is not a serial number: up to 40 hexadecimal digits, not all 0", fmt.Sprintf("%.64q", text))
	}
	return serial, nil
}

package profile

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// unfitBits are the key usages that the standards forbid for a family of keys.
var unfitBits = [families]pkix.KeyUsage{
	familyRSA:     pkix.KeyAgreement | pkix.EncipherOnly | pkix.DecipherOnly,                                                // RFC 3279 section 2.3.1
	familyEC:      pkix.KeyEncipherment | pkix.DataEncipherment,                                                             // RFC 8813 section 3
	familyEd25519: pkix.KeyEncipherment | pkix.DataEncipherment | pkix.KeyAgreement | pkix.EncipherOnly | pkix.DecipherOnly, // RFC 9295 section 3
}

// keyUsage is the compiled extension of one key family.
type keyUsage struct {
	usable    bool
	extension pkix.Extension
	value     string // the bits, as printed
	note      string // what was left out and why
}

func compileKeyUsage(w *WrittenKeyUsage, kind string, in [families]bool, problems *problemList) (all [families]keyUsage) {
	path := []string{"key_usage", "bits"}
	var bits pkix.KeyUsage
	for i, name := range w.Bits {
		bit, ok := pkix.ParseKeyUsage(name)
		if !ok {
			problems.choose(append(path[:2:2], strconv.Itoa(i)), pkix.KeyUsage(0x1ff).Names(), "%q is not a key usage", clip(name))
		}
		bits |= bit
	}
	signs := bits&(pkix.KeyCertSign|pkix.CRLSign) != 0
	switch {
	case len(w.Bits) == 0:
		problems.choose(path, pkix.KeyUsage(0x1ff).Names(), "no key usage is listed; the extension is in every certificate and cannot be empty (RFC 5280 section 4.2.1.3)")
	case signs && kind != KindCA:
		problems.add(path, "keyCertSign and cRLSign belong to profiles of kind ca (RFC 5280 section 4.2.1.9)")
	case kind == KindCA && bits&pkix.KeyCertSign == 0:
		problems.add(path, "a profile of kind ca needs keyCertSign")
	case bits&(pkix.EncipherOnly|pkix.DecipherOnly) != 0 && bits&pkix.KeyAgreement == 0:
		problems.add(path, "encipherOnly and decipherOnly mean nothing without keyAgreement (RFC 5280 section 4.2.1.3)")
	}
	w.Unfit = oneOf(w.Unfit, []string{"key_usage", "unfit"}, []string{"drop", "refuse"}, problems)
	left := false
	for f := range families {
		fit := bits &^ unfitBits[f]
		if fit&pkix.KeyAgreement == 0 {
			fit &^= pkix.EncipherOnly | pkix.DecipherOnly
		}
		if fit == 0 || (fit != bits && w.Unfit == "refuse") {
			continue
		}
		extension, err := pkix.MarshalKeyUsage(fit)
		if err != nil {
			problems.add(path, "%v", err)
			continue
		}
		u := keyUsage{usable: true, extension: extension, value: strings.Join(fit.Names(), " ")}
		if dropped := bits &^ fit; dropped != 0 {
			u.note = strings.Join(dropped.Names(), " ") + " left out: forbidden for " + f.String() + " keys"
		}
		all[f] = u
		left = left || in[f]
	}
	if bits != 0 && !left && in != ([families]bool{}) {
		problems.add(path, "no key algorithm of this profile can have any of these usages")
	}
	return all
}

// extKeyUsage is the compiled rule for extKeyUsage.
type extKeyUsage struct {
	requested bool
	critical  bool
	fixed     *pkix.Extension // what every certificate gets, or what an unasked one gets; nil: none
	value     string          // fixed, as printed
	allowed   []pkix.OID      // mode requested
}

// neverRequested are usages that no request can bring, whatever a profile
// says: they make a certificate good for everything, or a logon, an enrollment
// agent, a status signer or a registration authority.
var neverRequested = map[string]string{
	"2.5.29.37.0":             "anyExtendedKeyUsage",
	"1.3.6.1.4.1.311.20.2.2":  "msSmartcardLogon",
	"1.3.6.1.4.1.311.20.2.1":  "the enrollment agent usage",
	"1.3.6.1.5.5.7.3.9":       "OCSPSigning",
	"1.3.6.1.5.5.7.3.27":      "the CMC certificate authority usage",
	"1.3.6.1.5.5.7.3.28":      "the CMC registration authority usage",
	"1.3.6.1.5.2.3.4":         "the Kerberos client usage",
	"1.3.6.1.5.2.3.5":         "the Kerberos KDC usage",
	"1.3.6.1.4.1.311.10.3.13": "the lifetime signing usage",
	"1.3.6.1.4.1.311.10.12.1": "the any-application-policy",
}

func compileExtKeyUsage(w *WrittenExtKeyUsage, kind string, problems *problemList) (rule extKeyUsage) {
	rule.critical = w.Critical
	if w.Mode == "" {
		problems.choose([]string{"ext_key_usage", "mode"}, []string{"fixed", "requested", "none"}, "mode is missing; a certificate without extended key usage is good for any purpose")
	}
	mode := oneOf(w.Mode, []string{"ext_key_usage", "mode"}, []string{"fixed", "requested", "none"}, problems)
	values := compileUsages(w.Values, "values", kind, mode == "requested", problems)
	defaults := compileUsages(w.Default, "default", kind, true, problems)
	responds := slices.ContainsFunc(values, pkix.ExtKeyUsages["OCSPSigning"].Equal)
	switch {
	case w.Mode == "none" && len(w.Values)+len(w.Default) > 0:
		problems.add([]string{"ext_key_usage"}, "mode none takes no values")
	case w.Mode == "fixed" && len(w.Values) == 0:
		problems.choose([]string{"ext_key_usage", "values"}, usageNames(), "mode fixed needs values")
	case w.Mode == "requested" && len(w.Values) == 0:
		problems.choose([]string{"ext_key_usage", "values"}, usageNames(), "mode requested needs the list that a request may choose from")
	case w.Mode != "requested" && len(w.Default) > 0:
		problems.add([]string{"ext_key_usage", "default"}, "default belongs to mode requested")
	case kind == KindResponder && (w.Mode != "fixed" || !responds || len(values) != 1):
		problems.add([]string{"ext_key_usage"}, "a profile of kind responder has mode fixed with OCSPSigning alone (RFC 6960 section 4.2.2.2)")
	}
	rule.requested = mode == "requested"
	fixed := values
	if rule.requested {
		rule.allowed, fixed = values, defaults
	}
	if len(fixed) > 0 {
		extension, err := pkix.MarshalExtKeyUsage(fixed, w.Critical)
		if err != nil {
			problems.add([]string{"ext_key_usage", "values"}, "%v", err)
		}
		rule.fixed, rule.value = &extension, PrintUsages(fixed)
	}
	return rule
}

func compileUsages(written []string, key, kind string, requested bool, problems *problemList) (usages []pkix.OID) {
	for i, text := range written {
		path := []string{"ext_key_usage", key, strconv.Itoa(i)}
		oid, ok := pkix.ExtKeyUsages[text]
		if !ok {
			oid, ok = pkix.ParseOID(text)
		}
		name, grave := neverRequested[oid.String()]
		switch {
		case !ok:
			problems.choose(path, append(usageNames(), "a dotted OID"), "%q is not an extended key usage", clip(text))
		case requested && grave:
			problems.add(path, "%s can never come from a request; use mode fixed in a profile of its own", name)
		case name == "OCSPSigning" && kind != KindResponder:
			problems.add(path, "OCSPSigning belongs to profiles of kind responder: its holder can say that revoked certificates are good")
		case slices.ContainsFunc(usages, oid.Equal):
			problems.add(path, "%q is listed twice", clip(text))
		default:
			usages = append(usages, oid)
		}
	}
	return usages
}

func usageNames() []string {
	names := make([]string, 0, len(pkix.ExtKeyUsages))
	for name := range pkix.ExtKeyUsages {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

var usageNameByOID = func() map[string]string {
	byOID := map[string]string{}
	for name, oid := range pkix.ExtKeyUsages {
		byOID[oid.String()] = name
	}
	return byOID
}()

// PrintUsages gives extended key usages as the decision record does: names where
// there are, else dotted OIDs, separated by spaces.
func PrintUsages(usages []pkix.OID) string {
	names := make([]string, len(usages))
	for i, u := range usages {
		if names[i] = u.String(); usageNameByOID[names[i]] != "" {
			names[i] = usageNameByOID[names[i]]
		}
	}
	return strings.Join(names, " ")
}

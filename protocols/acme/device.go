package acme

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// Types of identifiers of devices (draft-ietf-acme-device-attest-10 sections 3, 4).
const (
	identifierPermanent = "permanent-identifier"
	identifierHardware  = "hardware-module"
)

// kindOf gives the kind of the claim that an identifier of a type becomes.
func kindOf(typ string) claim.Kind {
	switch typ {
	case identifierPermanent:
		return claim.Permanent
	case identifierHardware:
		return claim.Hardware
	}
	return claim.Kind(typ)
}

func isDevice(typ string) bool { return typ == identifierPermanent || typ == identifierHardware }

// maxDevice bounds the value of a device's identifier, in octets.
const maxDevice = 256

// deviceName reads the identifier of a device as the otherName that a certificate
// has: VALUE or VALUE/ASSIGNER of a permanent identifier, SERIAL/TYPE of a hardware
// module (sections 3.1 and 4.1). ok is false where it is none.
func deviceName(id state.Identifier) (name pkix.GeneralName, ok bool) {
	if len(id.Value) > maxDevice || !utf8.ValidString(id.Value) {
		return name, false
	}
	value, dotted, found := strings.Cut(id.Value, "/")
	oid, isOID := pkix.ParseOID(dotted)
	if value == "" || found && (!isOID || oid.String() != dotted) {
		return name, false
	}
	var err error
	switch id.Type {
	case identifierPermanent:
		name, err = pkix.NewPermanentIdentifier(value, oid)
	case identifierHardware:
		if !found {
			return name, false
		}
		name, err = pkix.NewHardwareModule(oid, []byte(value))
	default:
		return name, false
	}
	return name, err == nil
}

// deviceIdentifier is the other way: a name of a CSR as an order has it.
func deviceIdentifier(n pkix.GeneralName) (id state.Identifier, ok bool) {
	if value, assigner, ok := n.PermanentIdentifier(); ok {
		if assigner != nil {
			value += "/" + assigner.String()
		}
		return state.Identifier{Type: identifierPermanent, Value: value}, true
	}
	if hardware, serial, ok := n.HardwareModule(); ok && utf8.Valid(serial) && !slices.Contains(serial, '/') {
		return state.Identifier{Type: identifierHardware, Value: string(serial) + "/" + hardware.String()}, true
	}
	return id, false
}

// deviceOfCN finds the permanent identifier of an order that a common name repeats,
// as clients of managed devices have it.
func deviceOfCN(order *state.Order, cn string) (state.Identifier, bool) {
	for _, id := range order.Identifiers {
		if value, _, _ := strings.Cut(id.Value, "/"); id.Type == identifierPermanent && (cn == id.Value || cn == value) {
			return id, true
		}
	}
	return state.Identifier{}, false
}

// sameKey holds the CSR's key against those that devices attested: a certificate is
// for the key in the device alone.
func sameKey(authorizations []*state.Authorization, csr *pkix.CSR) error {
	key := csr.Key
	if key.Parsed() != nil { // in its one form, as the attested key was hashed
		var err error
		if key, err = pkix.NewPublicKey(key.Parsed()); err != nil {
			return fail(http.StatusBadRequest, typeBadCSR, "the key of the CSR does not read")
		}
	}
	hash := key.Hash()
	for _, a := range authorizations {
		for _, c := range a.Challenges {
			switch {
			case c.Status != state.Valid || claim.Method(c.Type) != claim.DeviceAttest01:
			case c.Attestation == nil || !slices.Equal(c.Attestation.Key, hash[:]):
				return fail(http.StatusBadRequest, typeBadCSR, "the key of the CSR is not the one that the device attested (draft-ietf-acme-device-attest)")
			}
		}
	}
	return nil
}

// attestedClaims makes claims of what the attestation of an authorization stated
// beside its identifier.
func (d *Door) attestedClaims(ev claim.ValidatedAuthorization, a *state.Attestation) (out []claim.Claim, err error) {
	if a == nil {
		return nil, nil
	}
	said := [][2]string{{string(claim.Attested), "format=" + a.Format}}
	if a.Serial != "" {
		said = append(said, [2]string{string(claim.Serial), a.Serial})
	}
	for key, value := range a.Properties {
		said = append(said, [2]string{string(claim.Attested), key + "=" + value})
	}
	slices.SortFunc(said, func(x, y [2]string) int { return strings.Compare(x[0]+x[1], y[0]+y[1]) })
	for _, s := range said {
		c, err := claim.FromAttestation(d.Claims, ev, claim.Kind(s[0]), s[1])
		if err != nil {
			return nil, ca.InternalError(err)
		}
		out = append(out, c)
	}
	return out, nil
}

// sameDevice refuses claims of two devices: attestations that state several serial
// numbers, and an external account that was given for another device than the one
// that attested itself.
func sameDevice(claims []claim.Claim) error {
	var given, stated string
	var attested []string
	for _, c := range claims {
		text := c.Text()
		switch {
		case c.Kind() == claim.Serial && c.Method() == claim.Credential:
			given = text
		case c.Method() != claim.DeviceAttest01:
		case c.Kind() == claim.Serial:
			if stated != "" && text != stated {
				return fail(http.StatusForbidden, typeUnauthorized, "the order is for two devices")
			}
			stated, attested = text, append(attested, text)
		case c.Kind() == claim.Permanent:
			value, _, _ := strings.Cut(text, "/")
			attested = append(attested, text, value)
		case c.Kind() == claim.Hardware:
			_, serial, _ := strings.Cut(text, "/")
			attested = append(attested, serial)
		}
	}
	if given != "" && len(attested) > 0 && !slices.Contains(attested, given) {
		return fail(http.StatusForbidden, typeUnauthorized, "the device that was attested is not the one that the external account is for")
	}
	return nil
}

package caller

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"
)

// FoundSecret is the evidence for the bearer of a one-time secret: the registry
// has found the credential by it.
type FoundSecret struct {
	Tenant, Endpoint string
	Credential       string  // id of the credential
	Binding          Binding // of the credential
	At               time.Time
}

// FromSecret makes the caller of a SCEP request with a challengePassword of the
// registry (RFC 8894 section 7.3).
func FromSecret(v Verifier, ev FoundSecret) (Caller, error) {
	switch {
	case v.door != SCEP:
		return Caller{}, errWrongDoor(v, SCEP)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.Credential == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: secret evidence is incomplete")
	case ev.Binding.Credential != ev.Credential:
		return Caller{}, errors.New("caller: the secret is of another credential")
	}
	return Caller{&principal{SCEP, []Method{SCEPSecret}, ev.Tenant, ev.Endpoint, "credential:" + ev.Credential, ev.At, [32]byte{}, ev.Binding.clone(), [32]byte{}}}, nil
}

// SharedSecret is the evidence for one of those who have an endpoint's static
// secret. Both are keyed hashes under one key, so that neither is the secret.
type SharedSecret struct {
	Tenant, Endpoint string
	Sent, Configured [32]byte
	At               time.Time
}

// FromStaticSecret makes the caller of a SCEP request with the challengePassword
// that every device of an endpoint has.
func FromStaticSecret(v Verifier, ev SharedSecret) (Caller, error) {
	switch {
	case v.door != SCEP:
		return Caller{}, errWrongDoor(v, SCEP)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.At.IsZero() || ev.Configured == ([32]byte{}):
		return Caller{}, errors.New("caller: static secret evidence is incomplete")
	case subtle.ConstantTimeCompare(ev.Sent[:], ev.Configured[:]) != 1:
		return Caller{}, errors.New("caller: the secret is not the endpoint's")
	}
	return Caller{&principal{SCEP, []Method{StaticSCEPSecret}, ev.Tenant, ev.Endpoint, "static-secret:" + ev.Endpoint, ev.At, [32]byte{}, nil, [32]byte{}}}, nil
}

// AdmittedAddress is the evidence for whoever asks from an address that an
// endpoint lets in without asking anything else.
type AdmittedAddress struct {
	Tenant, Endpoint string
	Address          netip.Addr
	Network          netip.Prefix // of the endpoint's list, which has the address
	At               time.Time
}

// FromAddress makes the caller of a request that nothing but its address speaks for.
func FromAddress(v Verifier, ev AdmittedAddress) (Caller, error) {
	switch {
	case v.door != SCEP:
		return Caller{}, errWrongDoor(v, SCEP)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.At.IsZero():
		return Caller{}, errors.New("caller: address evidence is incomplete")
	case ev.Network.Bits() <= 0 || !ev.Network.Contains(ev.Address):
		return Caller{}, errors.New("caller: the address is in no network that is let in")
	}
	return Caller{&principal{SCEP, []Method{Unauthenticated}, ev.Tenant, ev.Endpoint, "address:" + ev.Address.String(), ev.At, [32]byte{}, nil, [32]byte{}}}, nil
}

// PollSignature is the evidence for who asks what became of a request: a message
// whose signature verified with a key. The hash is SHA-256 of the
// SubjectPublicKeyInfo.
type PollSignature struct {
	Tenant, Endpoint string
	SignatureKey     [32]byte
	At               time.Time
}

// FromRequestKey makes the caller of a question about a request for a key: the
// core answers it about requests for this very key.
func FromRequestKey(v Verifier, ev PollSignature) (Caller, error) {
	switch {
	case v.door != SCEP:
		return Caller{}, errWrongDoor(v, SCEP)
	case ev.Tenant == "" || ev.Endpoint == "" || ev.At.IsZero() || ev.SignatureKey == ([32]byte{}):
		return Caller{}, errors.New("caller: poll evidence is incomplete")
	}
	id := string(RequestKey) + ":" + hex.EncodeToString(ev.SignatureKey[:])
	return Caller{&principal{SCEP, []Method{RequestKey}, ev.Tenant, ev.Endpoint, id, ev.At, ev.SignatureKey, nil, [32]byte{}}}, nil
}

package doctor

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Key is a key that the installation signs with.
type Key struct {
	Name        string // "CA default/issuing, generation 1"
	Tenant      string
	URI         string
	Secret      keys.Secret
	Certificate []byte // DER that must be for it; nil where that is not known
}

// probe cannot be taken for the to-be-signed part of anything: those begin with
// the octet 0x30.
var probe = []byte("enrollgate doctor: this key answers")

// LookAtKeys opens every key and has it sign once.
func (f *Findings) LookAtKeys(ctx context.Context, ring *keys.Ring, all []Key) {
	for _, k := range all {
		what, err := tryKey(ctx, ring, &k)
		if err != nil {
			f.add("keys", k.Name, Fail, "See that the file or token of "+k.URI+" is there, and that its password or PIN is right.", "%v", cause(err))
			continue
		}
		f.add("keys", k.Name, OK, "", "%s at %s signs", what, k.URI)
	}
}

// tryKey gives the key's algorithm and length.
func tryKey(ctx context.Context, ring *keys.Ring, k *Key) (what string, err error) {
	key, err := ring.Open(ctx, k.URI, k.Secret)
	if err != nil {
		return "", err
	}
	public, err := pkix.NewPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	if k.Certificate != nil {
		cert, err := pkix.ParseCertificate(k.Certificate)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(cert.Key.Raw(), public.Raw()) {
			return "", fmt.Errorf("the key is not the one of the certificate")
		}
	}
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		return "", err
	}
	signature, err := key.Sign(ctx, ca.LaneStatus, k.Tenant, algorithm.Digest(probe), algorithm.Hash)
	if err != nil {
		return "", err
	}
	if err := algorithm.Verify(public, probe, signature); err != nil {
		return "", fmt.Errorf("it made a signature that is wrong: %w", err)
	}
	what = public.Algorithm()
	if k, ok := key.Public().(*rsa.PublicKey); ok {
		what = fmt.Sprintf("rsa-%d", k.N.BitLen())
	}
	return what, nil
}

// cause is an error with what is behind it: whoever runs doctor may read it.
func cause(err error) string {
	if e := (*ca.Error)(nil); errors.As(err, &e) && e.Err != nil && e.Public != "" {
		return fmt.Sprintf("%s (%v)", e.Public, e.Err)
	}
	return err.Error()
}

// Tokens lists the tokens behind a module.
type Tokens interface {
	Inspect(ctx context.Context, module string) ([]pkcs11.Info, error)
}

// LookAtTokens says what the tokens behind the modules can do. Those that a key
// is in are judged; of others it is only said that they are there.
func (f *Findings) LookAtTokens(ctx context.Context, tokens Tokens, modules []string, all []Key) {
	for _, module := range modules {
		found, err := tokens.Inspect(ctx, module)
		if err != nil {
			f.add("keys", "module "+module, Fail, "See that the module is installed and its token or server is there.", "%s", cause(err))
			continue
		}
		if len(found) == 0 {
			f.add("keys", "module "+module, Warn, "Plug the token in, or initialise one.", "it has no initialised token")
		}
		for i := range found {
			f.token(&found[i], slices.ContainsFunc(all, func(k Key) bool { return isIn(k.URI, &found[i]) }))
		}
	}
}

// isIn tells whether a key's URI fits a token.
func isIn(uri string, t *pkcs11.Info) bool {
	u, err := pkcs11uri.Parse(uri)
	return err == nil && (u.Token == "" || u.Token == t.Label) && (u.Serial == "" || u.Serial == t.Serial) && (u.ModulePath == "" || u.ModulePath == t.Module)
}

// ours are the mechanisms that the program uses.
var ours = []string{"CKM_ECDSA", "CKM_EDDSA", "CKM_RSA_PKCS", "CKM_RSA_PKCS_OAEP", "CKM_EC_KEY_PAIR_GEN", "CKM_EC_EDWARDS_KEY_PAIR_GEN", "CKM_RSA_PKCS_KEY_PAIR_GEN"}

func (f *Findings) token(t *pkcs11.Info, used bool) {
	name := fmt.Sprintf("token %q, serial number %s", t.Label, t.Serial)
	if !used {
		f.add("keys", name, OK, "", "no key of this installation is in it")
		return
	}
	switch {
	case t.Locked:
		f.add("keys", name, Fail, "Have the security officer set the PIN again.", "the PIN is locked")
	case t.PINLast:
		f.add("keys", name, Fail, "Correct the PIN before anything else tries it: one more wrong one locks the token.", "wrong PINs were tried")
	case t.PINLow:
		f.add("keys", name, Warn, "Find out who tries a wrong PIN.", "a wrong PIN was tried since the last login")
	}
	var has, lacks []string
	for _, mechanism := range ours {
		i := slices.IndexFunc(t.Mechanisms, func(m pkcs11.Mechanism) bool { return m.Name == mechanism })
		if i < 0 {
			lacks = append(lacks, mechanism)
			continue
		}
		has = append(has, fmt.Sprintf("%s (%d to %d)", mechanism, t.Mechanisms[i].MinKey, t.Mechanisms[i].MaxKey))
	}
	found := fmt.Sprintf("%s %s, firmware %s, behind %s (%s); mechanisms: %s", t.Manufacturer, t.Model, t.Firmware, t.Library, t.Module, strings.Join(has, ", "))
	if len(lacks) > 0 {
		found += "; not: " + strings.Join(lacks, ", ")
	}
	if len(t.Algorithms) == 0 {
		f.add("keys", name, Warn, "Keys that are there can be used as far as they sign; new ones must be made elsewhere.", "%s; it can make no key that this program uses", found)
		return
	}
	f.add("keys", name, OK, "", "%s; makes %s", found, strings.Join(t.Algorithms, ", "))
}

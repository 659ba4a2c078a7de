package scep

import (
	"crypto"
	"slices"
	"testing"

	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// TestInKind: the reply has the cipher and the digest of the request, where the
// floor of the endpoint grants them; where it does not nothing is issued.
func TestInKind(t *testing.T) {
	k := newKit(t, func(k *kit) {
		k.adapt = func(o *Options) { o.Own["one-issuing-"+other] = Own{Legacy: LegacyAlgorithms()} }
	})
	for _, c := range []struct {
		cipher cms.Cipher
		hash   crypto.Hash
		legacy []string // what it needs
	}{
		{cipher: cms.AES128CBC}, {cipher: cms.AES192CBC}, {cipher: cms.AES256CBC}, {cipher: cms.AES128GCM}, {cipher: cms.AES192GCM}, {cipher: cms.AES256GCM},
		{hash: crypto.SHA384}, {hash: crypto.SHA512}, {cipher: cms.AES256GCM, hash: crypto.SHA512},
		{cipher: cms.DES3CBC, legacy: []string{"des3"}}, {cipher: cms.DESCBC, legacy: []string{"des"}}, {hash: crypto.SHA1, legacy: []string{"sha1"}}, {hash: crypto.MD5, legacy: []string{"md5"}},
		{cipher: cms.DESCBC, hash: crypto.MD5, legacy: []string{"des", "md5"}}, {cipher: cms.DES3CBC, hash: crypto.SHA1, legacy: []string{"des3", "sha1"}},
	} {
		device := k.newClient(1)
		if c.cipher != 0 {
			device.cipher = c.cipher
		}
		if c.hash != 0 {
			device.hash = c.hash
		}
		issued, uses := k.events()["certificate.issued"], k.ra.uses.Load()
		secret := k.secret()
		r := device.enroll(with(secret))
		if c.legacy == nil {
			device.issued(r)
			if r.hash != device.hash {
				t.Errorf("%s: answered with %s", device.hash, r.hash)
			}
			continue
		}
		k.refused(device.cipher.String()+" "+device.hash.String(), r, badAlg, "an algorithm of the message is not taken")
		if k.events()["certificate.issued"] != issued || k.ra.uses.Load() != uses || len(k.seen.legacy) != 0 {
			t.Errorf("%v: something came of it", c.legacy)
		}
		if old := device.hash == crypto.SHA1 || device.hash == crypto.MD5; old && r.hash != crypto.SHA256 || !old && r.hash != device.hash {
			t.Errorf("%v: refused with %s", c.legacy, r.hash)
		}
		device.path, device.transaction = atStatic, device.transaction+"1"
		r = device.enroll(with(secret))
		device.issued(r)
		if r.hash != device.hash {
			t.Errorf("%s: answered with %s", device.hash, r.hash)
		}
		var counted []string
		for name, n := range k.seen.legacy {
			for range n {
				counted = append(counted, name)
			}
		}
		if slices.Sort(counted); !slices.Equal(counted, c.legacy) {
			t.Errorf("%v: %v were counted", c.legacy, counted)
		}
		clear(k.seen.legacy)
	}
}

// TestBER: clients write indefinite lengths and OCTET STRINGs in pieces.
func TestBER(t *testing.T) {
	k := newKit(t, nil)
	for _, c := range []struct{ inner, outer bool }{{true, false}, {false, true}, {true, true}} {
		device := k.newClient(1)
		envelope := device.envelope(device.csr(with(k.secret())))
		if c.inner {
			envelope = spread(t, envelope)
		}
		message := device.message(pkcsReq, envelope)
		if c.outer {
			message = spread(t, message)
		}
		device.issued(device.read(k.post(at, message)))
	}
}

// TestOldRequests: SHA-1 under the request itself is granted and counted as that
// of the message is, once.
func TestOldRequests(t *testing.T) {
	k := newKit(t, func(k *kit) {
		k.adapt = func(o *Options) { o.Own["one-issuing-"+other] = Own{Legacy: []string{"sha1"}} }
	})
	old := func(r *csr) { r.hash = crypto.SHA1 }
	c := k.newClient(1)
	k.refused("not granted", c.enroll(with(k.secret()), old), badMessageCheck, "cannot be used")
	for i, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA1} {
		c := k.newClient(1)
		c.path, c.hash = atStatic, hash
		c.issued(c.enroll(with(k.secret()), old))
		if k.seen.legacy["sha1"] != i+1 {
			t.Errorf("%s: %v were counted", hash, k.seen.legacy)
		}
	}
}

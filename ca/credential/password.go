package credential

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/enrollgate/enrollgate/ca"
)

// The parameters of argon2id are RFC 9106's second recommended option (section
// 4): 64 MiB of memory, three passes, four lanes.
const (
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
	argonSize    = 32
	maxHashing   = 2 // at one time
	maxPassword  = 1024
	minPassword  = 8
)

// decoy is hashed against where there is no such user: nothing has its hash.
var decoy = encodeArgon(make([]byte, 16), make([]byte, argonSize))

// hash keeps a password that a person chose.
func (r *Registry) hash(ctx context.Context, into *Record, s Secret) error {
	if n := len(s.octets); n < minPassword || n > maxPassword {
		return ca.Errorf(ca.BadRequest, "a password has %d to %d octets", minPassword, maxPassword)
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails (crypto/rand)
	sum, err := r.argon(ctx, s.octets, salt)
	into.Secret = []byte(encodeArgon(salt, sum))
	return err
}

// compare tells whether a password is the one that was kept.
func (r *Registry) compare(ctx context.Context, kept, password string) (bool, error) {
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || strings.Join(parts[:4], "$") != argonHeader {
		return false, ca.InternalError(errors.New("credential: a stored password has another form"))
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, ca.InternalError(err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, ca.InternalError(err)
	}
	if len(password) > maxPassword {
		password = password[:maxPassword] + "!" // longer than any that was kept
	}
	sum, err := r.argon(ctx, []byte(password), salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, want) == 1, nil
}

// argon waits for its turn: each run takes 64 MiB.
func (r *Registry) argon(ctx context.Context, password, salt []byte) ([]byte, error) {
	select {
	case r.hashing <- struct{}{}:
		defer func() { <-r.hashing }()
		return argon2.IDKey(password, salt, argonTime, argonMemory, argonThreads, argonSize), nil
	case <-ctx.Done():
		return nil, ca.UnavailableError(ctx.Err(), 0)
	}
}

var argonHeader = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d", argon2.Version, argonMemory, argonTime, argonThreads)

func encodeArgon(salt, sum []byte) string {
	return argonHeader + "$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

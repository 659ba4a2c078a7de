//go:build cgo

package pkcs11

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// login keeps a token's user logged in. Its state is the application's (PKCS
// #11 base, section 5.6): one login counts for all sessions, and the last
// session that is closed ends it.
type login struct {
	accepted, failed atomic.Uint64

	salt    []byte
	refused map[[sha256.Size]byte]error // PINs that the token has refused, by MAC
	locked  bool                        // it was seen locked
}

// ensure logs in where the session is not. A PIN that was refused once is not
// tried again, since each attempt brings the token nearer to locking itself;
// nor is any PIN tried where it is the last attempt.
func (l *login) ensure(t *token, slot uint, s p11.SessionHandle, secret keys.Secret) error {
	ctx := t.module.ctx
	state, err := ctx.GetSessionInfo(s)
	if err != nil {
		return callError("C_GetSessionInfo", err)
	}
	if state.State == p11.CKS_RO_USER_FUNCTIONS || state.State == p11.CKS_RW_USER_FUNCTIONS {
		return nil
	}
	info, err := ctx.GetTokenInfo(slot)
	if err != nil {
		return callError("C_GetTokenInfo", err)
	}
	if info.Flags&p11.CKF_LOGIN_REQUIRED == 0 {
		return nil
	}
	if secret.IsZero() {
		return refuse(ca.BadRequest, t.name, nil, "the token wants a PIN; give it as key_password: file:/absolute/path, env:NAME or credential:NAME")
	}
	pin, err := secret.Resolve()
	if err != nil {
		return err
	}
	defer clear(pin)
	if len(l.salt) == 0 {
		l.salt = make([]byte, 16)
		rand.Read(l.salt) // never fails (crypto/rand)
		l.refused = map[[sha256.Size]byte]error{}
	}
	mac := hmac.New(sha256.New, l.salt)
	mac.Write(pin)
	which := [sha256.Size]byte(mac.Sum(nil))
	if err := l.allowed(t, info.Flags, which); err != nil {
		return err
	}
	err = ctx.Login(s, p11.CKU_USER, string(pin))
	if err == nil || errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) {
		l.accepted.Add(1)
		l.locked = false
		return nil
	}
	err = callError("C_Login", err)
	var rv p11.Error
	errors.As(err, &rv)
	switch uint(rv) {
	case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE:
		err = refuse(ca.BadProof, t.name, err, "the token refuses the PIN of key_password; it was tried once and is not tried again, so that the token does not lock itself: correct it")
	case p11.CKR_PIN_LOCKED:
		err = errLocked(t.name, err)
	case p11.CKR_PIN_EXPIRED, p11.CKR_USER_PIN_NOT_INITIALIZED: // no fault of this PIN: tried again when it was set
		l.failed.Add(1)
		return refuse(ca.Denied, t.name, err, "the token takes no user PIN as it is; set one with its own tool")
	default:
		return err
	}
	l.failed.Add(1)
	l.refused[which] = err
	return err
}

// allowed tells whether a PIN may be tried.
func (l *login) allowed(t *token, flags uint, which [sha256.Size]byte) error {
	const low = "CKF_USER_PIN_FINAL_TRY is set"
	switch {
	case flags&p11.CKF_PROTECTED_AUTHENTICATION_PATH != 0:
		return refuse(ca.BadRequest, t.name, nil, "the token asks for its PIN on a keypad of its own, which a service cannot use; use a token or slot with a PIN")
	case flags&p11.CKF_USER_PIN_LOCKED != 0:
		l.locked = true
		return errLocked(t.name, errors.New("CKF_USER_PIN_LOCKED is set"))
	case l.locked:
		l.locked = false
		clear(l.refused) // it was unlocked since
	}
	if err := l.refused[which]; err != nil {
		return err
	}
	if flags&p11.CKF_USER_PIN_FINAL_TRY != 0 {
		return refuse(ca.Denied, t.name, errors.New(low), "one more wrong PIN would lock the token, so none is tried; log in once with the token's own tool, which sets its counter back, and check key_password")
	}
	return nil
}

func errLocked(token string, cause error) error {
	return refuse(ca.Denied, token, fmt.Errorf("CKR_PIN_LOCKED: %w", cause),
		"the token has locked its user PIN after wrong attempts; have its security officer set a new one, and check key_password")
}

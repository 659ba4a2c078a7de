//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"
	"time"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
)

// retryAfter is what an operation is told to wait that met a token in trouble.
const retryAfter = 5 * time.Second

// fate says what a failed call means for what it ran on.
type fate uint8

const (
	refused     fate = iota // the call was answered; nothing is lost
	sessionGone             // the session, login or handle is of no use any more
	deviceGone              // the token does not answer
	moduleGone              // the module must be initialised again
	noSession               // the token has no session left for us
)

// fateOf reads a return value (PKCS #11 version 2.40 base, section 5.1).
func fateOf(err error) fate {
	var rv p11.Error
	if !errors.As(err, &rv) {
		return refused
	}
	switch uint(rv) {
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_KEY_HANDLE_INVALID,
		p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_OPERATION_ACTIVE, p11.CKR_OPERATION_NOT_INITIALIZED:
		return sessionGone
	case p11.CKR_DEVICE_ERROR, p11.CKR_DEVICE_MEMORY, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_TOKEN_NOT_RECOGNIZED,
		p11.CKR_SLOT_ID_INVALID, p11.CKR_GENERAL_ERROR, p11.CKR_FUNCTION_FAILED, p11.CKR_FUNCTION_CANCELED, p11.CKR_HOST_MEMORY:
		return deviceGone
	case p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		return moduleGone
	case p11.CKR_SESSION_COUNT:
		return noSession
	}
	return refused
}

// callError names the call that failed, in the words of the standard.
func callError(call string, err error) error {
	if err == nil {
		return nil
	}
	var rv p11.Error
	if errors.As(err, &rv) {
		if meaning := meanings()[uint(rv)]; meaning != "" {
			return fmt.Errorf("%s: %w (%s)", call, err, meaning)
		}
	}
	return fmt.Errorf("%s: %w", call, err)
}

// meanings say in plain words what operators will meet.
func meanings() map[uint]string {
	return map[uint]string{
		p11.CKR_DEVICE_ERROR:             "the token failed; it is tried again",
		p11.CKR_DEVICE_REMOVED:           "the token was taken out; it is looked for again",
		p11.CKR_TOKEN_NOT_PRESENT:        "there is no token in the slot; it is looked for again",
		p11.CKR_SESSION_HANDLE_INVALID:   "the session ended",
		p11.CKR_USER_NOT_LOGGED_IN:       "the login ended",
		p11.CKR_CRYPTOKI_NOT_INITIALIZED: "the module was finalised; it is initialised again",
		p11.CKR_SESSION_COUNT:            "the token has no free session; close other programs' or set pkcs11.sessions lower",
		p11.CKR_TOKEN_WRITE_PROTECTED:    "the token is read-only",
		p11.CKR_SESSION_READ_ONLY:        "the session is read-only",
		p11.CKR_PIN_LOCKED:               "the user PIN is locked; the security officer must set it anew",
		p11.CKR_PIN_EXPIRED:              "the user PIN has expired; change it with the token's own tool",
		p11.CKR_USER_PIN_NOT_INITIALIZED: "the token has no user PIN yet; the security officer must set one",
		p11.CKR_MECHANISM_INVALID:        "the token does not have this mechanism",
		p11.CKR_KEY_SIZE_RANGE:           "the token does not take keys of this size",
	}
}

// unavailable is what operations are told whatever the token said: they can do
// nothing about it but come back.
func unavailable(token string, err error) error {
	var e *ca.Error
	if errors.As(err, &e) && e.Kind == ca.Unavailable {
		return e
	}
	return ca.UnavailableError(fmt.Errorf("token %s: %w", token, err), retryAfter)
}

// refuse makes an error that says what to do, with the token and the cause.
func refuse(kind ca.Kind, token string, cause error, format string, args ...any) error {
	e := ca.Errorf(kind, format, args...)
	e.Field = "key"
	e.Err = fmt.Errorf("token %s", token)
	if cause != nil {
		e.Err = fmt.Errorf("token %s: %w", token, cause)
	}
	return e
}

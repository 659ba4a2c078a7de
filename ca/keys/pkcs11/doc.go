// Package pkcs11 keeps keys in tokens behind PKCS #11 modules (version 2.40,
// with the Ed25519 mechanism of 3.0): it opens, generates, signs and decrypts.
// It needs cgo; a build without has the file signer only and says so when a
// pkcs11: key is opened.
//
// A module is loaded and initialised once and has one owner. Each token has a
// bounded number of workers with a session of their own and cached object
// handles, behind a keys.Pool. Calls into a module cannot be cancelled: the
// deadline of an operation counts until it starts, and a watchdog marks a
// worker lost whose call does not return. A module is initialised again only
// while no call runs in it.
//
// What is lost comes back by itself: a session, a login, a token that was taken
// out, a server behind the module that was restarted. Meanwhile operations
// answer ca.Unavailable. A PIN that a token has refused is never tried again.
//
// Left out: keys that ask for a PIN at each signature
// (CKA_ALWAYS_AUTHENTICATE), readers with a keypad of their own, secret keys,
// wrapping, and the import of private keys.
package pkcs11

import (
	"time"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// Options say which modules may be loaded and how they are used.
type Options struct {
	// Modules lists the absolute paths of the modules that may be loaded. The
	// first is used where a URI has no module-path. A key URI comes from the
	// store too, and a path there must not be enough to run a library.
	Modules []string
	// Limits bound workers (0: 8 for each token, or what the token's session
	// limit leaves), queue and tenants' weights for each token.
	Limits keys.Limits
	// Stuck is how long one call may take before its worker counts as lost; 0:
	// 20 s. Generating a key may take 30 times as long.
	Stuck time.Duration
	// Replace bounds the lost workers of a token that are replaced while their
	// calls have not returned; 0: as many as it has workers, less than 0: none.
	Replace int
}

// Status is what a token's workers are doing, for metrics.
type Status struct {
	Token    string // label, or serial number where it has none; UTF-8
	Serial   string // serial number; UTF-8
	Module   string // path
	Workers  int    // in service
	Lost     int    // whose calls have not returned
	Logins   uint64 // logins that the token accepted
	Refused  uint64 // logins that the token refused
	Lapses   uint64 // losses of a session, login or token that were noticed
	Restarts uint64 // of the module, the first initialisation not counted
}

// Info describes a token, for `doctor`. Sizes are bits for RSA and curves.
type Info struct {
	Module, Library                         string // path; what the library calls itself, with version
	Slot                                    uint
	Label, Manufacturer, Model, Serial      string
	Firmware                                string
	LoginRequired, WriteProtected           bool
	PINInitialized, PINLow, PINLast, Locked bool // Low: a wrong PIN was tried; Last: one more locks it
	MaxSessions, Sessions                   uint // 0: not said
	Mechanisms                              []Mechanism
	Algorithms                              []string // of keys.Algorithms, those that can be generated and sign
}

// Mechanism is one that a token lists.
type Mechanism struct {
	Name                    string // CKM_..., or its number
	MinKey, MaxKey          uint
	Sign, Decrypt, Generate bool
}

package cms

import (
	"errors"
	"fmt"
)

// What an error is, for errors.Is. Texts behind them are for the log.
var (
	// ErrSyntax is a message that is not what its type says, or is over a bound.
	ErrSyntax = errors.New("malformed CMS")
	// ErrAlgorithm is an algorithm, or parameters of one, that is not supported
	// or that the Floor does not grant. SCEP says badAlg.
	ErrAlgorithm = errors.New("unsupported CMS algorithm")
	// ErrSignature is a signature that does not verify, or signed attributes
	// that do not hold for the content. SCEP says badMessageCheck.
	ErrSignature = errors.New("CMS signature does not verify")
	// ErrRecipient is an envelope for nobody whose key was given.
	ErrRecipient = errors.New("no CMS recipient with a known key")
	// ErrDecrypt is every failure after the recipient was found. It is returned
	// as it is, without a cause.
	ErrDecrypt = errors.New("CMS content does not decrypt")
)

func syntaxf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSyntax, fmt.Sprintf(format, args...))
}

func algorithmf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAlgorithm, fmt.Sprintf(format, args...))
}

func signaturef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSignature, fmt.Sprintf(format, args...))
}

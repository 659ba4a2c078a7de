package hierarchy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Log is the plain text record of a key ceremony: what was done, when, by whom
// and with which fingerprints. It never gets a secret to write. nil writes
// nothing.
type Log struct {
	out io.Writer
	now func() time.Time
	err error
}

// NewLog begins the record of one command.
func NewLog(out io.Writer, now func() time.Time, command, by, host string) *Log {
	l := &Log{out: out, now: now}
	l.Note("ceremony", "%s, by %s on %s", command, by, host)
	return l
}

// Note writes one line: the time in UTC, what it is about, and a text.
func (l *Log) Note(about, format string, args ...any) {
	if l == nil || l.err != nil {
		return
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, fmt.Sprintf(format, args...))
	_, l.err = fmt.Fprintf(l.out, "%s  %-12s %s\n", l.now().UTC().Format(time.RFC3339), about, text)
}

// End writes the outcome and gives the first error of writing.
func (l *Log) End(outcome error) error {
	if l == nil {
		return nil
	}
	if outcome != nil {
		l.Note("failed", "%v", outcome)
	} else {
		l.Note("done", "the command ended well")
	}
	return l.err
}

// key notes a key by its place and the SHA-256 of its public half.
func (l *Log) key(about, uri string, public pkix.PublicKey) {
	l.Note(about, "%s, %s, SHA-256 of the public key %x", uri, public.Algorithm(), public.Hash())
}

// Certificate notes a certificate and its SHA-256 fingerprint.
func (l *Log) Certificate(about string, der []byte) {
	if l == nil {
		return
	}
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		l.Note(about, "a certificate that cannot be read: %v", err)
		return
	}
	l.Note(about, "subject %s, issuer %s, serial %x, valid %s to %s, SHA-256 %x", cert.Subject, cert.Issuer, cert.Serial,
		cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), sha256.Sum256(der))
}

// List notes a revocation list and its SHA-256 fingerprint.
func (l *Log) List(about string, der []byte) {
	if l == nil {
		return
	}
	list, err := pkix.ParseCRL(der)
	if err != nil {
		l.Note(about, "a list that cannot be read: %v", err)
		return
	}
	l.Note(about, "issuer %s, number %v, %d entries, valid %s to %s, SHA-256 %x", list.Issuer, list.Number, list.Count,
		list.ThisUpdate.UTC().Format(time.RFC3339), list.NextUpdate.UTC().Format(time.RFC3339), sha256.Sum256(der))
}

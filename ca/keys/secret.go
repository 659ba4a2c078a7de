package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/enrollgate/enrollgate/ca"
)

// maxSecret bounds a password or PIN, in bytes.
const maxSecret = 4 << 10

// secretModes are the permission bits a secret file must not have: any for
// others, more than reading for the group. Group reading is what systemd
// credentials and Kubernetes secrets show (0440) when an access list or
// fsGroup lets the service user in.
const secretModes fs.FileMode = 0o037

const redacted = "[redacted]"

// Secret says where a password or PIN is found. It is looked up each time it
// is used, so that it can be changed, and shows as "[redacted]" however it is
// printed, logged or encoded. The zero Secret is no secret at all.
type Secret struct {
	// A closure, because fmt may not call the methods of an unexported field
	// and looks into pointers under some verbs; of a func it has only the
	// address.
	lookup func() ([]byte, error)
	ref    func() string // as written; nil for a literal
}

// ParseSecret reads a reference: "file:/absolute/path", "env:NAME" or
// "credential:NAME", a file of that name in the folder that
// $CREDENTIALS_DIRECTORY names (systemd.exec(5), LoadCredential=). The empty string is the zero Secret. Errors do not repeat the text, which may be
// the secret itself put in the wrong place.
func ParseSecret(ref string) (Secret, error) {
	kind, value, _ := strings.Cut(ref, ":")
	switch {
	case ref == "":
		return Secret{}, nil
	case kind == "file" && filepath.IsAbs(value) && !strings.ContainsRune(value, 0):
		return Secret{func() ([]byte, error) { return secretFromFile(value) }, func() string { return ref }}, nil
	case kind == "env" && envName.MatchString(value):
		return Secret{func() ([]byte, error) { return secretFromEnv(value) }, func() string { return ref }}, nil
	case kind == "credential" && credentialName.MatchString(value):
		return Secret{func() ([]byte, error) { return secretFromCredential(value) }, func() string { return ref }}, nil
	default:
		return Secret{}, ca.Errorf(ca.BadRequest, "a secret is given as file:/absolute/path, env:NAME or credential:NAME, never as the value itself")
	}
}

// credentialName has no slash and no leading dot: it never leaves its folder.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$`)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// LiteralSecret holds the value itself: for tests and for passwords that the
// program has just made, never for configuration.
func LiteralSecret(value string) Secret {
	return Secret{lookup: func() ([]byte, error) { return []byte(value), nil }}
}

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.lookup == nil }

// SameReference tells whether two secrets are found at the same place, or both
// are none. What is found there is not compared; a literal is like no other.
func (s Secret) SameReference(o Secret) bool {
	if s.IsZero() || o.IsZero() {
		return s.IsZero() && o.IsZero()
	}
	return s.ref != nil && o.ref != nil && s.ref() == o.ref()
}

// Resolve looks the secret up and gives its bytes, 1 to 4096 of them; the
// caller clears them after use. From a file one trailing newline is trimmed.
// The zero Secret is an error. Errors name the file or variable, never the
// value.
func (s Secret) Resolve() ([]byte, error) {
	if s.IsZero() {
		return nil, ca.Errorf(ca.BadRequest, "a secret is needed; give it as file:/absolute/path or env:NAME")
	}
	value, err := s.lookup()
	if err != nil {
		return nil, err
	}
	if len(value) == 0 || len(value) > maxSecret {
		clear(value)
		return nil, ca.Errorf(ca.BadRequest, "a secret has 1 to %d bytes; this one is empty or longer", maxSecret)
	}
	return value, nil
}

func secretFromFile(path string) ([]byte, error) {
	content, err := readPrivate(path, maxSecret+2, secretModes)
	if err != nil {
		return nil, err
	}
	value := bytes.TrimSuffix(content, []byte("\n"))
	if len(value) < len(content) {
		value = bytes.TrimSuffix(value, []byte("\r"))
	}
	return value, nil
}

func secretFromEnv(name string) ([]byte, error) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return nil, ca.Wrap(ca.NotFound, fmt.Errorf("variable %s", name), "the environment variable of a secret is not set; set it or use file:/absolute/path")
	}
	return []byte(value), nil
}

func secretFromCredential(name string) ([]byte, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return nil, ca.Wrap(ca.NotFound, fmt.Errorf("credential %s: CREDENTIALS_DIRECTORY is not an absolute path", name),
			"there is no folder of credentials; add LoadCredential= to the systemd unit, or set CREDENTIALS_DIRECTORY to the folder of the secrets")
	}
	return secretFromFile(filepath.Join(dir, name))
}

// readPrivate reads a regular file of at most limit bytes that has none of the
// forbidden permission bits. It looks at the file it has opened, and does not
// block on a pipe put in its place.
func readPrivate(path string, limit int64, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ca.Wrap(ca.NotFound, err, "the file of a key or secret does not exist; check the path")
	case err != nil:
		return nil, ca.Wrap(ca.Denied, err, "the file of a key or secret cannot be opened; the user that runs this program must own it")
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, ca.InternalError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("%s is %v", path, info.Mode()), "a key or secret is read from a regular file")
	}
	if open := info.Mode().Perm() & forbidden; open != 0 {
		return nil, ca.Wrap(ca.Denied, fmt.Errorf("%s has mode %04o", path, info.Mode().Perm()), "the file of a key or secret is open to other users; run chmod 600 on it")
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		clear(content)
		return nil, ca.InternalError(err)
	}
	if int64(len(content)) > limit {
		clear(content)
		return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("%s has more than %d bytes", path, limit), "the file of a key or secret is too large to be one")
	}
	return content, nil
}

// String is "[redacted]".
func (Secret) String() string { return redacted }

// GoString is "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" under every verb and flag of fmt.
func (Secret) Format(f fmt.State, _ rune) {
	io.WriteString(f, redacted) // a fmt.State keeps what it is given
}

// LogValue is "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is the string "[redacted]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText is "[redacted]", which YAML uses too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

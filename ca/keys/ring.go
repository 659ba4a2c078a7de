package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/enrollgate/enrollgate/ca"
)

// Ring opens keys by URI and closes them all. It is safe for concurrent use.
type Ring struct {
	backends map[string]Backend // by scheme, in lower case
	memory   *Pool              // workers of keys that are in no backend

	mu     sync.Mutex
	closed bool
}

// Option changes how NewRing builds a Ring.
type Option func(*options)

type options struct {
	file     fileOptions
	backends map[string]Backend
}

// WithLimits sets workers, queue and tenant weights of the file backend.
func WithLimits(limits Limits) Option {
	return func(o *options) { o.file.limits = limits }
}

// WithBaseDir sets the directory that relative file URIs start from. Without
// it they are refused.
func WithBaseDir(dir string) Option {
	return func(o *options) { o.file.baseDir = dir }
}

// WithPlaintext lets Open read key files that are not encrypted. Generate
// encrypts all the same.
func WithPlaintext() Option {
	return func(o *options) { o.file.plaintext = true }
}

// WithBackend adds a backend for the URIs of a scheme ("pkcs11"). The Ring
// owns it from then on and closes it. One for "file" takes the place of the
// backend built in; nil adds none.
func WithBackend(scheme string, backend Backend) Option {
	return func(o *options) {
		if backend != nil {
			o.backends[strings.ToLower(scheme)] = backend
		}
	}
}

// NewRing makes a Ring with the file backend and those added by options.
func NewRing(opts ...Option) *Ring {
	o := options{backends: make(map[string]Backend)}
	for _, opt := range opts {
		opt(&o)
	}
	files := newFileBackend(o.file)
	if o.backends[fileScheme] == nil {
		o.backends[fileScheme] = files
	}
	return &Ring{backends: o.backends, memory: files.pool}
}

// Schemes lists the URI schemes this Ring opens, sorted.
func (r *Ring) Schemes() []string {
	return slices.Sorted(maps.Keys(r.backends))
}

// Open gives the key that a URI names: file:/absolute/path, file:relative/path
// or a scheme added with WithBackend. The secret is the key's password or PIN;
// the zero Secret means there is none. What it gives for an RSA key is a
// Decrypter too.
//
// Errors are *ca.Error: ca.BadRequest for a URI or file that is not what it
// should be, ca.NotFound for a missing key, ca.BadProof for a wrong password,
// ca.Denied for a key or secret that is too open, ca.Unavailable after Close.
func (r *Ring) Open(ctx context.Context, uri string, secret Secret) (Signer, error) {
	backend, err := r.backend(ctx, uri)
	if err != nil {
		return nil, err
	}
	return backend.Open(ctx, uri, secret)
}

// Generate makes a new key of a named algorithm (see Algorithms) where a URI
// says and protects it with secret. It never replaces a key: where there is
// one the error is of kind ca.Conflict.
func (r *Ring) Generate(ctx context.Context, uri, algorithm string, secret Secret) error {
	backend, err := r.backend(ctx, uri)
	if err != nil {
		return err
	}
	return backend.Generate(ctx, uri, algorithm, secret)
}

// Close refuses new operations, waits for those that run or wait, and closes
// every backend. Signers then answer ca.Unavailable. A second Close does
// nothing.
func (r *Ring) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.memory.Close()
	var errs []error
	for _, scheme := range r.Schemes() {
		if err := r.backends[scheme].Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s keys: %w", scheme, err))
		}
	}
	return errors.Join(errs...)
}

// backend picks by scheme. The URI itself stays out of the errors: one with a
// pin-value (RFC 7512 section 2.4) would carry a secret.
func (r *Ring) backend(ctx context.Context, uri string) (Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, ca.UnavailableError(err, retryAfter)
	}
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return nil, ca.UnavailableError(errClosed, retryAfter)
	}
	scheme, _, found := strings.Cut(uri, ":")
	scheme = strings.ToLower(scheme)
	if !found || !isScheme(scheme) {
		return nil, ca.Errorf(ca.BadRequest, "a key is named by a URI such as file:/path/to/key.pem; this one has no scheme")
	}
	if backend := r.backends[scheme]; backend != nil {
		return backend, nil
	}
	if schemes := r.Schemes(); len(schemes) > 1 {
		return nil, ca.Errorf(ca.BadRequest, "this build has no signer for %s: keys; it opens %s:", scheme, strings.Join(schemes, ":, "))
	}
	return nil, ca.Errorf(ca.BadRequest, "this build has the file signer only and cannot open %s: keys; name a key as file:/path/to/key.pem", scheme)
}

// isScheme checks a lower-case scheme (RFC 3986 section 3.1).
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}

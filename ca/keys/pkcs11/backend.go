//go:build cgo

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
)

// With lets a Ring open and make pkcs11: keys.
func With(b *Backend) keys.Option { return keys.WithBackend("pkcs11", b) }

// Backend opens and makes keys in tokens. It owns the modules it has loaded: a
// process has one Backend.
type Backend struct {
	options Options

	mu      sync.Mutex
	modules map[string]*module
	closed  bool
}

var _ keys.Backend = (*Backend)(nil)

// New makes a Backend; modules are loaded when a key in them is first asked for.
func New(o Options) *Backend {
	if o.Stuck <= 0 {
		o.Stuck = defaultStuck
	}
	if o.Limits.Workers <= 0 {
		o.Limits.Workers = defaultWorkers
	}
	return &Backend{options: o, modules: map[string]*module{}}
}

// Open gives the key that a URI names (RFC 7512): one private key in one
// token, found by label, id or both. Its public half is read from the public
// key object, from the private key itself, or from a certificate of the same
// id. The secret is the user PIN. It signs once, so that a key that does not
// fit its public half is refused here.
//
// Beside the errors of keys.Ring: ca.Denied for a module that is not listed, a
// locked token or one whose last PIN attempt is left, and a key that wants its
// PIN each time.
func (b *Backend) Open(ctx context.Context, uri string, secret keys.Secret) (keys.Signer, error) {
	t, u, err := b.find(uri)
	if err != nil {
		return nil, err
	}
	var opened *key
	err = t.do(ctx, ca.LaneStatus, "", t.stuck, secret, 0, func(s *session) (err error) {
		opened, err = s.open(t, u)
		return err
	})
	if err != nil {
		return nil, asError(t, err)
	}
	opened.secret = secret
	if err := opened.prove(ctx); err != nil {
		return nil, err
	}
	if opened.decrypts {
		return &decrypter{key: opened}, nil
	}
	return opened, nil
}

// asError gives what a call left as *ca.Error.
func asError(t *token, err error) error {
	var e *ca.Error
	if errors.As(err, &e) {
		return err
	}
	return refuse(ca.BadRequest, t.name, err, "the token refuses what was asked of it; see the log for its answer")
}

// find parses a key URI and finds its token.
func (b *Backend) find(uri string) (*token, pkcs11uri.URI, error) {
	u, err := pkcs11uri.Parse(uri)
	if err == nil {
		err = u.CheckKey()
	}
	if err != nil {
		return nil, u, &ca.Error{Kind: ca.BadRequest, Public: err.Error(), Field: "key"}
	}
	m, err := b.module(u.ModulePath)
	if err != nil {
		return nil, u, err
	}
	t, err := b.token(m, u)
	return t, u, err
}

// module gives a module that may be loaded, and loads it the first time.
func (b *Backend) module(path string) (*module, error) {
	if path == "" && len(b.options.Modules) > 0 {
		path = b.options.Modules[0]
	}
	if path == "" {
		return nil, ca.Errorf(ca.BadRequest, "nothing says which PKCS#11 module the key is behind; name it in pkcs11.modules, or add ?module-path=/path/of/module.so to the key URI")
	}
	if !slices.Contains(b.options.Modules, path) {
		return nil, ca.Wrap(ca.Denied, fmt.Errorf("%s; listed: %s", path, strings.Join(b.options.Modules, ", ")), "the module-path of a key URI is not one that the configuration names; add it to pkcs11.modules")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ca.UnavailableError(errors.New("the keys are closed"), retryAfter)
	}
	if m := b.modules[path]; m != nil {
		return m, nil
	}
	m, err := loadModule(path)
	if err == nil {
		b.modules[path] = m
	}
	return m, err
}

// token gives the token that a URI matches, with its workers.
func (b *Backend) token(m *module, u pkcs11uri.URI) (*token, error) {
	var slot uint
	var info p11.TokenInfo
	var shared bool
	err := m.call(b.options.Stuck, func() (err error) {
		slot, info, shared, err = m.slotOf(u)
		return err
	})
	if err != nil {
		var e *ca.Error
		if errors.As(err, &e) {
			return nil, err
		}
		return nil, ca.UnavailableError(fmt.Errorf("module %s: %w", m.path, err), retryAfter)
	}
	id := identity(info)
	if shared { // only its slot tells it from another
		id.SlotID = &slot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ca.UnavailableError(errors.New("the keys are closed"), retryAfter)
	}
	if t := m.tokens[id.String()]; t != nil {
		return t, nil
	}
	limits := b.options.Limits
	// A session is left for generating a key and for the token's own tools.
	if n := info.MaxSessionCount; n != p11.CK_EFFECTIVELY_INFINITE && n != p11.CK_UNAVAILABLE_INFORMATION && n <= uint(limits.Workers) {
		limits.Workers = max(1, int(n)-1)
	}
	t := &token{module: m, id: id, name: id.Token, pool: keys.NewPool(limits), stuck: b.options.Stuck, replace: b.options.Replace,
		connecting: make(chan struct{}, 1), inService: limits.Workers}
	if t.name == "" {
		t.name = id.Serial
	}
	if t.replace == 0 {
		t.replace = limits.Workers
	}
	t.mu.Lock()
	for n := range limits.Workers {
		t.workers = append(t.workers, t.newWorker(n))
	}
	t.mu.Unlock()
	m.tokens[id.String()] = t
	return t, nil
}

// Status tells what each token's workers do, in no order.
func (b *Backend) Status() []Status {
	var out []Status
	for _, t := range b.tokens() {
		out = append(out, t.status())
	}
	return out
}

func (b *Backend) tokens() (all []*token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.modules {
		m.mu.Lock()
		for _, t := range m.tokens {
			all = append(all, t)
		}
		m.mu.Unlock()
	}
	return all
}

// Close lets operations finish, ends sessions and finalises the modules. A
// call that does not return keeps its module as it is, which is the error.
func (b *Backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, t := range b.tokens() {
		t.close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, m := range b.modules {
		errs = append(errs, m.close())
	}
	clear(b.modules)
	return errors.Join(errs...)
}

package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

const (
	fileScheme = "file"

	maxKeyFile = 64 << 10 // bytes

	// keyModes are the permission bits a key file must not have.
	keyModes fs.FileMode = 0o077
)

// fileOptions say where key files are and what is accepted of them.
type fileOptions struct {
	baseDir   string
	plaintext bool
	limits    Limits

	iterations int // of PBKDF2 in files that are written; 0: 600,000, and only tests take less
}

// fileBackend keeps keys in encrypted PKCS #8 files. Its workers bound the
// processor time that signatures take from everything else.
type fileBackend struct {
	fileOptions
	pool *Pool
}

var _ Backend = (*fileBackend)(nil)

func newFileBackend(o fileOptions) *fileBackend {
	if o.iterations == 0 {
		o.iterations = writeIterations
	}
	return &fileBackend{fileOptions: o, pool: NewPool(o.limits)}
}

// Open reads and decrypts a key file.
func (b *fileBackend) Open(_ context.Context, uri string, secret Secret) (Signer, error) {
	path, err := b.path(uri)
	if err != nil {
		return nil, err
	}
	content, err := readPrivate(path, maxKeyFile, keyModes)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	private, err := parseKeyPEM(content, secret, b.plaintext)
	if err != nil {
		e := *ca.AsError(err)
		e.Field = "key"
		if e.Err == nil {
			e.Err = fmt.Errorf("key file %s", path)
		} else {
			e.Err = fmt.Errorf("key file %s: %w", path, e.Err)
		}
		return nil, &e
	}
	return inMemory(b.pool, private), nil
}

// inMemory is a key whose operations run on the workers of a pool.
func inMemory(pool *Pool, private crypto.Signer) Signer {
	key := fileKey{pool: pool, private: private}
	if decrypter, ok := private.(*rsa.PrivateKey); ok {
		return &fileRSAKey{fileKey: key, decrypter: decrypter}
	}
	return &key
}

// Close waits for the operations that run or wait.
func (b *fileBackend) Close() error {
	b.pool.Close()
	return nil
}

// path gives the file that a file URI names (RFC 8089): file:/absolute,
// file:///absolute, file://localhost/absolute or, beyond the RFC,
// file:relative to the base directory. Percent-encoding is undone.
func (b *fileBackend) path(uri string) (string, error) {
	_, rest, _ := strings.Cut(uri, ":")
	if local, ok := strings.CutPrefix(rest, "//"); ok {
		host, path, _ := strings.Cut(local, "/")
		if host != "" && !strings.EqualFold(host, "localhost") {
			return "", ca.Errorf(ca.BadRequest, "a file URI names no other host; write file:/path/to/key.pem")
		}
		rest = "/" + path
	}
	if strings.ContainsAny(rest, "?#") {
		return "", ca.Errorf(ca.BadRequest, "a file URI has no query or fragment; write ? as %%3F and # as %%23")
	}
	path, err := url.PathUnescape(rest)
	if err != nil || path == "" || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
		return "", ca.Errorf(ca.BadRequest, "this file URI does not name a file; write file:/path/to/key.pem")
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	if b.baseDir == "" {
		return "", ca.Errorf(ca.BadRequest, "a relative file URI needs a base directory; write file:/path/to/key.pem")
	}
	return filepath.Join(b.baseDir, path), nil
}

// checkKey accepts the keys that CheckPublic accepts.
func checkKey(key any) (crypto.Signer, error) {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		signer := key.(crypto.Signer)
		if err := CheckPublic(signer.Public()); err != nil {
			return nil, err
		}
		return signer, nil
	}
	return nil, CheckPublic(key)
}

// fileKey is a key in memory that signs on a worker of its backend.
type fileKey struct {
	pool    *Pool
	private crypto.Signer
}

func (k *fileKey) Public() crypto.PublicKey { return k.private.Public() }

func (k *fileKey) Sign(ctx context.Context, lane ca.Lane, tenant string, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := CheckSign(k.private.Public(), digest, opts); err != nil {
		return nil, err
	}
	worker, err := k.pool.Acquire(ctx, lane, tenant)
	if err != nil {
		return nil, err
	}
	defer k.pool.Release(worker)
	signature, err := k.private.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, ca.InternalError(fmt.Errorf("sign: %w", err))
	}
	return signature, nil
}

// fileRSAKey also decrypts.
type fileRSAKey struct {
	fileKey
	decrypter *rsa.PrivateKey
}

var _ Decrypter = (*fileRSAKey)(nil)

func (k *fileRSAKey) Decrypt(ctx context.Context, lane ca.Lane, tenant string, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := CheckDecrypt(opts); err != nil {
		return nil, err
	}
	worker, err := k.pool.Acquire(ctx, lane, tenant)
	if err != nil {
		return nil, err
	}
	defer k.pool.Release(worker)
	plain, err := k.decrypter.Decrypt(rand.Reader, msg, opts)
	if err != nil {
		return nil, ca.Wrap(ca.BadRequest, err, "the message cannot be decrypted; encrypt it to the current certificate of this service")
	}
	return plain, nil
}

package service

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// keeper is the life cycle of one of the gateway's certificates: a fresh P-256
// key with each, or a key that is held elsewhere.
type keeper struct {
	name     string // in log events
	enroller Enroller
	file     string                    // PEM: key and chain, mode 0600; "" keeps both in memory
	key      crypto.Signer             // nil: a fresh one with every certificate; else the file is not used
	issuer   func() (ca.Issuer, error) // the CA's generation that signs now
	fits     func(*x509.Certificate) bool
	request  func(crypto.PublicKey) (*ca.Request, error)
	log      *slog.Logger
	now      func() time.Time
	current  *atomic.Pointer[tls.Certificate]
}

func (k *keeper) filed() bool { return k.file != "" && k.key == nil }

// ready loads the certificate from its file, or enrolls one.
func (k *keeper) ready(ctx context.Context) error {
	if k.filed() {
		cert, err := k.load()
		if err == nil && !k.due(cert.Leaf) && !k.superseded(cert.Leaf) && k.fits(cert.Leaf) {
			k.current.Store(cert)
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			k.log.Warn("service.unreadable", "service", k.name, "file", k.file, "error", err)
		}
	}
	return k.renew(ctx)
}

// keep renews until ctx ends.
func (k *keeper) keep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look(ctx)
		}
	}
}

// look renews a certificate that is due, or that a generation of the CA issued
// that another one has taken over from.
func (k *keeper) look(ctx context.Context) {
	c := k.current.Load()
	if c == nil || !k.due(c.Leaf) && !k.superseded(c.Leaf) {
		return
	}
	if err := k.renew(ctx); err != nil {
		k.log.Error("service.renewal", "service", k.name, "error", err, "not_after", c.Leaf.NotAfter)
	}
}

// due tells whether two thirds of the certificate's life are over.
func (k *keeper) due(leaf *x509.Certificate) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return !k.now().Before(leaf.NotBefore.Add(life * 2 / 3))
}

// superseded tells whether another generation of the CA than the certificate's
// signs now.
func (k *keeper) superseded(leaf *x509.Certificate) bool {
	i, err := k.issuer()
	return err == nil && !bytes.Equal(leaf.AuthorityKeyId, i.Facts().KeyID)
}

func (k *keeper) load() (*tls.Certificate, error) {
	f, err := os.Open(k.file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("mode %s: this must be a file of mode 0600", info.Mode())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxChain))
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		return nil, errors.New("no certificate in the file")
	}
	return &cert, nil
}

// renew enrolls a new key and puts it to use once it is safely on disk.
func (k *keeper) renew(ctx context.Context) error {
	key := k.key
	if key == nil {
		fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		key = fresh
	}
	request, err := k.request(key.Public())
	if err != nil {
		return err
	}
	result := k.enroller.Enroll(ctx, request)[0]
	if result.Err != nil {
		return fmt.Errorf("enroll: %w", result.Err)
	}
	cert := &tls.Certificate{Certificate: append([][]byte{result.Certificate.DER}, result.Chain...), PrivateKey: key}
	if cert.Leaf, err = x509.ParseCertificate(result.Certificate.DER); err != nil {
		return err
	}
	if k.filed() {
		if err := k.save(cert); err != nil {
			return err
		}
	}
	k.current.Store(cert)
	k.log.Info("service.renewed", "service", k.name, "not_after", cert.Leaf.NotAfter, "serial", result.Certificate.Serial.String())
	return nil
}

// save writes key and chain, and reads them back.
func (k *keeper) save(cert *tls.Certificate) error {
	private, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	var file bytes.Buffer
	blocks := []*pem.Block{{Type: "PRIVATE KEY", Bytes: private}}
	for _, der := range cert.Certificate {
		blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for _, b := range blocks {
		if err := pem.Encode(&file, b); err != nil {
			return err
		}
	}
	if err := replaceFile(k.file, file.Bytes()); err != nil {
		return err
	}
	_, err = k.load()
	return err
}

// replaceFile writes a file that only its owner reads, whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tls-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

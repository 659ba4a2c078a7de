package doctor

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// OpenSSL has the program openssl verify a CRL's signature.
func OpenSSL(ctx context.Context, crl, issuer []byte) (err error) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		return ErrNoProgram
	}
	dir, err := os.MkdirTemp("", "enrollgate-doctor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list, trusted := filepath.Join(dir, "list.crl"), filepath.Join(dir, "issuer.pem")
	if err := os.WriteFile(list, crl, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer}), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, "crl", "-inform", "DER", "-in", list, "-CAfile", trusted, "-noout").CombinedOutput()
	if text := strings.TrimSpace(string(said)); err != nil || !strings.Contains(text, "verify OK") { // it exits with 0 where the signature is wrong
		return fmt.Errorf("openssl says %q (%w)", text[:min(len(text), 300)], errors.Join(err, errors.New("not verified")))
	}
	return nil
}

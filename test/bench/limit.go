package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/enrollgate/enrollgate/ca/claim"
)

// limit is one thing that no implementation does for less on this machine.
type limit struct {
	Name      string  `json:"name"`
	CPU       float64 `json:"cpu_ms"`
	PerSecond float64 `json:"per_second"` // of wall time
}

// limitTime is how long each limit is measured.
const limitTime = 500 * time.Millisecond

// cost repeats f for limitTime.
func cost(name string, f func() error) (limit, error) {
	runtime.GC()
	cpu, begin, n := ownCPU(), time.Now(), 0
	for time.Since(begin) < limitTime {
		for range 8 {
			if err := f(); err != nil {
				return limit{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		n += 8
	}
	return limit{name, (ownCPU() - cpu).Seconds() * 1000 / float64(n), float64(n) / time.Since(begin).Seconds()}, nil
}

// limits measures everything, on the file system of dir.
func limits(ctx context.Context, dir string) (all []limit, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	jobs, err := newJobs(1, nil, b64)
	if err != nil {
		return nil, err
	}
	csr, err := b64.DecodeString(jobs[0].csr)
	if err != nil {
		return nil, err
	}
	jws, err := (&account{key: key, url: strings.Repeat("u", 100), nonce: strings.Repeat("n", 60)}).sign(strings.Repeat("u", 120), `{}`)
	if err != nil {
		return nil, err
	}
	known, full, err := linting(key)
	if err != nil {
		return nil, err
	}
	decide, err := deciding(key, csr)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(csr)
	for _, m := range []struct {
		name string
		f    func() error
	}{
		{limitSign, func() error { _, err := ecdsa.SignASN1(rand.Reader, key, sum[:]); return err }},
		{limitCSR, func() error { _, _, err := claim.VerifyCSR(csr, false); return err }},
		{limitJWS, func() error { return verifyJWS(&key.PublicKey, jws) }},
		{limitDecide, decide}, // no limits: what the engine and lint cost stands beside them
		{limitLint, known},
		{limitFullLint, full},
	} {
		l, err := cost(m.name, m.f)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	for _, f := range []func() ([]limit, error){rsaLimits, func() ([]limit, error) { return durable(dir) }, func() ([]limit, error) { return static(ctx) }} {
		more, err := f()
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

const (
	limitSign       = "P-256 signature"
	limitCSR        = "CSR parsed and verified (P-256)"
	limitJWS        = "JWS verified (ES256: base64, SHA-256, P-256)"
	limitCommit     = "durable write (1.5 kB, fdatasync)"
	limitRSASign    = "RSA-2048 signature"
	limitRSADecrypt = "RSA-2048 decryption"
	limitRSACSR     = "CSR parsed and verified (RSA-2048)"
	limitTLS        = "static net/http answer over TLS, kept connection"
	limitDial       = "static net/http answer over TLS, new connection"
)

// verifyJWS does what every JWS costs at least; the strings that account.sign
// wrote are found by their place.
func verifyJWS(pub *ecdsa.PublicKey, body []byte) error {
	f := strings.Split(string(body), `"`)
	if len(f) != 13 {
		return errors.New("not a JWS of ours")
	}
	for _, part := range []string{f[3], f[7]} {
		if _, err := b64.DecodeString(part); err != nil {
			return err
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(f[11])
	if err != nil || len(signature) != 64 {
		return errors.New("not a signature of ours")
	}
	sum := sha256.Sum256([]byte(f[3] + "." + f[7]))
	if !ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return errors.New("it does not verify")
	}
	return nil
}

// durable writes as a commit must at least.
func durable(dir string) ([]limit, error) {
	f, err := os.Create(filepath.Join(dir, "durable"))
	if err != nil {
		return nil, err
	}
	defer f.Close() // nobody reads it
	if _, err := f.Write(make([]byte, 16<<20)); err != nil {
		return nil, err
	}
	block, at := make([]byte, 1536), int64(0)
	l, err := cost(limitCommit, func() error {
		at = (at + int64(len(block))) % (15 << 20)
		if _, err := f.WriteAt(block, at); err != nil {
			return err
		}
		return syscall.Fdatasync(int(f.Fd()))
	})
	return []limit{l}, err
}

// static asks a server in a process of its own, so that its cost can be told
// from the client's.
func static(ctx context.Context) ([]limit, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-"+staticFlag)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // it ends when this closes
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	roots, address, err := readStatic(out)
	var all []limit
	if err == nil {
		all, err = askStatic(cmd.Process.Pid, newWire(address, "localhost", roots))
	}
	return all, errors.Join(err, in.Close(), cmd.Wait())
}

func askStatic(pid int, w *wire) (all []limit, err error) {
	defer w.hangUp()
	for _, fresh := range []bool{false, true} {
		name := limitTLS
		if fresh {
			name = limitDial
		}
		if _, err := w.do("POST", "/", []byte("{}")); err != nil {
			return nil, err
		}
		cpu, begin, n := cpuOf(pid), time.Now(), 0
		for ; time.Since(begin) < 2*limitTime; n++ {
			if fresh {
				w.hangUp()
			}
			if _, err := w.do("POST", "/", []byte("{}")); err != nil {
				return nil, err
			}
		}
		all = append(all, limit{name, (cpuOf(pid) - cpu).Seconds() * 1000 / float64(n), float64(n) / time.Since(begin).Seconds()})
	}
	return all, nil
}

// floor is what a flow of so many POSTs and commits costs at least, by the
// limits: each POST an HTTP exchange, and by ACME a JWS, one CSR, one signature and its
// check. What is not in it: the outgoing request, names, JSON, the database, and
// for SCEP its HTTP exchange, which is without TLS.
func floor(all []limit, m row) float64 {
	ms := map[string]float64{}
	for _, l := range all {
		ms[l.Name] = l.CPU
	}
	sum := ms[limitSign] + ms[limitJWS] + m.Commits*ms[limitCommit]
	switch flowOf(m.Flow).door {
	case acmeDoor:
		sum += m.Posts*(ms[limitJWS]+ms[limitTLS]) + ms[limitCSR]
	case estDoor:
		sum += m.Posts*ms[limitTLS] + ms[limitCSR]
	case scepDoor: // the message's signature is checked as the CSR's is
		return sum + ms[limitRSADecrypt] + ms[limitRSASign] + 2*ms[limitRSACSR]
	}
	if m.Connections == "new" {
		sum += ms[limitDial] - ms[limitTLS]
	}
	return sum
}

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TokenPIN is the user PIN of every token that a [Tokens] makes.
const TokenPIN = "271828"

// Tokens is a folder of SoftHSM tokens of its own. The environment of the test,
// and so of the programs that it starts, says where it is.
type Tokens struct {
	t      testing.TB
	Module string // path of the PKCS #11 module
}

// SoftHSM makes an empty folder of tokens.
func SoftHSM(t testing.TB) *Tokens {
	t.Helper()
	NeedPrograms(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatalf("harness: %v", err)
	}
	setenv(t, "SOFTHSM2_CONF", conf)
	return &Tokens{t: t, Module: library(t, "softhsm/libsofthsm2.so")}
}

// setenv is t.Setenv, for benchmarks too.
func setenv(t testing.TB, key, value string) {
	t.Helper()
	before, was := os.LookupEnv(key)
	if err := os.Setenv(key, value); err != nil {
		t.Fatalf("harness: %v", err)
	}
	t.Cleanup(func() {
		if was {
			os.Setenv(key, before) // it was set before: it can be
		} else {
			os.Unsetenv(key)
		}
	})
}

// library finds a shared library of a distribution's package.
func library(t testing.TB, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/" + name, "/usr/lib/*-linux-*/" + name, "/usr/lib64/" + name, "/usr/local/lib/" + name} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	t.Fatalf("harness: %s is not there; run test/tools/install.sh", name)
	return ""
}

// Add makes a token with this label.
func (s *Tokens) Add(label string) {
	s.t.Helper()
	s.run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", TokenPIN, "--so-pin", "31415926")
}

// Tool runs OpenSC's pkcs11-tool on a token, logged in.
func (s *Tokens) Tool(label string, args ...string) string {
	s.t.Helper()
	return s.run("pkcs11-tool", append([]string{"--module", s.Module, "--token-label", label, "--login", "--pin", TokenPIN}, args...)...)
}

func (s *Tokens) run(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("harness: %s %q: %v\n%s; is it installed? run test/tools/install.sh", name, args, err, out)
	}
	return string(out)
}

// TokenServer serves a token to other processes, and can be taken away.
type TokenServer struct {
	Module string // what clients load
	tokens *Tokens
	label  string
	socket string
	child  *child
}

// Serve runs `p11-kit server` for one token until the end of the test.
func (s *Tokens) Serve(label string) *TokenServer {
	s.t.Helper()
	server := &TokenServer{Module: library(s.t, "pkcs11/p11-kit-client.so"), tokens: s, label: label, socket: filepath.Join(s.t.TempDir(), "p11")}
	setenv(s.t, "P11_KIT_SERVER_ADDRESS", "unix:path="+server.socket)
	server.Start()
	s.t.Cleanup(server.Kill)
	return server
}

// Start starts the server again after Kill.
func (s *TokenServer) Start() {
	t := s.tokens.t
	t.Helper()
	cmd := exec.Command("p11-kit", "server", "--foreground", "--provider", s.tokens.Module, "--name", s.socket, "pkcs11:token="+s.label)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it forks for each client
	c, err := startChild(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatalf("harness: %v; run test/tools/install.sh", err)
	}
	s.child = c
	for deadline := time.Now().Add(startLimit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(s.socket); err == nil {
			return
		}
		if !c.running() || time.Now().After(deadline) {
			t.Fatal("harness: p11-kit server does not serve")
		}
	}
}

// Kill ends the server and every process that serves a client.
func (s *TokenServer) Kill() {
	t := s.tokens.t
	t.Helper()
	if s.child == nil {
		return
	}
	if err := syscall.Kill(-s.child.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("harness: kill p11-kit server: %v", err)
	}
	<-s.child.done
	s.child = nil
	if err := os.Remove(s.socket); err != nil {
		t.Errorf("harness: %v", err)
	}
}

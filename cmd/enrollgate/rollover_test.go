package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRolloverOfDaemon takes a CA of a daemon that runs over to its next key: it
// follows without a restart, and what was issued before keeps its chain.
func TestRolloverOfDaemon(t *testing.T) {
	s := installTenants(t, tenantStores["sqlite"])
	chain := func() string { return s.must("cert", "show", s.serial, "--tenant", "one", "--pem") }
	before, published := chain(), s.answer("http", "GET", "/aia/one/issuing.cer")
	first, err := s.issuers.Issuer("one", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(s.file)
	write(t, s.file, string(bytes.Replace(text, []byte("/one.pem"), []byte("/next.pem"), 1)))
	s.must("ca", "create", "--tenant", "one", "--ca", "issuing", "--name", "Of one", "--next", "--root-key", "file:"+filepath.Join(dir, "oneissuing-root.pem"))
	s.must("reload") // the key of the next generation needs no restart
	out := s.must("ca", "activate", "--tenant", "one", "--ca", "issuing", "--generation", "2")
	if !strings.Contains(out, "signs from") {
		t.Error(out)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // reached only where it never comes
		now, err := s.issuers.Issuer("one", "issuing")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(now.Facts().KeyID, first.Facts().KeyID) {
			if aia := now.Facts().AIA[0]; !strings.HasSuffix(aia, "/aia/one/issuing.2.cer") {
				t.Error(aia)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not sign with the next generation")
		}
	}
	if chain() != before || s.answer("http", "GET", "/aia/one/issuing.cer") != published {
		t.Error("what was issued before lost its chain")
	}
	if second := s.answer("http", "GET", "/aia/one/issuing.2.cer"); !strings.HasPrefix(second, "200") || second == published {
		t.Errorf("the next generation is not published: %.80q", second)
	}
	if answer := s.answer("http", "GET", "/aia/one/issuing.3.cer"); !strings.HasPrefix(answer, "404") {
		t.Errorf("%.80q", answer)
	}
	s.end()
}

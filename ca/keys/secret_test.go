package keys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2-hunter2"
	t.Setenv("KEYS_TEST_SECRET", value)
	fromEnv, err := ParseSecret("env:KEYS_TEST_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Secret{"literal": LiteralSecret(value), "env": fromEnv} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			type inside struct {
				Exported Secret
				hidden   Secret
				pointer  *Secret
			}
			for _, v := range []any{s, &s, []Secret{s}, map[string]Secret{"k": s}, inside{s, s, &s}, &inside{s, s, &s}} {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%p"} {
					fmt.Fprintf(&out, verb+"\n", v)
				}
				if err := json.NewEncoder(&out).Encode(v); err != nil {
					t.Fatal(err)
				}
				slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
				slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			}
			text, err := s.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&out, s.String(), s.GoString(), string(text))
			for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprint([]byte(value)), "KEYS_TEST_SECRET"} {
				if strings.Contains(out.String(), form) {
					t.Errorf("printed as %q in:\n%s", form, out.String())
				}
			}
			if !strings.Contains(out.String(), redacted) {
				t.Error("nothing was redacted")
			}
			if got, err := s.Resolve(); err != nil || string(got) != value {
				t.Errorf("resolved to %q, %v", got, err)
			}
		})
	}
}

func TestParseSecret(t *testing.T) {
	for _, ref := range []string{"hunter2", "file:relative", "file:", "env:", "env:hunter 2", "env:2x", "literal:hunter2", "file:/a\x00b", "FILE:/hunter2",
		"credential:", "credential:../hunter2", "credential:/hunter2", "credential:.hunter2", "credential:a/hunter2"} {
		s, err := ParseSecret(ref)
		if !ca.IsKind(err, ca.BadRequest) || !s.IsZero() {
			t.Errorf("%q: %v", ref, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: the error repeats it: %v", ref, err)
		}
	}
	s, err := ParseSecret("")
	if err != nil || !s.IsZero() {
		t.Errorf("empty reference: %v", err)
	}
	if _, err := s.Resolve(); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("zero secret: %v", err)
	}
	s, err = ParseSecret("env:KEYS_TEST_UNSET")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("unset variable: %v", err)
	}
}

func TestSecretFromCredential(t *testing.T) {
	s, err := ParseSecret("credential:seal.key")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "relative"} {
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		if _, err := s.Resolve(); !ca.IsKind(err, ca.NotFound) {
			t.Errorf("credentials in %q: %v", dir, err)
		}
	}
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if _, err := s.Resolve(); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("a credential that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "seal.key"), []byte("value\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve(); err != nil || string(got) != "value" {
		t.Errorf("credential: %q, %v", got, err)
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxSecret)
	for name, test := range map[string]struct {
		content string
		mode    fs.FileMode
		want    string
		kind    ca.Kind
	}{
		"no newline":        {"pass", 0o600, "pass", 0},
		"one newline":       {"pass\n", 0o400, "pass", 0},
		"crlf":              {"pass\r\n", 0o600, "pass", 0},
		"only one trimmed":  {"pass\n\n", 0o600, "pass\n", 0},
		"spaces stay":       {" pass \n", 0o600, " pass ", 0},
		"lone cr stays":     {"pass\r", 0o600, "pass\r", 0},
		"group may read":    {"pass", 0o440, "pass", 0}, // systemd credential under an access list
		"longest":           {long + "\r\n", 0o600, long, 0},
		"too long":          {long + "x", 0o600, "", ca.BadRequest},
		"far too long":      {long + long, 0o600, "", ca.BadRequest},
		"empty":             {"", 0o600, "", ca.BadRequest},
		"only a newline":    {"\n", 0o600, "", ca.BadRequest},
		"world readable":    {"pass", 0o604, "", ca.Denied},
		"group may write":   {"pass", 0o620, "", ca.Denied},
		"others may run it": {"pass", 0o601, "", ca.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			write(t, path, test.content, test.mode)
			s, err := ParseSecret("file:" + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Resolve()
			if test.want == "" {
				if !ca.IsKind(err, test.kind) {
					t.Fatalf("got %v, want %v", err, test.kind)
				}
				if test.kind == ca.Denied && !strings.Contains(err.Error(), "chmod 600") {
					t.Errorf("does not say what to do: %v", err)
				}
				return
			}
			if err != nil || string(got) != test.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]ca.Kind{fifo: ca.BadRequest, dir: ca.BadRequest, dir + "/missing": ca.NotFound} {
		s, err := ParseSecret("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resolve(); !ca.IsKind(err, kind) {
			t.Errorf("%s: got %v, want %v", path, err, kind)
		}
	}
}

// write makes a file with exactly this mode, whatever the umask.
func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

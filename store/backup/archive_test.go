package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// made writes an archive with two parts, one of several members.
func made(t testing.TB) (path string, long []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.backup")
	w, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	long = bytes.Repeat([]byte("0123456789abcdef"), chunk/16+100)
	w.Manifest = Manifest{Format: Format, Store: SQLite, Schema: 60, Created: time.Unix(1800000000, 0).UTC(), CRLs: []List{{"default", "issuing", "g1", 9, 8, 9}}}
	for name, content := range map[string][]byte{"tables/long": long, "tables/short": []byte("x")} {
		p, err := w.Part(name, func(to io.Writer) error { _, err := to.Write(content); return err })
		if err != nil {
			t.Fatal(err)
		}
		w.Manifest.Tables = append(w.Manifest.Tables, Table{Name: name, Rows: 1, SHA256: p.SHA256})
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return path, long
}

func TestArchive(t *testing.T) {
	path, long := made(t)
	a, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r, err := a.Part("tables/long")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, long) {
		t.Errorf("%d octets, %v", len(got), err)
	}
	if _, err := a.Part("tables/none"); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("a part that is not there: %v", err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != a.SHA256 {
		t.Error("the digest is not the file's")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files were left, %v", len(left), err)
	}
	if _, err := Create(path, nil); err == nil {
		t.Error("an archive would be replaced")
	}
	if a.Manifest.Rows() != 2 || a.Manifest.Table("tables/short") == nil {
		t.Errorf("manifest %+v", a.Manifest)
	}
}

// TestTampered: whichever octet is changed, and wherever the file is cut or made
// longer, it is refused.
func TestTampered(t *testing.T) {
	file := forged(t, func(*Writer) {}) // a whole one
	if _, err := Read(bytes.NewReader(file), int64(len(file)), nil); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, at int, changed []byte) {
		t.Helper()
		if _, err := Read(bytes.NewReader(changed), int64(len(changed)), nil); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s at %d of %d: %v", what, at, len(file), err)
		}
	}
	for at := range file {
		file[at] ^= 0x10
		refused("a changed octet", at, file)
		file[at] ^= 0x10
		if at%64 == 0 {
			refused("cut", at, file[:at])
		}
	}
	refused("longer", len(file), append(bytes.Clone(file), make([]byte, 512)...))
}

// forged is an archive whose digest is right and whose content is not.
func forged(t testing.TB, change func(*Writer)) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forged")
	w, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	if _, err := w.Part("tables/a", func(to io.Writer) error { _, err := io.WriteString(to, "rows"); return err }); err != nil {
		t.Fatal(err)
	}
	change(w)
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestForged(t *testing.T) {
	for name, change := range map[string]func(*Writer){
		"another format":   func(w *Writer) { w.Manifest.Format = 2 },
		"a part too short": func(w *Writer) { w.Manifest.Parts[0].Size-- },
		"a part not named": func(w *Writer) { w.Manifest.Parts = nil },
		"a part twice":     func(w *Writer) { w.Manifest.Parts = append(w.Manifest.Parts, w.Manifest.Parts[0]) },
		"a stray member": func(w *Writer) {
			if err := w.member("../../etc/passwd", []byte("x")); err != nil {
				t.Fatal(err)
			}
		},
		"a member left out": func(w *Writer) {
			if err := w.member("tables/a/000003", []byte("x")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		file := forged(t, change)
		if _, err := Read(bytes.NewReader(file), int64(len(file)), nil); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := forged(t, func(w *Writer) { w.Manifest.Parts[0].SHA256 = "00" })
	a, err := Read(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Part("tables/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("a part with another digest: %v", err)
	}
}

func TestAbandoned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.backup")
	w, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if _, err := w.Part("tables/a", func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	w.Abandon()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("%d files were left, %v", len(left), err)
	}
}

func TestNumbersAfter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ours := &List{Tenant: "t", CA: "c", Scope: "g1-s2", Number: 1_799_000_000}
	for _, c := range []struct {
		name string
		n    Numbers
		m    Manifest
		l    *List
		want int64
	}{
		{"the time decides", Numbers{Now: now}, Manifest{}, ours, now.Unix() + NumberGap},
		{"the clock went back", Numbers{Now: now}, Manifest{Created: now.Add(time.Hour)}, ours, now.Unix() + 3600 + NumberGap},
		{"numbers ran ahead", Numbers{Now: now}, Manifest{}, &List{Scope: "g1", Number: 1_900_000_000}, 1_900_000_001},
		{"a list was seen", Numbers{Now: now, Seen: map[string]int64{"t/c": 1_850_000_000}}, Manifest{}, ours, 1_850_000_000 + NumberGap},
		{"another CA's was seen", Numbers{Now: now, Seen: map[string]int64{"t/d": 1_850_000_000}}, Manifest{}, ours, now.Unix() + NumberGap},
		{"the operator says", Numbers{Now: now, Least: 2_000_000_000}, Manifest{}, ours, 2_000_000_000},
		{"an imported list", Numbers{Now: now, Least: 2_000_000_000}, Manifest{}, &List{Scope: "issuer-00ff", Number: 7}, 0},
	} {
		if got := c.n.After(&c.m, c.l); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFits(t *testing.T) {
	m := &Manifest{Store: SQLite, Schema: 60}
	if err := m.Fits(SQLite, 60); err != nil {
		t.Error(err)
	}
	for _, err := range []error{m.Fits(Postgres, 60), m.Fits(SQLite, 50), (&Manifest{Store: SQLite}).Fits(SQLite, 60)} {
		if !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzRead(f *testing.F) {
	whole := forged(f, func(*Writer) {})
	end, err := tail(make([]byte, sha256.Size))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:len(whole)-len(end)])
	f.Add([]byte("no backup"))
	f.Fuzz(func(t *testing.T, body []byte) {
		// With the right digest at its end, so that what lies behind is reached.
		sum := sha256.Sum256(body)
		end, err := tail(sum[:])
		if err != nil {
			t.Fatal(err)
		}
		file := append(bytes.Clone(body), end...)
		a, err := Read(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			return
		}
		for _, p := range a.Manifest.Parts {
			r, err := a.Part(p.Name)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); err == nil && n != p.Size {
				t.Errorf("part %s has %d octets, want %d", p.Name, n, p.Size)
			}
		}
	})
}

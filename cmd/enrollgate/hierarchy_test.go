package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestHierarchyInTokens: root and issuing key in tokens of their own, and the
// next key, too, and the root's next list; openssl verifies what comes out.
func TestHierarchyInTokens(t *testing.T) {
	tokens := harness.SoftHSM(t)
	tokens.Add("root")
	tokens.Add("authority")
	dir := t.TempDir()
	t.Setenv("CA_PASSWORD", harness.TokenPIN)
	t.Setenv("SEAL_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	file := filepath.Join(dir, "enrollgate.yaml")
	configure := func(object string) {
		t.Helper()
		text := fmt.Sprintf(scriptConfig, dir, "enrollgate") + "pkcs11: {modules: [" + tokens.Module + "]}\n"
		text = strings.Replace(text, `key: "file:`+dir+`/issuing.pem"`, `key: "pkcs11:token=authority;object=`+object+`"`, 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(args, console{&out, &errs}); code != exitOK {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out.String(), errs.String())
		}
		return out.String()
	}
	keep := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	configure("first")
	command("migrate", "--config", file)
	about := []string{"--config", file, "--tenant", "default", "--ca", "issuing"}
	offline := []string{"--key", "pkcs11:token=root;object=root?module-path=" + tokens.Module, "--key-password", "env:CA_PASSWORD"}
	root := keep("root.pem", command(append([]string{"ca", "root", "--name", "Example Ltd", "--crl", filepath.Join(dir, "root.crl")}, offline...)...))
	next := filepath.Join(dir, "next.crl")
	command(append([]string{"ca", "crl", "--certificate", root, "--previous", filepath.Join(dir, "root.crl"), "--out", next}, offline...)...)
	for n, object := range []string{"first", "second"} {
		configure(object)
		csr := keep("request.pem", command(append([]string{"ca", "csr", "--name", "Example Ltd"}, about...)...))
		signed := keep(object+".pem", command(append([]string{"ca", "sign", "--certificate", root, "--csr", csr}, offline...)...))
		if out, err := exec.Command("openssl", "verify", "-CAfile", root, signed).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := exec.Command("openssl", "verify", "-CAfile", root, "-CRLfile", next, "-crl_check_all", signed).CombinedOutput(); err != nil {
			t.Errorf("with the root's next list: %v: %s", err, out)
		}
		line := append([]string{"ca", "import", "--certificate", signed, "--root", root}, about...)
		if n > 0 {
			line = append(line, "--next")
		}
		command(line...)
	}
	command("crl", "import", "--config", file, "--tenant", "default", "--file", next)
	command(append([]string{"ca", "activate", "--generation", "2"}, about...)...)
	var all []struct {
		Generation int
		Current    bool
		Key        string
	}
	if err := json.Unmarshal([]byte(command("ca", "list", "--config", file, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Current || !all[1].Current || all[1].Key != "pkcs11:token=authority;object=second" {
		t.Errorf("%+v", all)
	}
	if out := tokens.Tool("authority", "--list-objects", "--type", "privkey"); strings.Count(out, "never extractable") != 2 {
		t.Errorf("the token has\n%s", out)
	}
}

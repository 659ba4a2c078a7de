package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/enrollgate/enrollgate/config"
)

const treeRoot = "../.."

// documentedConfig is the configuration of docs/operations.md with the folders
// of an installation moved below dir.
func documentedConfig(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(treeRoot, "docs", "operations.md"))
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(text), "\n```yaml\n")
	block, _, ended := strings.Cut(rest, "\n```")
	if !found || !ended {
		return nil, errors.New("docs/operations.md has no configuration")
	}
	return []byte(strings.NewReplacer("/var/lib/enrollgate", dir, "/etc/enrollgate", dir).Replace(block + "\n")), nil
}

func TestDocumentedConfiguration(t *testing.T) {
	text, err := documentedConfig("/srv/enrollgate")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("docs/operations.md", text, config.Options{}); err != nil {
		t.Error(err)
	}
	page, err := os.ReadFile(filepath.Join(treeRoot, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, proxies, _ := strings.Cut(string(page), "<!-- proxies -->\n```yaml\n")
	proxies, _, found := strings.Cut(proxies, "```")
	if c, err := config.ParseOver(text, "docs/operations.md", []byte(proxies), config.Options{}); !found || err != nil || len(c.Listen.TrustedProxies) != 2 {
		t.Errorf("docs/operations.md, proxies: %v, %v", found, err)
	}
	page, err = os.ReadFile(filepath.Join(treeRoot, "docs", "keys.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	block, _, found := strings.Cut(rest, "   ```")
	if c, err := config.ParseOver(text, "docs/keys.md", []byte(block), config.Options{}); !found || err != nil || len(c.PKCS11.Modules) != 1 {
		t.Errorf("docs/keys.md: %v, %v", found, err)
	}
	if page, err = os.ReadFile(filepath.Join(treeRoot, "docs", "acme.md")); err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(page), "<!-- extended -->\n```yaml\n")
	block, _, found = strings.Cut(rest, "```")
	if c, err := config.ParseOver(text, "docs/acme.md", []byte(block), config.Options{}); !found || err != nil || len(c.ACMEOf["acme-hosts"].Profiles) != 2 {
		t.Errorf("docs/acme.md: %v, %v", found, err)
	}
	for mark, check := range map[string]func(config.ACMEEndpoint) bool{
		"devices": func(e config.ACMEEndpoint) bool { return len(e.Attestation) == 2 },
		"drafts":  func(e config.ACMEEndpoint) bool { return len(e.Drafts) == 2 && e.Quorum == 2 && e.Subdomains },
	} {
		_, rest, _ = strings.Cut(string(page), "<!-- "+mark+" -->\n```yaml\n")
		block, _, found = strings.Cut(rest, "```")
		c, err := config.ParseOver(text, "docs/acme.md", []byte(block), config.Options{})
		if !found || err != nil || !check(c.ACMEOf[c.Endpoints[len(c.Endpoints)-1].ID]) {
			t.Errorf("docs/acme.md, %s: %v, %v", mark, found, err)
		}
	}
	if page, err = os.ReadFile(filepath.Join(treeRoot, "docs", "est.md")); err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(page), "<!-- endpoint -->\n```yaml\n")
	block, _, found = strings.Cut(rest, "```")
	if c, err := config.ParseOver(text, "docs/est.md", []byte(block), config.Options{}); !found || err != nil || c.EST.Default != "est-devices" {
		t.Errorf("docs/est.md: %v, %v", found, err)
	}
	_, rest, _ = strings.Cut(string(page), "<!-- keys -->\n```yaml\n")
	block, _, found = strings.Cut(rest, "```")
	listener := "listen: {est: \":9443\"}\nbase_url: {est: \"https://pki.example.com:9443\"}\n"
	if c, err := config.ParseOver(text, "docs/est.md", []byte(listener+block), config.Options{}); !found || err != nil || !c.ESTOf["est-keys"].ServerKeygen {
		t.Errorf("docs/est.md, keys: %v, %v", found, err)
	}
	if page, err = os.ReadFile(filepath.Join(treeRoot, "docs", "scep.md")); err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(page), "<!-- endpoints -->\n```yaml\n")
	block, _, found = strings.Cut(rest, "```")
	if c, err := config.ParseOver(text, "docs/scep.md", []byte(block), config.Options{}); !found || err != nil || len(c.SCEPOf) != 3 || c.SCEP.NDES == nil {
		t.Errorf("docs/scep.md: %v, %v", found, err)
	}
	if page, err = os.ReadFile(filepath.Join(treeRoot, "docs", "status.md")); err != nil {
		t.Fatal(err)
	}
	_, rest, _ = strings.Cut(string(page), "```yaml\n")
	block, _, found = strings.Cut(rest, "```")
	if c, err := config.ParseOver(text, "docs/status.md", []byte(block), config.Options{}); !found || err != nil || len(c.Foreign) != 1 {
		t.Errorf("docs/status.md: %v, %v", found, err)
	}
}

// elsewhere names, for each documented command of another program, the test
// that runs it, or says why none does. The key is how the command begins.
var elsewhere = map[string]struct{ test, why string }{
	"make run":                    {test: "TestNewcomer"},
	"make build":                  {test: "TestDockerfile"},
	"make test":                   {why: "it is what runs this test"},
	"certbot certonly":            {test: "TestClients"},
	"certbot revoke":              {test: "TestClients"},
	"certbot register":            {test: "TestExternalAccounts"},
	"openssl rand -base64 32":     {test: "TestScripts"},
	"openssl req -new -key":       {test: "TestBulkStatus"},
	"openssl req -new -newkey ec": {test: "TestEST"},
	"curl --cacert root.pem":      {test: "TestEST"},
	"estclient enroll":            {test: "TestEST"},
	"estclient reenroll":          {test: "TestEST"},
	"estclient serverkeygen":      {test: "TestEST"},
	"curl -sf --cacert root.pem":  {test: "TestEST"},
	"tr -d":                       {test: "TestEST"},
	"printf ":                     {test: "TestEST"},
	"openssl pkey -inform DER":    {test: "TestEST"},
	"openssl cms -decrypt":        {test: "TestEST"},
	"openssl asn1parse":           {test: "TestEST"},
	"estclient -e":                {why: "libest's client of the same name: est.md says that it is not run by us"},
	"pki --est":                   {why: "est.md says that it is not run by us"},
	"pki --scep":                  {test: "TestSCEP"},
	"openssl genrsa -out ":        {test: "TestSCEP"},
	"getcert add-scep-ca -c ":     {test: "TestSCEP"},
	"getcert request -c ":         {test: "TestSCEP"},
	"getcert resubmit -i ":        {test: "TestSCEP"},
	"getcert rekey -i ":           {test: "TestSCEP"},
	"scepclient -server-url":      {test: "TestSCEP"},
	"sscep ":                      {why: "scep.md says that it is not run by us"},
	"curl --user ADMIN --request": {why: "an iLO's Redfish: scep.md says that it is not run by us"},
	"softhsm2-util --init-token":  {test: "TestSoftHSM"},
	"pkcs11-tool ":                {test: "TestSoftHSM"},
	"openssl ocsp -issuer":        {test: "TestOCSP"},
	"ocsptool --ask=":             {test: "TestOCSP"},
	"curl -s http://127.0.0.1:84": {test: "TestDaemonIsReady"},
	"install -":                   {why: "coreutils; TestUnitIsRead and TestDockerfile hold the installed files against the tree"},
	"umask ":                      {why: "a shell builtin"},
	"chgrp enrollgate ":           {why: "needs root and the user that systemd-sysusers makes"},
	"systemd-sysusers":            {why: "needs root on a machine that runs systemd"},
	"npm install acme-client":     {why: "it installs the newest; TestNodeClient has npm install the one that is pinned"},
	"node enroll.mjs":             {test: "TestNodeClient"},
	"acme.sh --":                  {why: "acme.md says that it is not run by us"},
	"lego --server":               {why: "acme.md says that the command is not run by us; TestClients runs its packages"},
	"step ca certificate":         {why: "acme.md says that it is not run by us"},
	"systemctl ":                  {why: "needs systemd as process 1; TestUnitIsRead has systemd read the unit"},
}

// commandsOf gives the commands of a page's sh blocks, continuation lines joined.
func commandsOf(page string) (all []string) {
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(page, -1) {
		text := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				all = append(all, line)
			}
		}
	}
	return all
}

// words splits a command line without expansions: quotes group.
func words(line string) (out []string) {
	for _, w := range regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`).FindAllString(line, -1) {
		out = append(out, strings.Trim(w, `"'`))
	}
	return out
}

// program takes away what runs a command as another user or with variables.
func program(args []string) []string {
	for len(args) > 0 {
		switch {
		case args[0] == "runuser":
			args = args[slices.Index(args, "--")+1:]
		case args[0] == "env", regexp.MustCompile(`^[A-Z_]+=`).MatchString(args[0]):
			args = args[1:]
		default:
			return args
		}
	}
	return nil
}

// known tells what is wrong with a documented command; "" for nothing.
func known(line string, tests map[string]bool) string {
	args := program(words(line))
	if len(args) == 0 {
		return "there is no command in it"
	}
	if filepath.Base(args[0]) == "enrollgate" {
		p, err := kong.New(&commands{}, kong.Exit(func(int) {}))
		if err != nil {
			return err.Error()
		}
		if _, err := p.Parse(args[1:]); err != nil {
			return err.Error()
		}
		return ""
	}
	for begin, by := range elsewhere {
		if !strings.HasPrefix(strings.Join(args, " ")+" ", begin) {
			continue
		}
		if by.why == "" && !tests[by.test] {
			return "the test " + by.test + " that should run it does not exist"
		}
		return ""
	}
	return "nothing says which test runs it: add it to the table elsewhere"
}

// walkGo parses every Go file of the tree.
func walkGo(t *testing.T, do func(name string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(treeRoot, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && name != treeRoot) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err == nil {
			do(name, f, fset)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocumentedCommands: every command of README.md and docs/ is one that the
// program understands, flags included, or one that a named test runs.
func TestDocumentedCommands(t *testing.T) {
	tests := map[string]bool{}
	walkGo(t, func(name string, f *ast.File, _ *token.FileSet) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasSuffix(name, "_test.go") {
				tests[fn.Name.Name] = true
			}
		}
	})
	pages, err := filepath.Glob(filepath.Join(treeRoot, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range append(pages, filepath.Join(treeRoot, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandsOf(string(text)) {
			count++
			if wrong := known(line, tests); wrong != "" {
				t.Errorf("%s: %s: %s", filepath.Base(page), line, wrong)
			}
		}
	}
	if count < 10 {
		t.Errorf("only %d commands were found", count)
	}
	for _, line := range []string{"enrollgate serve --no-such-flag", "enrollgate dance", "rm -rf x", "runuser -u a -- env A=b enrollgate migrate --confg x"} {
		if known(line, tests) == "" {
			t.Errorf("%s passes", line)
		}
	}
}

// TestLogEventsAreDocumented compares the events that the code logs with the
// table of docs/operations.md.
func TestLogEventsAreDocumented(t *testing.T) {
	logged := map[string]bool{}
	walkGo(t, func(name string, f *ast.File, fset *token.FileSet) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, treeRoot+"/test/") || strings.HasPrefix(name, treeRoot+"/store/conformance/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at, ok := eventArgument(call)
			if !ok {
				return true
			}
			event, ok := call.Args[at].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a log event without a constant name", fset.Position(call.Pos()))
				return true
			}
			text, err := strconv.Unquote(event.Value)
			if err != nil || !regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)*$`).MatchString(text) {
				t.Errorf("%s: %s is not an event name", fset.Position(call.Pos()), event.Value)
			}
			logged[text] = true
			return true
		})
	})
	page, err := os.ReadFile(filepath.Join(treeRoot, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Log events\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (?:debug|info|warn|error)").FindAllStringSubmatch(section, -1) {
		if !logged[row[1]] {
			t.Errorf("docs/operations.md documents the event %s, which nothing logs", row[1])
		}
		delete(logged, row[1])
	}
	for event := range logged {
		t.Errorf("docs/operations.md has no row for the event %s", event)
	}
}

// eventArgument finds the event's name in a call of a logger's method.
func eventArgument(call *ast.CallExpr) (at int, ok bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return 0, false
	}
	at, ok = map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
		"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "Log": 2, "LogAttrs": 2}[method.Sel.Name]
	if !ok || len(call.Args) <= at {
		return 0, false
	}
	switch on := method.X.(type) {
	case *ast.Ident:
		return at, strings.HasSuffix(strings.ToLower(on.Name), "log") || on.Name == "slog"
	case *ast.SelectorExpr:
		return at, strings.HasSuffix(strings.ToLower(on.Sel.Name), "log")
	}
	return 0, false
}

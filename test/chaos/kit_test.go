package chaos

import (
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/enrollgate/enrollgate/test/harness"
)

const shortKills = 6

var kills = flag.Int("kills", shortKills, "how often TestKill kills the daemon on each store; more than the default also lengthens the other tests")

// rounds gives how often a test repeats its fault.
func rounds(short, long int) int {
	if *kills > shortKills {
		return long
	}
	return short
}

// inNamespace is set in the environment of a test process that may mount.
const inNamespace = "ENROLLGATE_CHAOS_NAMESPACE"

// TestMain runs the tests in a mount namespace of their own where that is
// allowed, so that what a test mounts is seen by nobody else and goes with the
// last of its processes, however that ends.
func TestMain(m *testing.M) {
	if path, err := exec.LookPath("unshare"); err == nil && os.Getenv(inNamespace) == "" && os.Geteuid() == 0 &&
		exec.Command(path, "--mount", "true").Run() == nil {
		self, err := os.Executable()
		if err == nil {
			args := append([]string{path, "--mount", "--", self}, os.Args[1:]...)
			err = syscall.Exec(path, args, append(os.Environ(), inNamespace+"=1"))
		}
		fmt.Fprintln(os.Stderr, "chaos: enter a mount namespace:", err)
		os.Exit(1)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // most of them wait most of the time
		panic(err)
	}
	harness.Main(m)
}

// site is a daemon that may die and is started again on the same folder and at
// the same addresses, and what it needs around it.
type site struct {
	t       *testing.T
	store   *store
	wrap    []string // a program and its arguments, which runs the daemon
	args    []string
	data    string
	https   string
	admin   string
	answers *http01
	roots   *x509.CertPool
	daemon  *harness.Process
}

// newSite starts a daemon on a store. data is its folder; "" makes one.
func newSite(t *testing.T, data string, kind func(t *testing.T, data string) *store, wrap ...string) *site {
	t.Helper()
	harness.NeedPrograms(t)
	if data == "" {
		data = t.TempDir()
	}
	s := &site{t: t, wrap: wrap, data: data, https: stableAddress(t), admin: stableAddress(t), answers: newHTTP01(t)}
	s.store = kind(t, data)
	file := filepath.Join(t.TempDir(), "enrollgate.yaml")
	text := s.store.lines + fmt.Sprintf("acme: {resolvers: [%q], http01: {port: %d}}\nlog: {level: warn}\n", harness.DNS(t).Addr(), s.answers.port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{"--dev", "--data", data, "--https", s.https, "--http", stableAddress(t), "--est", stableAddress(t), "--admin", s.admin, "--config", file}
	s.start()
	root, err := os.ReadFile(s.daemon.File("root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(root) {
		t.Fatal("root.pem holds no certificate")
	}
	return s
}

// start starts the daemon and waits until it is ready.
func (s *site) start() {
	s.t.Helper()
	all := slices.Concat(s.wrap, []string{harness.PlainBinary(s.t), "serve"}, s.args)
	s.daemon = harness.StartProgram(s.t, all[0], all[1:]...)
}

// command runs a subcommand of the binary on the site's store.
func (s *site) command(words ...string) (stdout, stderr string, err error) {
	args := append(words, "--dev", "--data", s.data, "--config", s.args[len(s.args)-1])
	var out, errs strings.Builder
	cmd := exec.Command(harness.PlainBinary(s.t), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// show gives the DER that `cert show` prints for a serial.
func (s *site) show(serial string) []byte {
	s.t.Helper()
	out, errs, err := s.command("cert", "show", serial, "--json")
	if err != nil {
		s.t.Fatalf("cert show %s: %v\n%s", serial, err, errs)
	}
	var shown struct{ PEM string }
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(shown.PEM))
	if block == nil {
		s.t.Fatalf("cert show %s prints no certificate: %s", serial, out)
	}
	return block.Bytes
}

// stableAddress gives a loopback address that is still free after a kill.
func stableAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
}

// eventually asks until done says yes.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) { // reached only where it never comes
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// store is where a site records.
type store struct {
	lines   string // configuration that names it
	driver  string
	dsn     string // to look into it, past the daemon
	queries queries
}

func (s *store) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open(s.driver, s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func onSQLite(_ *testing.T, data string) *store {
	path := filepath.Join(data, "enrollgate.db")
	return &store{driver: "sqlite", dsn: "file:" + path + "?mode=ro&_pragma=busy_timeout(5000)", queries: sqliteQueries}
}

// onPostgres makes a new database in a cluster.
func onPostgres(pg *harness.PG) func(*testing.T, string) *store {
	return func(t *testing.T, _ string) *store { return onDatabase(t, pg, "") }
}

// onDatabase makes a new database. The daemon reaches it at host:port at; "" is
// the cluster itself.
func onDatabase(t *testing.T, pg *harness.PG, at string) *store {
	t.Helper()
	owner, runtime := pg.Database(t)
	o, r := parse(t, owner), parse(t, runtime)
	if at != "" {
		r.Host = at
	}
	return &store{lines: harness.StoreLines(t, owner, r.String()), driver: "pgx", dsn: pg.SuperURL(strings.TrimPrefix(o.Path, "/")), queries: postgresQueries}
}

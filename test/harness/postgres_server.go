package harness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errEnded says that the server ended instead of accepting connections.
var errEnded = errors.New("the server ended while starting")

// newCluster makes and starts a cluster. The caller holds shared.mu.
func newCluster(private bool, options ...PGOption) (*PG, error) {
	pg := &PG{private: private, password: rand.Text(), settings: map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
		"shared_buffers": "128MB", "max_connections": "200",
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "", // a socket's path must be short, TMPDIR need not be
	}}
	var setup pgSetup
	for _, option := range options {
		option(pg, &setup)
	}
	var err error
	if pg.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	if pg.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if setup.folder != "" {
		pg.dir, err = os.MkdirTemp(setup.folder, "pg-")
	} else {
		pg.dir, err = shared.folder("pg")
	}
	if err != nil {
		return nil, err
	}
	if err := pg.initdb(setup); err != nil {
		return nil, err
	}
	// Between finding a free port and the server taking it, another process may.
	for range 5 {
		if pg.port, err = freePort(); err != nil {
			return nil, err
		}
		if err = pg.start(); !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, pg.logTail())
	}
	return pg, nil
}

// postgresBin finds the newest server programs of Debian's layout, else those in PATH.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return 0
		}
		return n
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	for _, path := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil {
			return filepath.Dir(path), nil
		}
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no initdb in /usr/lib/postgresql or PATH; run test/tools/install.sh: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// unprivileged names the user who runs the server: PostgreSQL refuses root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// own hands a path over to the server's user.
func (pg *PG) own(paths ...string) error {
	if pg.cred == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(pg.cred.Uid), int(pg.cred.Gid)); err != nil {
			return err
		}
	}
	return nil
}

func (pg *PG) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(pg.bin, name), args...)
	cmd.Dir = pg.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + pg.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.cred}
	return cmd
}

func (pg *PG) initdb(setup pgSetup) error {
	secret := filepath.Join(pg.dir, "password")
	if err := os.WriteFile(secret, []byte(pg.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := pg.own(pg.dir, secret); err != nil {
		return err
	}
	data := filepath.Join(pg.dir, "data")
	cmd := pg.command("initdb", "--no-sync", "--username=postgres", "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--pgdata="+data)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	access := "host"
	if setup.tls {
		access = "hostssl"
		if err := pg.makeTLS(data); err != nil {
			return err
		}
	}
	hba := access + " all all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	var conf strings.Builder
	for name, value := range pg.settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return os.WriteFile(filepath.Join(data, "postgresql.auto.conf"), []byte(conf.String()), 0o600)
}

// start starts the server on pg.port and waits until it accepts our password,
// which no other server on that port would.
func (pg *PG) start() error {
	log, err := os.OpenFile(filepath.Join(pg.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := pg.command("postgres", "-D", filepath.Join(pg.dir, "data"), "-p", strconv.Itoa(pg.port))
	cmd.Stdout, cmd.Stderr = log, log
	if pg.server, err = startChild(cmd, syscall.SIGQUIT); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, pg.SuperURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-pg.server.done:
			return errEnded
		case <-ctx.Done():
			return errors.Join(err, pg.stop(syscall.SIGKILL))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startAgain starts the server until it stays: after a Kill its last sessions
// may hold the shared memory for a moment, and it ends again.
func (pg *PG) startAgain() error {
	if pg.server != nil {
		return errors.New("it is running")
	}
	for limit := time.Now().Add(startLimit); ; {
		err := pg.start()
		if !errors.Is(err, errEnded) || time.Now().After(limit) {
			return err
		}
		pg.server = nil
		time.Sleep(50 * time.Millisecond)
	}
}

// stop ends the server with sig; a stopped one stays as it is. Only a shutdown
// that was asked for politely must succeed.
func (pg *PG) stop(sig syscall.Signal) error {
	if pg.server == nil {
		return nil
	}
	err := pg.server.end(sig)
	pg.server = nil
	var exit *exec.ExitError
	if sig != syscall.SIGINT && errors.As(err, &exit) {
		return nil
	}
	return err
}

package postgres

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// A server on another machine is reached with verify-full or not at all.
func TestURLsRefused(t *testing.T) {
	for url, ok := range map[string]bool{
		"postgres://u:s3cret@db.example/x":                              false, // prefer: falls back to clear text
		"postgres://u:s3cret@db.example/x?sslmode=disable":              false,
		"postgres://u:s3cret@db.example/x?sslmode=allow":                false,
		"postgres://u:s3cret@db.example/x?sslmode=require":              false,
		"postgres://u:s3cret@db.example/x?sslmode=verify-ca":            false,
		"postgres://u:s3cret@db.example/x?sslmode=verify-full":          true,
		"postgres://u:s3cret@192.0.2.1/x":                               false,
		"postgres://u:s3cret@127.0.0.1,db.example/x":                    false,
		"postgres://u:s3cret@a.example,b.example/x?sslmode=verify-full": true,
		"postgres://u:s3cret@127.0.0.1/x?sslmode=disable":               true,
		"postgres://u:s3cret@[::1]/x?sslmode=disable":                   true,
		"postgres://u:s3cret@localhost/x":                               true,
		"postgres:///x?host=/var/run/postgresql&user=u&password=s3cret": true,
		"host=db.example user=u password=s3cret sslmode=disable":        false,
		"postgres://u:s3cret@127.0.0.1:99999/x":                         false,
		"postgres://u:s3cret@127.0.0.1/x?pool_max_conns=many":           false,
	} {
		_, err := parseURL(url)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want accepted: %v", url, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// With TLS the server's name and chain count.
func TestTLS(t *testing.T) {
	pg := harness.NewPostgres(t, harness.PGWithTLS())
	_, runtime := migrated(t, pg)
	if !strings.Contains(runtime, "verify-full") {
		t.Fatalf("the harness gives %s", runtime)
	}
	s := open(t, runtime)
	keepProfile(t, s)
	var encrypted bool
	if err := s.pool.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
		t.Errorf("encrypted: %v, %v", encrypted, err)
	}
	other := t.TempDir() + "/root.pem"
	foreign := harness.NewPostgres(t, harness.PGWithTLS())
	text, err := os.ReadFile(foreign.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{URL: with(t, runtime, "sslrootcert", other), Replica: "one", Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Errorf("a server whose chain ends in another root was accepted")
	}
}

// What could lose a certificate after it was handed out is refused, or accepted
// with a reason that is kept.
func TestUndurableServer(t *testing.T) {
	for setting, value := range map[string]string{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"} {
		t.Run(setting, func(t *testing.T) {
			pg := harness.NewPostgres(t, harness.PGSetting(setting, value))
			_, runtime := migrated(t, pg)
			var logged bytes.Buffer
			o := Options{URL: runtime, Replica: "one", Log: slog.New(slog.NewTextHandler(&logged, nil))}
			if s, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), setting+" is off") {
				t.Errorf("open: %v", err)
				if err == nil {
					s.Close()
				}
			}
			o.UnsafeReason = "a drill"
			s, err := Open(t.Context(), o)
			if err != nil {
				t.Fatalf("with a reason: %v", err)
			}
			defer s.Close()
			if s.Unsafe() != "a drill" || !strings.Contains(logged.String(), "store.unsafe") || !strings.Contains(logged.String(), setting) {
				t.Errorf("reason %q, log %s", s.Unsafe(), logged.String())
			}
			keepProfile(t, s)
		})
	}
}

// An engine that cannot say is treated like one that says no.
func TestUndurable(t *testing.T) {
	on, off, local, quorum := "on", "off", "local", "quorum"
	for _, c := range []struct {
		fsync, pages, commit *string
		want                 string
	}{
		{&on, &on, &on, ""}, {&on, &on, &local, ""},
		{nil, &on, &on, "fsync"}, {&on, nil, &on, "full_page_writes"}, {&on, &on, nil, "synchronous_commit"},
		{&off, &on, &on, "fsync"}, {&on, &off, &on, "full_page_writes"}, {&on, &on, &off, "synchronous_commit"}, {&on, &on, &quorum, "synchronous_commit"},
	} {
		got := undurable(c.fsync, c.pages, c.commit)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// A default that is changed later does not reach the writers.
func TestDurabilityIsPinned(t *testing.T) {
	owner, runtime := migrated(t, harness.Postgres(t))
	s := open(t, runtime)
	o := connect(t, owner)
	if _, err := o.Exec(t.Context(), "alter database "+o.Config().Database+" set synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var now string
	if err := conn.QueryRow(t.Context(), "show synchronous_commit").Scan(&now); err != nil || now != "on" {
		t.Errorf("synchronous_commit of a new writer is %q, %v", now, err)
	}
}

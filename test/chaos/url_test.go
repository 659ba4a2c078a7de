package chaos

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

func parse(t *testing.T, dsn string) *url.URL {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// bare is a connection URL without its password.
func bare(u *url.URL) string {
	copied := *u
	copied.User = url.User(u.User.Username())
	return copied.String()
}

// password writes the password of a connection URL to a file and gives the reference.
func password(t *testing.T, dir, name string, u *url.URL) string {
	t.Helper()
	secret, _ := u.User.Password()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + file
}

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// apacheModules are what a server with mod_md needs of Debian's modules.
var apacheModules = []string{"mpm_event", "authz_core", "unixd", "ssl", "socache_shmcb", "watchdog", "md"}

// apacheFrame keeps everything that the server writes in its own folder, which
// relative names in a configuration start at.
const apacheFrame = `ServerRoot %q
DefaultRuntimeDir .
PidFile pid
ErrorLog error.log
ServerName localhost
StartServers 1
ServerLimit 2
ThreadsPerChild 8
MaxRequestWorkers 16
ThreadLimit 8
`

// ApacheServer is a running Apache.
type ApacheServer struct {
	*Served
	log string
}

// Logged is what stands in its error log.
func (a *ApacheServer) Logged(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(a.log)
	if err != nil {
		t.Errorf("harness: %v", err)
	}
	return string(text)
}

// Apache runs the distribution's Apache with mod_md until the end of the test,
// under an unprivileged user when the test is run by root. config is added to a
// frame without listeners, one of which must be 127.0.0.1:port (see [FreePort]);
// files are copied into the server's folder, under their last names.
func Apache(t testing.TB, port int, config string, files ...string) *ApacheServer {
	t.Helper()
	NeedPrograms(t)
	user, err := unprivileged()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	shared.mu.Lock()
	dir, err := shared.folder("apache")
	shared.mu.Unlock()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, apacheFrame, dir)
	for _, module := range apacheModules {
		if file := filepath.Join("/usr/lib/apache2/modules", "mod_"+module+".so"); exists(file) { // a few are built in
			fmt.Fprintf(&text, "LoadModule %s_module %s\n", module, file)
		}
	}
	text.WriteString(config)
	mine := map[string][]byte{"apache.conf": []byte(text.String())}
	for _, file := range files {
		if mine[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatalf("harness: %v", err)
		}
	}
	for name, data := range mine {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatalf("harness: %v", err)
		}
	}
	if user != nil {
		if err := os.Chown(dir, int(user.Uid), int(user.Gid)); err != nil {
			t.Fatalf("harness: %v", err)
		}
	}
	apache := &ApacheServer{log: filepath.Join(dir, "error.log")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("apache2:\n%s", apache.Logged(t))
		}
	})
	cmd := exec.Command(systemProgram("apache2"), "-d", dir, "-f", "apache.conf", "-DFOREGROUND")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	apache.Served = Serve(t, cmd, fmt.Sprintf("127.0.0.1:%d", port))
	return apache
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nginxFrame makes nginx a single process in a folder of its own, so that it
// needs no root and dies with the test.
const nginxFrame = `daemon off;
master_process off;
pid %[1]q;
error_log stderr info;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path %[2]q;
	proxy_temp_path %[2]q;
	fastcgi_temp_path %[2]q;
	uwsgi_temp_path %[2]q;
	scgi_temp_path %[2]q;
%[3]s
}
`

// Nginx runs the distribution's nginx until the end of the test. servers are the
// server blocks of its configuration, one of which listens on 127.0.0.1:port
// (see [FreePort]). It gives what nginx has logged so far.
func Nginx(t testing.TB, port int, servers string) (logged func() string) {
	t.Helper()
	NeedPrograms(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxFrame, filepath.Join(dir, "pid"), filepath.Join(dir, "temp"), servers)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatalf("harness: %v", err)
	}
	cmd := exec.Command(systemProgram("nginx"), "-p", dir, "-e", "stderr", "-c", conf)
	return Serve(t, cmd, net.JoinHostPort("127.0.0.1", fmt.Sprint(port))).Logged
}

// Package deploy_test keeps the files under deploy/ and the Dockerfile true to
// the tree: systemd reads the unit, and what the image is built from is there.
package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// directives gives the values of a unit's keys, in their order.
func directives(t *testing.T, unit string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(unit) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Errorf("not a directive: %q", line)
		}
		all[key] = append(all[key], value)
	}
	return all
}

// TestUnitIsHardened: what the unit promises about the service.
func TestUnitIsHardened(t *testing.T) {
	unit := directives(t, read(t, "deploy/systemd/enrollgate.service"))
	for key, want := range map[string]string{
		"Type": "exec", "User": "enrollgate", "StateDirectory": "enrollgate", "StateDirectoryMode": "0700", "UMask": "0077",
		"ExecReload": "/bin/kill -HUP $MAINPID", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
		"MemoryDenyWriteExecute": "yes", "AmbientCapabilities": "CAP_NET_BIND_SERVICE", "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "LimitCORE": "0", "Restart": "on-failure",
	} {
		if got := unit[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s=%q, want %q", key, got, want)
		}
	}
	if filter := unit["SystemCallFilter"]; !slices.Contains(filter, "@system-service") {
		t.Errorf("SystemCallFilter=%q", filter)
	}
	stop, err := time.ParseDuration(unit["TimeoutStopSec"][0])
	if err != nil {
		t.Fatal(err)
	}
	drain := regexp.MustCompile(`(?m)^drain_timeout: (\S+)$`).FindStringSubmatch(read(t, "config/example.yaml"))
	wait, err := time.ParseDuration(drain[1])
	if err != nil || stop <= wait {
		t.Errorf("TimeoutStopSec=%v does not outlast drain_timeout %v (%v)", stop, wait, err)
	}
	for _, c := range unit["LoadCredential"] {
		name, source, _ := strings.Cut(c, ":")
		if source != "/etc/enrollgate/secrets/"+name {
			t.Errorf("LoadCredential=%s: the source has another name", c)
		}
	}
}

// TestUnitIsRead: systemd itself finds nothing to say about the unit.
func TestUnitIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("starts systemd-analyze; make test runs it")
	}
	self, err := os.Executable() // stands in for a program that is not installed here
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "enrollgate.service")
	unit := read(t, "deploy/systemd/enrollgate.service")
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/enrollgate ") {
		t.Fatal("the unit starts something else")
	}
	if err := os.WriteFile(file, []byte(strings.Replace(unit, "/usr/local/bin/enrollgate", self, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), file) || strings.Contains(string(out), "enrollgate.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// instructions gives the Dockerfile's lines by their first word.
func instructions(t *testing.T) (all [][]string) {
	t.Helper()
	for line := range strings.Lines(read(t, "Dockerfile")) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			all = append(all, words)
		}
	}
	return all
}

func TestDockerfile(t *testing.T) {
	var copied []string
	var built, user, entry string
	base := 0
	makeBuilds := regexp.MustCompile(`(?m)^build:.*\n\tgo build .*-o (\S+) \./cmd/enrollgate$`).FindStringSubmatch(read(t, "Makefile"))
	if makeBuilds == nil {
		t.Fatal("the Makefile has no target build that writes the program")
	}
	ignored := strings.Fields(read(t, ".dockerignore"))
	runs := []string{}
	for _, line := range instructions(t) {
		switch line[0] {
		case "COPY":
			if strings.HasPrefix(line[1], "--from=build") {
				if strings.HasPrefix(line[2], "/src/") {
					built = strings.TrimPrefix(line[2], "/src/")
				}
				continue
			}
			for _, source := range line[1 : len(line)-1] {
				if _, err := os.Stat(filepath.Join(root, source)); err != nil {
					t.Errorf("COPY %s: %v", source, err)
				}
				if !slices.Contains(ignored, "!"+source) {
					t.Errorf("COPY %s: .dockerignore keeps it out", source)
				}
				copied = append(copied, source)
			}
		case "RUN":
			runs = append(runs, strings.Join(line[1:], " "))
		case "ARG":
			if strings.HasPrefix(line[1], "BASE_IMAGE=") {
				base++
			}
		case "USER":
			user = line[1]
		case "ENTRYPOINT":
			entry = strings.Join(line[1:], " ")
		}
	}
	if want := []string{"go mod download", "make build"}; !slices.Equal(runs, want) {
		t.Errorf("RUN %q, want %q", runs, want)
	}
	if built != makeBuilds[1] {
		t.Errorf("the image takes %s, make build writes %s", built, makeBuilds[1])
	}
	if base != 1 || user != "65532:65532" || entry != `["/usr/local/bin/enrollgate"]` {
		t.Errorf("BASE_IMAGE %d times, USER %s, ENTRYPOINT %s", base, user, entry)
	}
	// Every package of ours that the program is made of must be in the image's build.
	out, err := exec.CommandContext(t.Context(), "go", "list", "-C", root, "-deps", "-json=ImportPath,Module,Dir", "./cmd/enrollgate").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Module     *struct{ Main bool }
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || !p.Module.Main {
			continue
		}
		packages++
		top, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, "github.com/enrollgate/enrollgate/"), "/")
		if !slices.Contains(copied, path.Clean(top)) {
			t.Errorf("package %s is not copied into the build", p.ImportPath)
		}
	}
	if packages < 10 {
		t.Errorf("only %d packages of ours were found", packages)
	}
}

package harness

import (
	"os/exec"
	"strings"
	"testing"
)

// Keys writes a P-256 key to each path, encrypted with the password, as `ca create`
// would had it to make them, but for the derivation: a thousand rounds in place of
// 600,000, which under the race detector take a second each time a key is opened.
func Keys(t testing.TB, password string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		plain := openssl(t, "", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
		openssl(t, plain, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-iter", "1000", "-passout", "pass:"+password, "-out", path)
	}
}

func openssl(t testing.TB, in string, args ...string) string {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("harness: openssl %v: %v", args, err)
	}
	return string(out)
}

package harness

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestNginx(t *testing.T) {
	NeedPrograms(t)
	port := FreePort(t)
	Nginx(t, port, fmt.Sprintf(`server { listen 127.0.0.1:%d; location / { return 200 "hello"; } }`, port))
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
		t.Errorf("%q, %v", body, err)
	}
}

package acme

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSONMembers(t *testing.T) {
	got, err := jsonMembers([]byte(" {\"a\" : 1 , \"b\":[1,{\"x\":\"]}\"},\"}\"]\n,\"c\\u0022d\":\"e\\\\\" ,\"\":null,\"f\":{\"a\":1,\"a\":2},\"g\":-1.5e3} "))
	if err != nil {
		t.Fatal(err)
	}
	text := make(map[string]string)
	for name, value := range got {
		text[name] = string(value)
	}
	want := map[string]string{"a": "1", "b": `[1,{"x":"]}"},"}"]`, `c"d`: `"e\\"`, "": "null", "f": `{"a":1,"a":2}`, "g": "-1.5e3"}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{"{}", " { } "} {
		if got, err := jsonMembers([]byte(empty)); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", empty, got, err)
		}
	}
	for _, bad := range []string{"", " ", "{", "}", "[]", "null", `"x"`, "1", "{}{}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, "{\"\xff\":1}", "\ufeff{}"} {
		if got, err := jsonMembers([]byte(bad)); err == nil {
			t.Errorf("%q is accepted: %v", bad, got)
		}
	}
}

// The splitter agrees with encoding/json about every object.
func FuzzJSONMembers(f *testing.F) {
	for _, seed := range []string{"{}", goodHeader, rfcRSA, jws(goodHeader), `{"a":[{"b":"\\\"}"}],"c":-0.1E+2,"d":true , "e":{"":{}}}`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := jsonMembers(text)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		if err != nil {
			return
		}
		if wantErr != nil || len(want) != len(got) {
			t.Fatalf("%q: %d members; encoding/json finds %d, %v", text, len(got), len(want), wantErr)
		}
		for name, value := range want {
			if string(got[name]) != string(value) {
				t.Errorf("%q: member %q is %q, encoding/json says %q", text, name, got[name], value)
			}
		}
	})
}

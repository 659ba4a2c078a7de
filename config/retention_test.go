package config

import (
	"strings"
	"testing"
)

func TestRetention(t *testing.T) {
	for text, want := range map[string]int{"P1M": 1, "P13M": 13, "p7y": 84, "P1Y6M": 18, "forever": 0, "P100Y": 1200} {
		c, err := Parse("x.yaml", []byte(minimal+"\nretention: {certificates: "+text+"}\n"), Options{})
		if err != nil || c.Retention.Certificates != want {
			t.Errorf("%s: %v, %v", text, c, err)
		}
	}
	for text, want := range map[string]string{"P0M": "1 to 1200 months", "P101Y": "1 to 1200 months", "P": "1 to 1200 months", "P30D": "whole months or years",
		`"13"`: "whole months or years", "never": "whole months or years", "-P1M": "whole months or years", `""`: "the text is empty"} {
		_, err := Parse("x.yaml", []byte(minimal+"\nretention: {certificates: "+text+"}\n"), Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "retention.certificates") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

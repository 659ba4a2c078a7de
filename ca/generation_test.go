package ca_test

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// TestSigning: the latest decision whose time has come.
func TestSigning(t *testing.T) {
	now := time.Now()
	all := []ca.Activation{{CA: "a", Position: 1, Generation: 2, From: now.Add(time.Hour)}, {CA: "a", Position: 2, Generation: 3, From: now.Add(2 * time.Hour)},
		{CA: "b", Position: 1, Generation: 9, From: now}}
	for after, want := range map[time.Duration]int{0: 1, time.Hour - 1: 1, time.Hour: 2, 2 * time.Hour: 3} {
		if got := ca.Signing(all, "a", now.Add(after)); got != want {
			t.Errorf("after %v generation %d signs, want %d", after, got, want)
		}
	}
	all = append(all, ca.Activation{CA: "a", Position: 3, Generation: 1, From: now})
	if got := ca.Signing(all, "a", now.Add(9*time.Hour)); got != 1 {
		t.Errorf("a later decision does not take back earlier ones: generation %d signs", got)
	}
}

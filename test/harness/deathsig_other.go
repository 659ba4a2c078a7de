//go:build !linux

package harness

import "syscall"

// dieWithParent has no counterpart here: after a crash of the test process the
// programs it started must be ended by hand.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

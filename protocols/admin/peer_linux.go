package admin

import (
	"net"
	"syscall"
)

// credentials asks the kernel for the peer's, as they were when it connected
// (SO_PEERCRED, socket(7)).
func credentials(c *net.UnixConn) (uid, pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	var cred *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return -1, 0, err
	}
	if failed != nil {
		return -1, 0, failed
	}
	return int(cred.Uid), int(cred.Pid), nil
}

package harness

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// child is a started program that dies with this process.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the program has ended
	err  error         // what Wait said; read after done
}

// startChild starts cmd and has the kernel send it onDeath when this process
// ends. The kernel watches the thread that forked, not the process, so the
// goroutine that starts the program keeps its thread until the program ended.
func startChild(cmd *exec.Cmd, onDeath syscall.Signal) (*child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(cmd.SysProcAttr, onDeath)
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipes open
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// end sends sig, waits for the program to end and returns what Wait said. A
// program that stays longer than startLimit is killed and reported.
func (c *child) end(sig syscall.Signal) error {
	if c.running() {
		if err := c.cmd.Process.Signal(sig); err != nil && c.running() {
			return err
		}
	}
	select {
	case <-c.done:
		return c.err
	case <-time.After(startLimit):
	}
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	<-c.done
	return fmt.Errorf("still running %v after %v, killed", startLimit, sig)
}

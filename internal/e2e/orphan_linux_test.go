package e2e_test

import (
	"os/exec"
	"syscall"
)

// endsWithTest has the kernel kill the process when the test's own ends without having done so, as it does where a
// test runs out of time.
func endsWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

package rig

import (
	"os/exec"
	"syscall"
)

// standAlone gives the process a group of its own, as a shell does, and has the
// kernel kill it when the test binary dies, so that a killed test run leaves
// nothing behind.
func standAlone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

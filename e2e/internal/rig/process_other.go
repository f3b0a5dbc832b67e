//go:build !linux

package rig

import (
	"os/exec"
	"syscall"
)

// standAlone gives the process a group of its own, as a shell does. Where the
// kernel does not end it with the test binary, tests' cleanups remain.
func standAlone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

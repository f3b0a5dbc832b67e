//go:build !linux

package envoy

import "syscall"

// processAttributes gives the process a group of its own, so that a Ctrl-C at
// the terminal reaches the parent alone, which ends the process in order. Only
// Linux can also tie a process to its parent's life.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

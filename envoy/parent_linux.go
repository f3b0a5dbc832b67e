package envoy

import "syscall"

// processAttributes has the kernel kill the process when its parent dies,
// however that dies, and gives it a process group of its own, so that a Ctrl-C
// at the terminal reaches the parent alone, which ends the process in order.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

package envoy

import "syscall"

// dieWithParent has the kernel kill the process when its parent dies, however
// that dies.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

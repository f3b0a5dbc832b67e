//go:build !linux

package envoy

import "syscall"

// dieWithParent does nothing: only Linux can tie a process to its parent.
func dieWithParent() *syscall.SysProcAttr { return nil }

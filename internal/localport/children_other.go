//go:build !linux

package localport

import "syscall"

// child is how programs are started. Only Linux ends them when this process is killed.
func child(ownGroup bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: ownGroup} }

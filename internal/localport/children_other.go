//go:build !linux

package localport

import "syscall"

// child is as on Linux, but the program does not end when this process is killed.
func child(ownGroup bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: ownGroup} }

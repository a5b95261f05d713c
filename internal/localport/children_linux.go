package localport

import "syscall"

// child makes a program end when this process is killed. With ownGroup the program and all that it
// starts are in one process group, which can be killed as a whole.
func child(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup, Pdeathsig: syscall.SIGKILL}
}

package localport

import "syscall"

// child is how programs are started: they end when this process is killed, which leaves it no time
// to end them. What they have started themselves is ended through their process group, where they
// get one.
func child(ownGroup bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: ownGroup, Pdeathsig: syscall.SIGKILL}
}

package localport

import (
	"os"
	"runtime"
	"syscall"
)

// Numbers of Lambda's user and group: sbx_user1051.
const (
	lambdaUID = 993
	lambdaGID = 990
)

// peakUnit is the unit of a process's largest memory, in bytes.
const peakUnit = 1024

// Capabilities that world.py needs until it has made the world (capabilities(7)).
const (
	capNetAdmin  = 12
	capSysChroot = 18
	capSysAdmin  = 21
)

// possibleWorlds are the worlds to try, the nearest to Lambda's first. An emulated interpreter
// cannot make namespaces.
func possibleWorlds(platform string) []world {
	plain := world{level: plainWorld}
	native := map[string]string{"Linux-x86_64": "amd64", "Linux-aarch64": "arm64"}[platform]
	if platform != "" && native != runtime.GOARCH {
		return []world{plain}
	}

	const own = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
	users := world{"new", func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Setpgid:     true,
			Pdeathsig:   syscall.SIGKILL,
			Cloneflags:  own | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: lambdaUID, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: lambdaGID, HostID: os.Getgid(), Size: 1}},
			AmbientCaps: []uintptr{capNetAdmin, capSysChroot, capSysAdmin},
		}
	}}
	root := world{"new", func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: own}
	}}
	if os.Getuid() == 0 {
		return []world{users, root, plain}
	}

	return []world{users, plain}
}

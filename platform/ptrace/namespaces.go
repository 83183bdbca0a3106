package ptrace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// otherNamespaces are those that only take things away.
const otherNamespaces = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC

// nobody is the user and group that stubs are, seen from within: no root, so
// that exec leaves them no capability.
const nobody = 65534

// isolations lists what to try, the strongest first. A user namespace is what
// lets an ordinary user have the others; a host may forbid it to everybody.
func isolations() []uintptr {
	const all = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | otherNamespaces
	return []uintptr{all, all &^ unix.CLONE_NEWUSER, unix.CLONE_NEWUSER | otherNamespaces, otherNamespaces, 0}
}

// namespaces is what a zygote was born into. With a PID namespace, in which it
// is init, no stub can outlive it.
type namespaces struct {
	flags uintptr  // CLONE_NEW*
	pids  *os.File // the PID namespace, if it is not ours
}

// attr returns how to start a zygote into flags.
func (n *namespaces) attr(flags uintptr) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Ptrace: true, Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// open takes hold of what process pid was born into.
func (n *namespaces) open(pid int, flags uintptr) error {
	n.flags = flags
	if flags&unix.CLONE_NEWPID == 0 {
		return nil
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return err
	}
	n.pids = f
	got, err := n.hostPID(1)
	if err == nil && got != pid {
		err = errors.New("its first process is another")
	}
	if err != nil {
		return fmt.Errorf("PID namespace: %w", err)
	}
	return nil
}

func (n *namespaces) close() {
	if n.pids != nil {
		n.pids.Close()
	}
}

// self returns the zygote's own idea of its number, which for us is pid.
func (n *namespaces) self(pid int) int {
	if n.pids != nil {
		return 1
	}
	return pid
}

// hostPID returns our number of the process that the stubs know as pid.
func (n *namespaces) hostPID(pid int) (int, error) {
	if n.pids == nil {
		return pid, nil
	}
	host, _, e := unix.RawSyscall(unix.SYS_IOCTL, n.pids.Fd(), unix.NS_GET_PID_FROM_PIDNS, uintptr(pid))
	if e == unix.ESRCH {
		return 0, fmt.Errorf("%w: stub %d of the namespace was killed at birth", platform.ErrDied, pid)
	}
	if e != 0 {
		return 0, fmt.Errorf("find stub %d: %w", pid, e)
	}
	return int(host), nil
}

// String names the namespaces: "user,pid,net,mount,ipc", or "none".
func (n *namespaces) String() string {
	var names []string
	for _, ns := range []struct {
		flag uintptr
		name string
	}{
		{unix.CLONE_NEWUSER, "user"}, {unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWNET, "net"},
		{unix.CLONE_NEWNS, "mount"}, {unix.CLONE_NEWIPC, "ipc"},
	} {
		if n.flags&ns.flag != 0 {
			names = append(names, ns.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}

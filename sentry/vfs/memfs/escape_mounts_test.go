package memfs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inMounts is set in the process that may mount.
const inMounts = "MEMFS_TEST_MOUNTS"

// What is mounted below the tree does not lead out of it either: a directory that lies
// elsewhere, a tmpfs, and the host's /proc with its links to everything.
func TestNoMountLeavesTheTree(t *testing.T) {
	if os.Getenv(inMounts) != "" {
		playMounts(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestNoMountLeavesTheTree$", "-test.v")
	cmd.Env = append(os.Environ(), inMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// playMounts is TestNoMountLeavesTheTree among mounts of its own.
func playMounts(t *testing.T) {
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	c, outside, in := jail(t)
	given := filepath.Join(outside, "given")
	must(t, os.MkdirAll(filepath.Join(given, "below"), 0o755))
	for _, name := range []string{"bound", "held", "proc"} {
		must(t, os.Mkdir(filepath.Join(in, name), 0o755))
	}
	mount := func(what, where, kind string, flags uintptr) {
		where = filepath.Join(in, where)
		must(t, unix.Mount(what, where, kind, flags, ""))
		t.Cleanup(func() { must(t, unix.Unmount(where, unix.MNT_DETACH)) })
	}
	mount(given, "bound", "", unix.MS_BIND)
	mount("tmpfs", "held", "tmpfs", 0)
	mount("proc", "proc", "proc", 0)
	must(t, os.Mkdir(filepath.Join(in, "held/x"), 0o755))

	file, err := os.OpenFile(filepath.Join(outside, "canary"), os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	dir, err := os.Open(outside)
	must(t, err)
	defer dir.Close()
	memfd, err := unix.MemfdCreate("canary", unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(memfd) //nolint:errcheck // its end
	_, err = unix.Write(memfd, []byte(canary))
	must(t, err)
	must(t, os.Chdir(outside))

	me := fmt.Sprintf("proc/%d/", os.Getpid())
	paths := []string{
		"bound/../canary", "bound/below/../../canary", "bound/../../canary", "held/../canary", "held/../../canary", "held/x/../../../canary",
		"bound/../bound/../../canary", "held/../bound/below/../../../canary",
		"proc/../canary", "proc/../../canary", me + "root" + outside + "/canary", me + "root/../canary", me + "cwd/canary", me + "cwd/../canary", me + "exe/../canary",
		"proc/self/root" + outside + "/canary", "proc/self/cwd/canary", "proc/thread-self/root" + outside + "/canary", "proc/1/root" + outside + "/canary", "proc/1/cwd/canary",
		me + fmt.Sprintf("fd/%d", file.Fd()), me + fmt.Sprintf("fd/%d/canary", dir.Fd()), me + fmt.Sprintf("fd/%d/../canary", dir.Fd()), me + fmt.Sprintf("fd/%d", memfd),
		me + fmt.Sprintf("task/%d/fd/%d", os.Getpid(), file.Fd()), me + fmt.Sprintf("task/%d/cwd/canary", os.Getpid()), me + fmt.Sprintf("task/%d/root", os.Getpid()) + outside + "/canary",
		me + fmt.Sprintf("map_files/../fd/%d", memfd),
	}
	for _, path := range paths {
		for _, prefix := range []string{"", "/rw/", "d/../", "/rw/bound/../", "held/../"} {
			tryAll(t, c, at(prefix+path))
		}
	}
	for _, path := range []string{"bound/below", "held/x", "rw/bound/below"} { // what is given is there
		d, err := c.Open(at(path), unix.O_RDONLY, 0)
		must(t, err)
		must(t, d.DecRef())
	}
	if _, err := c.Open(at(me+"status"), unix.O_RDONLY, 0); err == nil {
		t.Error("the host's processes are shown")
	}
	b := make([]byte, len(canary)+1)
	n, err := unix.Pread(memfd, b, 0)
	must(t, err)
	same(t, "the memfd", string(b[:n]), canary)
}

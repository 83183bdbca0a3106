// Package procfs is /proc as guests see it, with true values: maps, smaps,
// smaps_rollup, pagemap, mem, status, statm, stat, cmdline, comm, exe, cwd, root,
// auxv, environ, fd, limits of every process and thread, and self; and what system.go
// lists of the system as a whole. What a text says
// is decided when it is opened; pagemap and mem are asked anew by each read.
//
// Read procfs.go (paths), process.go (what a process's directory holds), then
// the file of the text that you look for.
package procfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// device is /proc's in st_dev: an anonymous one.
var device = unix.Mkdev(0, 20)

// rootInode is that of Linux.
const rootInode = 1

// FS is /proc.
type FS struct {
	kernel *sentry.Kernel
}

// New returns the /proc of k, to be mounted in k's tree.
func New(k *sentry.Kernel) *FS { return &FS{kernel: k} }

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: unix.PROC_SUPER_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: 255}, nil
}

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	name, rest, _ := strings.Cut(path, "/")
	switch name {
	case "":
		return fs.root(), "", nil
	case "self":
		return fs.link(2, strconv.Itoa(int(who.PID))), rest, nil
	case "mounts":
		return fs.link(4, "self/mounts"), rest, nil
	case "thread-self":
		pid := strconv.Itoa(int(who.PID))
		return fs.link(3, pid+"/task/"+strconv.Itoa(int(who.TID))), rest, nil
	}
	p, err := fs.process(name)
	if err != nil {
		n, err := fs.walkSystem(path, who)
		return n, "", err
	}
	return p.walk(rest)
}

// process returns what is below the directory called name.
func (fs *FS) process(name string) (*process, error) {
	pid, err := number(name)
	if err != nil {
		return nil, err
	}
	p := fs.kernel.Process(pid)
	if p == nil || dead(p) {
		return nil, unix.ENOENT
	}
	return newProcess(p, nil), nil
}

// dead says whether p is gone as far as guests can tell, though the kernel may
// keep it for people to look at.
func dead(p *sentry.Process) bool {
	state, _ := p.State()
	return state == sentry.Dead
}

// number reads a process id, thread id or descriptor as Linux does: decimal,
// without sign and leading zeroes.
func number(name string) (int32, error) {
	n, err := strconv.ParseInt(name, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name {
		return 0, unix.ENOENT
	}
	return int32(n), nil
}

func (fs *FS) root() *synth.Dir {
	list := func() ([]vfs.Dirent, error) {
		all := []vfs.Dirent{
			{Name: "mounts", Inode: 4, Type: unix.DT_LNK},
			{Name: "self", Inode: 2, Type: unix.DT_LNK},
			{Name: "thread-self", Inode: 3, Type: unix.DT_LNK},
		}
		all = append(all, systemEntries("")...)
		for _, p := range fs.kernel.Processes() {
			if !dead(p) {
				all = append(all, vfs.Dirent{
					Name: strconv.Itoa(int(p.PID())), Inode: inode(p.PID(), dirInode), Type: unix.DT_DIR,
				})
			}
		}
		return all, nil
	}
	return &synth.Dir{Attr: synth.Attr{Dev: device, Ino: rootInode, Mode: 0o555}, Parent: rootInode, List: list}
}

// link returns a link of the root directory.
func (fs *FS) link(ino uint64, text string) *synth.Link {
	return &synth.Link{
		Attr: synth.Attr{Dev: device, Ino: ino, Mode: 0o777},
		Text: func() (string, error) { return text, nil },
	}
}

package repl

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func fileCommands() []*Command {
	return append([]*Command{
		{
			Name: "files", Group: "files", Synopsis: "[PID]", Summary: "a process's open files: offset, kind, path, pages in memory",
			Examples: []Example{{Setup: "open /dev/shm/a rw create", Line: "files", Shows: "three streams and a file"}},
			Data:     []view.Value{view.Files{}}, Complete: []hint{hintPID}, See: true, Run: runFiles,
		},
		{
			Name: "open", Group: "files", Synopsis: "PATH [FLAG…] [MODE]", Summary: "open a file in the current process; $_ is the descriptor",
			Help: "As openat(2): a relative PATH begins at the process's working directory. FLAG is one of r w rw create excl trunc append cloexec path tmpfile, " +
				"or O_…|O_…; with none it is opened for reading. MODE (0o666) is of a file that is made.",
			Examples: []Example{
				{Line: "open /dev/shm/a rw create", Shows: "a new file in memory"},
				{Line: "open /dev/null O_WRONLY|O_APPEND", Shows: "flags as C has them"},
				{Line: "expect error ENOENT open /dev/shm/none", Shows: "a refusal"},
			},
			Data: []view.Value{view.Opened{}}, Complete: []hint{hintFile, hintOpenFlag}, Run: runOpen,
		},
		{
			Name: "close", Group: "files", Synopsis: "N", Summary: "close a descriptor of the current process",
			Examples: []Example{{Setup: "open /dev/null", Line: "close $_", Shows: "as close(2)"}},
			Data:     []view.Value{view.Opened{}}, Complete: []hint{hintNumber}, Run: runClose,
		},
	}, cacheCommands()...)
}

func runFiles(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	pid := 0
	if len(c.args) == 1 {
		n, err := c.number(0)
		if err != nil {
			return nil, err
		}
		pid = int(n.Int())
	}
	t, err := c.target(pid)
	if err != nil {
		return nil, err
	}
	v := view.Files{PID: t.pid, Rows: []view.File{}}
	for _, d := range debugger.Descriptors(t.proc) {
		row := view.File{
			FD: d.FD, Flags: openFlags(d.Flags), Offset: d.Offset, Kind: fileKind(d.Stat.Mode), Path: d.Path,
			Dev: device(d.Stat.Dev), Inode: d.Stat.Ino, Size: d.Stat.Size,
		}
		if d.Cached != nil {
			runs := d.Cached.Pages.Runs()
			row.Cached = cachedBytes(runs)
			row.Dirty, _ = debugger.Dirty(runs)
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// device prints a dev_t as maps does.
func device(dev uint64) string { return fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev)) }

func cachedBytes(runs []memmap.CachedRun) uint64 {
	n := uint64(0)
	for _, r := range runs {
		n += r.Pages.Length()
	}
	return n
}

func fileKind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFCHR:
		return "device"
	case unix.S_IFBLK:
		return "block device"
	case unix.S_IFIFO:
		return "pipe"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFLNK:
		return "link"
	}
	return "other"
}

// flagNames are the flags of an open file, in the order in which they are printed.
var flagNames = []struct {
	bits int
	name string
}{
	{unix.O_APPEND, "O_APPEND"}, {unix.O_NONBLOCK, "O_NONBLOCK"}, {unix.O_SYNC, "O_SYNC"}, {unix.O_DSYNC, "O_DSYNC"},
	{unix.O_DIRECT, "O_DIRECT"}, {unix.O_TMPFILE, "O_TMPFILE"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"},
	{unix.O_NOATIME, "O_NOATIME"}, {unix.O_CLOEXEC, "O_CLOEXEC"},
}

// openFlags prints flags as C writes them. O_LARGEFILE says nothing and is left out.
func openFlags(flags int) string {
	var names []string
	switch {
	case flags&unix.O_PATH != 0:
		names = append(names, "O_PATH")
	default:
		names = append(names, []string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[flags&unix.O_ACCMODE])
	}
	for _, f := range flagNames {
		if flags&f.bits == f.bits {
			names = append(names, f.name)
			flags &^= f.bits // the larger names come first
		}
	}
	return strings.Join(names, "|")
}

func runOpen(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return nil, c.usage()
	}
	path, err := c.args[0].Value()
	if err != nil {
		return nil, err
	}
	flags, mode, err := c.openWords()
	if err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	if t.proc.FDs() == nil || t.proc.MM() == nil {
		return nil, fmt.Errorf("process %d has ended and opens nothing", t.pid)
	}
	fd, err := debugger.OpenFile(t.proc, path, int(flags), uint32(mode))
	if err != nil {
		return nil, err
	}
	c.set(lang.Int(int64(fd)))
	return opened(t, "opened", fd), nil
}

// openWords reads the flags and the mode of open.
func (c *call) openWords() (flags, mode uint64, err error) {
	mode = 0o666
	for i := 1; i < len(c.args); i++ {
		if bits, ok := lang.OpenWord(c.args[i].Text); ok {
			flags |= bits
			continue
		}
		n, err := c.number(i)
		if err != nil || i != len(c.args)-1 {
			return 0, 0, fmt.Errorf("%q is no flag of open: %s", c.args[i].Text, "r w rw create excl trunc append cloexec path tmpfile, or O_…|O_…")
		}
		mode = n.Bits
	}
	return flags, mode, nil
}

// opened describes descriptor fd.
func opened(t target, did string, fd int32) view.Opened {
	v := view.Opened{PID: t.pid, Did: did, FD: fd}
	for _, d := range debugger.Descriptors(t.proc) {
		if d.FD == fd {
			v.Path, v.Flags = d.Path, openFlags(d.Flags)
		}
	}
	return v
}

func runClose(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	n, err := c.number(0)
	if err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	fd := int32(n.Int())
	if int64(fd) != n.Int() || t.proc.FDs() == nil {
		return nil, memmap.Refuse("close", unix.EBADF, "%v is no descriptor", n)
	}
	v := opened(t, "closed", fd)
	if err := t.proc.FDs().Close(fd); err != nil {
		return nil, err
	}
	return v, nil
}

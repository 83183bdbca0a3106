package procfs

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// Inode numbers of a process's files: its id and the file's place. Descriptors
// come behind the files.
const (
	dirInode      = 0
	taskInode     = 1
	fdInode       = 2
	mapFilesInode = 3
	entryBase     = 4
	fdBase        = 1 << 10
)

func inode(id int32, place uint64) uint64 { return uint64(id)<<32 | place + 4 }

// process is a directory /proc/PID, or with task /proc/PID/task/TID.
type process struct {
	p     *sentry.Process
	task  *sentry.Task
	owner sentry.Credentials
}

func newProcess(p *sentry.Process, t *sentry.Task) *process {
	return &process{p, t, p.Credentials()}
}

// entry is a file of the directory.
type entry struct {
	name string
	mode uint32
	text func(*process) ([]byte, error) // a regular file
	link func(*process) (string, error) // a symbolic link
	raw  func(*process, synth.Attr) *rawNode
}

// entries are the files; fd, map_files and task are directories.
var entries = []entry{
	{name: "auxv", mode: 0o400, text: (*process).auxv},
	{name: "clear_refs", mode: 0o200, raw: func(p *process, a synth.Attr) *rawNode { return &rawNode{Attr: a, p: p, read: nil, write: clearRefs} }},
	{name: "cmdline", mode: 0o444, text: (*process).cmdline},
	{name: "comm", mode: 0o644, text: (*process).comm},
	{name: "cwd", mode: 0o777, link: (*process).cwd},
	{name: "environ", mode: 0o400, text: (*process).environ},
	{name: "exe", mode: 0o777, link: (*process).exe},
	{name: "limits", mode: 0o444, text: (*process).limits},
	{name: "maps", mode: 0o444, text: (*process).maps},
	{name: "mem", mode: 0o600, raw: func(p *process, a synth.Attr) *rawNode {
		return &rawNode{Attr: a, p: p, read: readMem, write: writeMem}
	}},
	{name: "mountinfo", mode: 0o444, text: (*process).mountinfo},
	{name: "mounts", mode: 0o444, text: (*process).mounts},
	{name: "mountstats", mode: 0o400, text: (*process).mountstats},
	{name: "pagemap", mode: 0o400, raw: func(p *process, a synth.Attr) *rawNode {
		return &rawNode{Attr: a, p: p, pagemap: true, read: readPagemap}
	}},
	{name: "root", mode: 0o777, link: (*process).root},
	{name: "smaps", mode: 0o444, text: (*process).smaps},
	{name: "smaps_rollup", mode: 0o444, text: (*process).smapsRollup},
	{name: "stat", mode: 0o444, text: (*process).stat},
	{name: "statm", mode: 0o444, text: (*process).statm},
	{name: "status", mode: 0o444, text: (*process).status},
}

// id is what the directory is called.
func (p *process) id() int32 {
	if p.task != nil {
		return p.task.TID()
	}
	return p.p.PID()
}

func (p *process) attr(place uint64, mode uint32) synth.Attr {
	if p.task != nil {
		place |= 1 << 31
	}
	return synth.Attr{Dev: device, Ino: inode(p.id(), place), Mode: mode, UID: p.owner.EUID, GID: p.owner.EGID}
}

// walk goes down path from the directory.
func (p *process) walk(path string) (vfs.Node, string, error) {
	name, rest, deeper := strings.Cut(path, "/")
	switch {
	case name == "":
		return p.dir(), "", nil
	case name == "fd":
		return p.walkFD(rest)
	case name == "map_files" && p.task == nil:
		return p.walkMapFiles(rest)
	case name == "task" && p.task == nil:
		return p.walkTask(rest)
	}
	for i := range entries {
		e := &entries[i]
		if e.name != name {
			continue
		}
		if e.link != nil {
			return p.linkNode(uint64(i), e), rest, nil
		}
		if deeper {
			return nil, "", unix.ENOTDIR
		}
		attr := p.attr(entryBase+uint64(i), e.mode)
		if e.raw != nil {
			return e.raw(p, attr), "", nil
		}
		text := func() ([]byte, error) { return e.text(p) }
		return &synth.Text{Attr: attr, Make: text}, "", nil
	}
	return nil, "", unix.ENOENT
}

func (p *process) linkNode(i uint64, e *entry) *synth.Link {
	text := func() (string, error) { return e.link(p) }
	return &synth.Link{Attr: p.attr(entryBase+i, e.mode), Text: text, Follow: true}
}

// dir is the directory itself.
func (p *process) dir() *synth.Dir {
	list := func() ([]vfs.Dirent, error) {
		all := []vfs.Dirent{{Name: "fd", Inode: p.attr(fdInode, 0).Ino, Type: unix.DT_DIR}}
		if p.task == nil {
			all = append(all, vfs.Dirent{Name: "map_files", Inode: p.attr(mapFilesInode, 0).Ino, Type: unix.DT_DIR})
			all = append(all, vfs.Dirent{Name: "task", Inode: p.attr(taskInode, 0).Ino, Type: unix.DT_DIR})
		}
		for i := range entries {
			kind := uint8(unix.DT_REG)
			if entries[i].link != nil {
				kind = unix.DT_LNK
			}
			all = append(all, vfs.Dirent{Name: entries[i].name, Inode: p.attr(entryBase+uint64(i), 0).Ino, Type: kind})
		}
		return all, nil
	}
	return &synth.Dir{Attr: p.attr(dirInode, 0o555), Parent: rootInode, List: list}
}

// walkTask goes down from /proc/PID/task.
func (p *process) walkTask(path string) (vfs.Node, string, error) {
	name, rest, _ := strings.Cut(path, "/")
	if name == "" {
		list := func() ([]vfs.Dirent, error) {
			var all []vfs.Dirent
			for _, t := range p.p.Tasks() {
				one := newProcess(p.p, t)
				all = append(all, vfs.Dirent{Name: strconv.Itoa(int(t.TID())), Inode: one.attr(dirInode, 0).Ino, Type: unix.DT_DIR})
			}
			return all, nil
		}
		return &synth.Dir{Attr: p.attr(taskInode, 0o555), Parent: p.attr(dirInode, 0).Ino, List: list}, "", nil
	}
	tid, err := number(name)
	if err != nil {
		return nil, "", err
	}
	for _, t := range p.p.Tasks() {
		if t.TID() == tid {
			return newProcess(p.p, t).walk(rest)
		}
	}
	return nil, "", unix.ENOENT
}

// memory calls f with the process's memory, which stays meanwhile. A process that
// has none (a zombie) is not an error: f is not called.
func (p *process) memory(f func(m *mm.MemoryManager, by *mm.Actor) error) error {
	m := p.p.MM()
	if m == nil || !m.IncUsers() {
		return nil
	}
	by := actor()
	defer m.DecUsers(by)
	return f(m, by)
}

// actor is /proc as the one who asks a memory.
func actor() *mm.Actor {
	return &mm.Actor{Limits: mm.NoLimits(), Origin: memmap.Origin{By: memmap.ByKernel, Op: "proc"}}
}

// bytesOf returns what lies at ar in the process's memory now.
func (p *process) bytesOf(ar memmap.AddrRange) ([]byte, error) {
	var b []byte
	err := p.memory(func(m *mm.MemoryManager, by *mm.Actor) error {
		b = make([]byte, ar.Length())
		n, err := m.CopyIn(by, ar.Start, b, mm.IOOpts{IgnorePermissions: true})
		b = b[:n]
		if err != nil && n == 0 && ar.Length() > 0 {
			return fmt.Errorf("%w: %w", unix.EIO, err)
		}
		return nil
	})
	return b, err
}

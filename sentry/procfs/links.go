package procfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// exe, cwd and root say nothing of a process without memory, as on Linux.

func (p *process) exe() (string, error) {
	if path := p.p.Exe(); path != "" && p.p.MM() != nil {
		return path, nil
	}
	return "", unix.ENOENT
}

func (p *process) cwd() (string, error) {
	if p.p.MM() == nil {
		return "", unix.ENOENT
	}
	return p.p.Context().Cwd(), nil
}

func (p *process) root() (string, error) {
	if p.p.MM() == nil {
		return "", unix.ENOENT
	}
	return p.p.Context().Root(), nil
}

// walkFD goes down from /proc/PID/fd.
func (p *process) walkFD(path string) (vfs.Node, string, error) {
	name, rest, _ := strings.Cut(path, "/")
	if name == "" {
		return &synth.Dir{Attr: p.attr(fdInode, 0o500), Parent: p.attr(dirInode, 0).Ino, List: p.listFDs}, "", nil
	}
	fd, err := number(name)
	if err != nil {
		return nil, "", err
	}
	d, err := p.p.FDs().Get(fd)
	if err != nil {
		return nil, "", unix.ENOENT
	}
	defer func() { _ = d.DecRef() }()
	return &synth.Link{
		Attr: p.attr(fdBase+uint64(fd), linkMode(d.Flags())),
		Text: func() (string, error) { return p.fdText(fd) },
		To:   func() *vfs.Description { return p.fdFile(fd) },
	}, rest, nil
}

func (p *process) listFDs() ([]vfs.Dirent, error) {
	var all []vfs.Dirent
	p.p.FDs().Each(func(fd int32, _ *vfs.Description, _ bool) {
		all = append(all, vfs.Dirent{Name: strconv.Itoa(int(fd)), Inode: p.attr(fdBase+uint64(fd), 0).Ino, Type: unix.DT_LNK})
	})
	return all, nil
}

// fdText is what the link shows.
func (p *process) fdText(fd int32) (string, error) {
	d, err := p.p.FDs().Get(fd)
	if err != nil {
		return "", unix.ENOENT
	}
	defer func() { _ = d.DecRef() }()
	return d.Path(), nil
}

// fdFile is the open file that the link leads to; nil for a directory, which its
// path leads to.
func (p *process) fdFile(fd int32) *vfs.Description {
	d, err := p.p.FDs().Get(fd)
	if err != nil {
		return nil
	}
	if _, ok := d.File().(vfs.Dir); ok {
		_ = d.DecRef()
		return nil
	}
	return d
}

// linkMode shows how a descriptor was opened, as Linux does.
func linkMode(flags int) uint32 {
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return 0o500
	case unix.O_WRONLY:
		return 0o300
	}
	return 0o700
}

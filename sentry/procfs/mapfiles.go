package procfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// mapInode is the first inode number of links in map_files: their place is where the
// mapping starts, in pages.
const mapInode = 1 << 20

// openFile is a mapping's identity that is an open file itself: the link leads to it,
// also if its name is gone. Others are found by their name.
type openFile interface {
	vfs.File
	memmap.MappingIdentity
	OpenFlags() int // O_RDONLY, O_WRONLY or O_RDWR
	FS() vfs.FS
}

// walkMapFiles goes down from /proc/PID/map_files.
func (p *process) walkMapFiles(path string) (vfs.Node, string, error) {
	name, rest, _ := strings.Cut(path, "/")
	if name == "" {
		return &synth.Dir{Attr: p.attr(mapFilesInode, 0o500), Parent: p.attr(dirInode, 0).Ino, List: p.listMapFiles}, "", nil
	}
	var ar memmap.AddrRange
	if n, err := fmt.Sscanf(name, "%x-%x", (*uint64)(&ar.Start), (*uint64)(&ar.End)); n != 2 || err != nil || mapName(ar) != name {
		return nil, "", unix.ENOENT
	}
	id, err := p.mapped(ar)
	if err != nil {
		return nil, "", err
	}
	defer id.DecRef()
	mode := uint32(0o400)
	if f, ok := id.(interface{ OpenFlags() int }); ok {
		mode = linkMode(f.OpenFlags()) &^ 0o100
	}
	return &synth.Link{
		Attr: p.attr(mapInode+uint64(ar.Start/memmap.PageSize), mode),
		Text: func() (string, error) { return p.mappedName(ar) },
		To:   func() *vfs.Description { return p.mappedFile(ar) },
	}, rest, nil
}

func mapName(ar memmap.AddrRange) string {
	return fmt.Sprintf("%x-%x", uint64(ar.Start), uint64(ar.End))
}

// mapped returns the file that is mapped at ar, with a reference: ENOENT.
func (p *process) mapped(ar memmap.AddrRange) (id memmap.MappingIdentity, err error) {
	none := p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error {
		id, err = m.FileAt(ar)
		return nil
	})
	if none == nil && id == nil && err == nil {
		err = unix.ENOENT
	}
	return id, err
}

func (p *process) mappedName(ar memmap.AddrRange) (string, error) {
	id, err := p.mapped(ar)
	if err != nil {
		return "", err
	}
	defer id.DecRef()
	return id.MappedName(), nil
}

// mappedFile is the open file that is mapped at ar; nil for one that is found by its
// name.
func (p *process) mappedFile(ar memmap.AddrRange) *vfs.Description {
	id, err := p.mapped(ar)
	if err != nil {
		return nil
	}
	f, ok := id.(openFile)
	if !ok {
		id.DecRef()
		return nil
	}
	return vfs.NewOpenFile(f.FS(), f, f.OpenFlags(), f.MappedName()) // whose release drops the reference
}

func (p *process) listMapFiles() ([]vfs.Dirent, error) {
	var all []vfs.Dirent
	err := p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error {
		for _, ar := range m.FileRanges() {
			ino := p.attr(mapInode+uint64(ar.Start/memmap.PageSize), 0).Ino
			all = append(all, vfs.Dirent{Name: mapName(ar), Inode: ino, Type: unix.DT_LNK})
		}
		return nil
	})
	return all, err
}

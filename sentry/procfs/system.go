package procfs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// systemInode is the first inode number of what belongs to no process: the numbers
// below are those of the root directory's own.
const systemInode = 1 << 12

// systemFile is a text that belongs to no process. Directories follow from the paths.
type systemFile struct {
	path string // below /proc
	mode uint32
	text func(*FS) []byte // nil: one of knobs
}

var systemFiles = []systemFile{
	{"cpuinfo", 0o444, (*FS).cpuinfo},
	{"filesystems", 0o444, (*FS).filesystems},
	{"loadavg", 0o444, (*FS).loadavg},
	{"locks", 0o444, (*FS).locks},
	{"meminfo", 0o444, (*FS).meminfo},
	{"stat", 0o444, (*FS).machineStat},
	{"swaps", 0o444, (*FS).swaps},
	{"sys/fs/nr_open", 0o444, says(1 << 20)},
	{"sys/kernel/cap_last_cap", 0o444, says(sentry.LastCap)},
	{"sys/kernel/hostname", 0o444, (*FS).hostname},
	{"sys/kernel/ngroups_max", 0o444, says(1 << 16)},
	{"sys/kernel/osrelease", 0o444, says(sentry.Release)},
	{"sys/kernel/ostype", 0o444, says("Linux")},
	{"sys/kernel/pid_max", 0o444, says(sentry.MaxPID)},
	{"sys/kernel/random/uuid", 0o444, (*FS).uuid},
	{"sys/kernel/version", 0o444, says(sentry.Version)},
	{"sys/vm/max_map_count", 0o644, says(mm.MaxMapCount)},
	{"sys/vm/overcommit_kbytes", 0o644, nil},
	{"sys/vm/overcommit_memory", 0o644, nil},
	{"sys/vm/overcommit_ratio", 0o644, nil},
	{"sysvipc/shm", 0o444, (*FS).shm},
	{"uptime", 0o444, (*FS).uptime},
	{"version", 0o444, (*FS).version},
	{"vmstat", 0o444, (*FS).vmstat},
}

// walkSystem goes down path, whose first part is not a process: ENOENT.
func (fs *FS) walkSystem(path string, who vfs.Caller) (vfs.Node, error) {
	path = strings.TrimSuffix(path, "/")
	for i := range systemFiles {
		f := &systemFiles[i]
		switch {
		case f.path == path && f.text == nil:
			return &synth.Knob{
				Attr: systemAttr(path, f.mode), Writable: who.UID == 0,
				Show: func() []byte { return fs.showKnob(path) },
				Set:  func(b []byte) error { return fs.setKnob(path, b) },
			}, nil
		case f.path == path:
			return &synth.Text{Attr: systemAttr(path, f.mode), Make: func() ([]byte, error) { return f.text(fs), nil }}, nil
		case strings.HasPrefix(f.path, path+"/"):
			return systemDir(path), nil
		case strings.HasPrefix(path, f.path+"/"):
			return nil, unix.ENOTDIR
		}
	}
	return nil, unix.ENOENT
}

// systemAttr is what the file or directory at path looks like: its number is its
// place among all prefixes of paths.
func systemAttr(path string, mode uint32) synth.Attr {
	i := slices.IndexFunc(systemFiles, func(f systemFile) bool { return f.path == path || strings.HasPrefix(f.path, path+"/") })
	depth := strings.Count(path, "/")
	return synth.Attr{Dev: device, Ino: systemInode + uint64(i)<<4 + uint64(depth), Mode: mode}
}

func systemDir(path string) *synth.Dir {
	parent := uint64(rootInode)
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent = systemAttr(path[:i], 0).Ino
	}
	list := func() ([]vfs.Dirent, error) { return systemEntries(path + "/"), nil }
	return &synth.Dir{Attr: systemAttr(path, 0o555), Parent: parent, List: list}
}

// systemEntries returns what lies directly below prefix, which is empty or ends in a
// slash.
func systemEntries(prefix string) []vfs.Dirent {
	var all []vfs.Dirent
	for _, f := range systemFiles {
		rest, below := strings.CutPrefix(f.path, prefix)
		name, _, deeper := strings.Cut(rest, "/")
		if !below || len(all) > 0 && all[len(all)-1].Name == name {
			continue
		}
		kind := uint8(unix.DT_REG)
		if deeper {
			kind = unix.DT_DIR
		}
		all = append(all, vfs.Dirent{Name: name, Inode: systemAttr(prefix+name, 0).Ino, Type: kind})
	}
	return all
}

// shm is /proc/sysvipc/shm.
func (fs *FS) shm() []byte {
	var b bytes.Buffer
	b.WriteString("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid" +
		"      atime      dtime      ctime                   rss                  swap\n")
	for _, s := range fs.kernel.IPC().Segments() {
		st := s.Stat()
		fmt.Fprintf(&b, "%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d %21d %21d\n",
			st.Key, st.ID, st.Mode, st.Size, st.CPID, st.LPID, st.NAttach, st.UID, st.GID, st.CUID, st.CGID,
			st.ATime, st.DTime, st.CTime, st.Resident, 0)
	}
	return b.Bytes()
}

package memfs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/sentry/vfs"
)

// inode is a file, whatever its names. All but pages is kept by fs.mu.
type inode struct {
	fs       *FS
	num      uint64
	mode     uint32 // with S_IF*
	uid, gid uint32
	rdev     uint64 // of a device
	nlink    uint32
	noLink   bool // an O_TMPFILE with O_EXCL: it never gets a name
	nameless bool // an O_TMPFILE that has no name yet
	atime    time.Time
	mtime    time.Time
	ctime    time.Time
	btime    time.Time // when it was made; zero: the lower FS's affair
	refs     int       // handles and open files, and clean names in a directory

	key     lowKey     // of the lower file that it is or was
	below   *below     // what of it is still the lower FS's; nil: nothing
	own     bool       // the attributes are ours, not below's
	kept    int        // entries that are kept; counted for lower files only
	view    *view      // what mappings of a regular file see; nil: pages
	copyMu  sync.Mutex // one copies; taken before mapsMu and fs.mu
	hidden  map[string]bool
	dropped bool // nobody can use it any more

	pages   *shmem.Pages      // of a regular file
	text    string            // of a symbolic link
	weight  int               // how many files text counts as
	xattrs  map[string][]byte // extended attributes; of a lower file only if own
	entries map[string]*entry // of a directory
	self    *entry            // a directory's only name; nil: the root's
	next    int64             // a directory's next entry.seq
}

// entry is a name in a directory. Open files keep the one that they were found by.
type entry struct {
	dir   *inode // nil: the root, or a file that never had one
	name  string
	inode *inode
	seq   int64 // where readdir finds it: never given again
	gone  bool
	refs  int  // holds
	clean bool // a lower name without a change: kept only while held
	low   bool // the lower directory has the name as well, and it is this file's
}

// name is a directory's only one; the root's is made up.
func (dir *inode) name() *entry {
	if dir.self != nil {
		return dir.self
	}
	return &entry{inode: dir}
}

// The first places of a directory are its own and its parent's.
const firstSeq = 2

// newInode makes a file that belongs to who; the caller has charged it. fs.mu is
// held, or fs is new.
func (fs *FS) newInode(mode uint32, who vfs.Caller) *inode {
	fs.last++
	now := fs.now()
	i := &inode{fs: fs, num: fs.last, mode: mode, uid: who.UID, gid: who.GID, nlink: 1, atime: now, mtime: now, ctime: now, btime: now}
	switch i.kind() {
	case unix.S_IFREG:
		i.pages = shmem.New(fs.mem)
		if fs.lower != nil {
			i.view = newView(i.pages)
		}
	case unix.S_IFDIR:
		i.entries, i.next = make(map[string]*entry), firstSeq
	}
	return i
}

func (i *inode) kind() uint32 { return i.mode & unix.S_IFMT }

// access says whether who may use i so: R_OK|W_OK|X_OK. Of a lower file that is as
// it was, what mmsh's own user may read or run is the lower FS's to say. fs.mu is
// held.
func (i *inode) access(who vfs.Caller, want uint32) error {
	if i.below != nil && !i.own && i.below.node != nil && who.UID != 0 && who.UID == i.fs.uid {
		if err := i.below.node.Access(want &^ unix.W_OK); err != nil {
			return err
		}
		want &= unix.W_OK
	}
	if who.UID == 0 { // CAP_DAC_OVERRIDE: all but running what nobody may run
		if want&unix.X_OK != 0 && i.kind() != unix.S_IFDIR && i.mode&0o111 == 0 {
			return fmt.Errorf("%w: mode %03o", unix.EACCES, i.mode&0o777)
		}
		return nil
	}
	bits := i.mode
	switch {
	case who.UID == i.uid:
		bits >>= 6
	case inGroup(who, i.gid):
		bits >>= 3
	}
	if want&^bits&7 != 0 {
		return fmt.Errorf("%w: mode %03o", unix.EACCES, i.mode&0o777)
	}
	return nil
}

func inGroup(who vfs.Caller, gid uint32) bool {
	return who.GID == gid || slices.Contains(who.Groups, gid)
}

// owns is EPERM unless who owns i or is root.
func (i *inode) owns(who vfs.Caller) error {
	if who.UID != 0 && who.UID != i.uid {
		return fmt.Errorf("%w: not the owner", unix.EPERM)
	}
	return nil
}

// stat is fstat(2). fs.mu is held.
func (i *inode) stat() unix.Stat_t {
	st := unix.Stat_t{
		Dev: i.fs.dev, Ino: i.num, Mode: i.mode, Nlink: uint64(i.nlink), Uid: i.uid, Gid: i.gid, Blksize: 4096,
		Atim: timespec(i.atime), Mtim: timespec(i.mtime), Ctim: timespec(i.ctime),
	}
	if i.below != nil {
		i.statBelow(&st)
		return st
	}
	st.Rdev = i.rdev
	switch i.kind() {
	case unix.S_IFREG:
		size, resident := i.pages.Usage()
		st.Size, st.Blocks = int64(size), int64(resident/512)
	case unix.S_IFLNK:
		st.Size = int64(len(i.text))
	case unix.S_IFDIR:
		const direntSize = 20 // tmpfs's BOGO_DIRENT_SIZE
		st.Size = direntSize * int64(2+len(i.entries))
	}
	return st
}

// Born implements vfs.Born.
func (n node) Born() (unix.Timespec, bool) {
	b := n.inode().btime // which never changes
	return timespec(b), !b.IsZero()
}

// Born implements vfs.Born.
func (f *file) Born() (unix.Timespec, bool) { return node{at: f.at}.Born() }

func timespec(t time.Time) unix.Timespec { return unix.NsecToTimespec(t.UnixNano()) }

// changed marks what is in i as changed now; fs.mu is held.
func (i *inode) changed() {
	i.mtime = i.fs.now()
	i.ctime = i.mtime
}

// add gives i the name in dir. fs.mu is held.
func (dir *inode) add(name string, i *inode) *entry {
	e := &entry{inode: i}
	i.kept++
	dir.place(e, name)
	return e
}

// place puts e into dir as name.
func (dir *inode) place(e *entry, name string) {
	e.dir, e.name, e.seq = dir, name, dir.next
	dir.next++
	dir.entries[name] = e
	if e.inode.kind() == unix.S_IFDIR {
		e.inode.self = e
		dir.countDirs(+1)
	}
	dir.changed()
}

// displace takes e, which is pinned, out of its directory, which keeps no trace of
// it but that a lower file is not to be seen.
func (e *entry) displace() {
	delete(e.dir.entries, e.name)
	if e.low {
		e.dir.hide(e.name)
		e.low = false
	}
	if e.inode.kind() == unix.S_IFDIR {
		e.dir.countDirs(-1)
	}
	e.dir.changed()
}

// countDirs changes how many directories dir's links count. File systems that do
// not count them have 1 for ever.
func (dir *inode) countDirs(n int) {
	if dir.nlink > 1 {
		dir.nlink += uint32(n)
	}
}

// hide makes sure that the lower directory's name is not seen any more.
func (dir *inode) hide(name string) {
	if dir.hidden == nil {
		dir.hidden = make(map[string]bool)
	}
	dir.hidden[name] = true
	dir.fs.used++ // who displaces has seen to it that it may
}

// remove ends e, which is pinned, for good: its file loses a name.
func (e *entry) remove() {
	e.displace()
	e.gone = true
	i := e.inode
	i.fs.used--
	i.kept--
	if i.kind() == unix.S_IFDIR {
		i.nlink = 0
	} else {
		i.nlink--
	}
	i.ctime = i.fs.now()
	i.dropIfUnused()
}

func (i *inode) dropIfUnused() {
	if i.refs != 0 {
		return
	}
	i.rest()
	if i.forgettable() && i.fs.known[i.key] == i {
		delete(i.fs.known, i.key)
	}
	if i.nlink != 0 && !i.fs.done || i.dropped {
		return
	}
	i.dropped = true
	i.dropXattrs()
	i.fs.used -= i.weight
	if i.key == (lowKey{}) || i.own {
		i.fs.used--
	}
	i.fs.used -= len(i.hidden)
	if i.pages != nil {
		i.pages.Drop()
	}
}

// clear drops all that is below the directory, for Close: files that are open or
// mapped stay till then.
func (i *inode) clear() {
	for _, e := range i.entries {
		if e.inode.kind() == unix.S_IFDIR {
			e.inode.clear()
		}
		e.inode.dropIfUnused()
	}
}

// path returns where e is, as maps and /proc/PID/fd show it. fs.mu is held.
func (e *entry) path() string {
	if e.dir == nil {
		if at := e.inode.fs.at; e.inode == e.inode.fs.root && at != "" {
			return at
		}
		if e.name != "" { // a memfd
			return "/" + e.name + " (deleted)"
		}
		return "/"
	}
	names := []string{e.name}
	for dir := e.dir; dir.self != nil; dir = dir.self.dir {
		names = append(names, dir.self.name)
	}
	names = append(names, e.inode.fs.at)
	slices.Reverse(names)
	full := strings.Join(names, "/")
	if e.gone {
		full += " (deleted)"
	}
	return full
}

// holds reports whether dir is i or below it.
func (i *inode) holds(dir *inode) bool {
	for dir != i && dir.self != nil {
		dir = dir.self.dir
	}
	return dir == i
}

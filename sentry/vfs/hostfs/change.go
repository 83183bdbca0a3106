package hostfs

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// asOurselves reports whether the host's answer to mmsh is the caller's as well.
func (n *node) asOurselves() bool { return n.who.UID == 0 || int(n.who.UID) == os.Geteuid() }

// may says whether the caller may use the file so, as far as the host will not say
// it itself: a guest that has given up privileges gets by the mode what is left to it.
func (n *node) may(want uint32) error {
	if n.asOurselves() {
		return nil
	}
	st, err := stat(n.fd)
	if err != nil {
		return err
	}
	bits := st.Mode
	switch {
	case n.who.UID == st.Uid:
		bits >>= 6
	case n.who.GID == st.Gid || slices.Contains(n.who.Groups, st.Gid):
		bits >>= 3
	}
	if want&^bits&7 != 0 {
		return fmt.Errorf("%w: mode %03o", unix.EACCES, st.Mode&0o777)
	}
	return nil
}

// mayReach checks the directories that path leads through, for a caller whose rights
// are not mmsh's. It ends at a symbolic link, as Walk does.
func (fs *FS) mayReach(path string, who vfs.Caller) error {
	if fs.rw == nil || (&node{who: who}).asOurselves() {
		return nil
	}
	for end := 0; path != ""; {
		fd, err := fs.handle(path[:end])
		if err != nil {
			return nil // Walk says it
		}
		n := &node{fs: fs, fd: fd, who: who}
		st, err := stat(fd)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = n.may(unix.X_OK)
		}
		n.Close()
		next := strings.IndexByte(path[end+1:], '/')
		if err != nil || next < 0 {
			return err
		}
		end += 1 + next
	}
	return nil
}

// mayOwn is EPERM unless the caller owns the file or is root.
func (n *node) mayOwn() error {
	if n.asOurselves() {
		return nil
	}
	st, err := stat(n.fd)
	if err == nil && st.Uid != n.who.UID {
		err = fmt.Errorf("%w: not the owner", unix.EPERM)
	}
	return err
}

// Stat implements vfs.Node: what the page cache knows better, it says.
func (n *editable) Stat() (unix.Stat_t, error) { return n.fs.stat(n.fd) }

// Access implements vfs.Node.
func (n *editable) Access(mode uint32) error {
	if err := n.may(mode); err != nil {
		return err
	}
	return unix.Faccessat(n.fd, "", mode, unix.AT_EMPTY_PATH|unix.AT_EACCESS)
}

// Node implements vfs.Linked, for handles that are open with O_PATH.
func (n *editable) Node(who vfs.Caller) vfs.Node { return n.fs.again(n.fd, n.path, who) }

// Path implements vfs.Pather.
func (n *editable) Path() string { return n.fs.pathOf(n.fd, n.path) }

// change lets the host change attributes, then tells the page cache of them.
func (n *editable) change(do func() error) error {
	if err := do(); err != nil {
		return err
	}
	st, err := stat(n.fd)
	if err != nil {
		return err
	}
	_, err = n.fs.cache.Change(st.Dev, st.Ino, func(f *pagecache.File) error {
		f.UpdateAttr(attrOf(&st))
		f.TouchChangeTime()
		return nil
	})
	return err
}

// Chmod implements vfs.Changer.
func (n *editable) Chmod(mode uint32) error {
	if err := n.mayOwn(); err != nil {
		return err
	}
	return n.change(func() error { return chmod(n.fd, mode) })
}

// chmod sets the mode of fd's file, of whatever kind the descriptor is.
func chmod(fd int, mode uint32) error {
	st, err := stat(fd)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return fmt.Errorf("%w: a symbolic link's mode", unix.EOPNOTSUPP)
	}
	return unix.Fchmodat(unix.AT_FDCWD, procPath(fd), mode&0o7777, 0)
}

// Chown implements vfs.Changer.
func (n *editable) Chown(uid, gid int32) error {
	if !n.asOurselves() {
		st, err := stat(n.fd)
		if err != nil {
			return err
		}
		mine := n.who.UID == st.Uid
		groups := gid == -1 || uint32(gid) == st.Gid || uint32(gid) == n.who.GID || slices.Contains(n.who.Groups, uint32(gid))
		if uid != -1 && (!mine || uint32(uid) != st.Uid) || gid != -1 && (!mine || !groups) {
			return fmt.Errorf("%w: only root gives files away", unix.EPERM)
		}
	}
	return n.change(func() error { return unix.Fchownat(n.fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH) })
}

// Utimes implements vfs.Changer. Now is the guest's.
func (n *editable) Utimes(times [2]unix.Timespec) error {
	err := n.mayOwn()
	if err != nil && times[0].Nsec == unix.UTIME_NOW && times[1].Nsec == unix.UTIME_NOW {
		err = n.may(unix.W_OK)
	}
	if err != nil {
		return err
	}
	st, err := stat(n.fd)
	if err != nil {
		return err
	}
	now := unix.NsecToTimespec(n.fs.rw.Now().UnixNano())
	for i := range times {
		if times[i].Nsec == unix.UTIME_NOW {
			times[i] = now
		}
	}
	cached, err := n.fs.cache.Change(st.Dev, st.Ino, func(f *pagecache.File) error {
		return f.SetTimestamps(setTime(times[0]), setTime(times[1]))
	})
	if cached {
		return err
	}
	return unix.UtimesNanoAt(n.fd, "", times[:], unix.AT_EMPTY_PATH)
}

func setTime(t unix.Timespec) pagecache.SetTime {
	return pagecache.SetTime{Set: t.Nsec != unix.UTIME_OMIT, At: t.Nano()}
}

// stat is fstat(2) of fd's file as guests are to see it.
func (fs *FS) stat(fd int) (unix.Stat_t, error) {
	st, err := stat(fd)
	if err != nil || fs.rw == nil {
		return st, err
	}
	if a, ok := fs.cache.Attr(st.Dev, st.Ino); ok {
		st.Size = int64(a.Size)
		st.Atim, st.Mtim, st.Ctim = unix.NsecToTimespec(a.ATime), unix.NsecToTimespec(a.MTime), unix.NsecToTimespec(a.CTime)
		st.Blocks += int64(fs.cache.Delayed(st.Dev, st.Ino) / 512)
	}
	return st, nil
}

// attrOf is what the host says of a file, for the page cache.
func attrOf(st *unix.Stat_t) pagecache.Attr {
	return pagecache.Attr{
		Perms: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Links: uint32(st.Nlink), Size: uint64(st.Size),
		ATime: st.Atim.Nano(), MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(),
	}
}

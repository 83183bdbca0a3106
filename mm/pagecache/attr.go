package pagecache

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Attr returns the file's attributes as its users see them. ok is false if f is
// open for reading only, or the host keeps it: then the Backing is asked.
func (f *File) Attr() (a Attr, ok bool) {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	w := f.writer()
	if w == nil || f.host != nil {
		return Attr{}, false
	}
	f.noteMappedWrites()
	return w.attr, true
}

// holed is a Backing that knows its holes.
type holed interface {
	// Hole returns how many bytes of whole pages in [off, end) it has no room for yet.
	Hole(off, end uint64) uint64
}

// Delayed returns how many bytes of dirty pages lie in holes of the Backing: those for
// which it will have to find room. Linux counts them as if it had (st_blocks).
func (f *File) Delayed() uint64 {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	w := f.writer()
	b, ok := f.backing.(holed)
	if w == nil || f.host != nil || !ok {
		return 0
	}
	f.dataMu.RLock()
	end, _ := memmap.PageRoundUp(w.attr.Size) // of a file: it cannot overflow
	dirty := f.dirty.in(memmap.MappableRange{End: memmap.MappableOffset(end)})
	f.dataMu.RUnlock()
	n := uint64(0)
	for _, seg := range dirty {
		n += b.Hole(uint64(seg.Start), uint64(seg.End))
	}
	return n
}

// SetPermissions sets the mode's bits 07777, in the Backing first: if that fails
// nothing is changed.
func (f *File) SetPermissions(perms uint32) error {
	return f.change(AttrPerms, func(a *Attr) { a.Perms = perms })
}

// SetOwner sets the ids that are not nil, in the Backing first: if that fails
// nothing is changed.
func (f *File) SetOwner(uid, gid *uint32) error {
	mask := AttrMask(0)
	if uid != nil {
		mask |= AttrUID
	}
	if gid != nil {
		mask |= AttrGID
	}
	return f.change(mask, func(a *Attr) {
		if uid != nil {
			a.UID = *uid
		}
		if gid != nil {
			a.GID = *gid
		}
	})
}

// SetTime is a new value of a time: left out, now, or what is given.
type SetTime struct {
	Set, Now bool
	At       int64 // nanoseconds; if Set and not Now
}

// SetTimestamps sets access and modification time, in the Backing first: if that
// fails nothing is changed. Now is our own clock's, not the Backing's.
func (f *File) SetTimestamps(atime, mtime SetTime) error {
	mask := AttrMask(0)
	if atime.Set {
		mask |= AttrATime
	}
	if mtime.Set {
		mask |= AttrMTime
	}
	return f.change(mask, func(a *Attr) {
		now := f.w.now()
		atime.apply(&a.ATime, now)
		mtime.apply(&a.MTime, now)
	})
}

func (t SetTime) apply(to *int64, now int64) {
	switch {
	case t.Set && t.Now:
		*to = now
	case t.Set:
		*to = t.At
	}
}

// change sets the attributes in mask, in the Backing first, and touches ctime.
func (f *File) change(mask AttrMask, set func(*Attr)) error {
	if mask == 0 {
		return nil
	}
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	f.dataMu.Lock() // as attr is assigned with its Size
	defer f.dataMu.Unlock()
	if f.w == nil {
		return fmt.Errorf("attributes: %w: the file is open for reading only", unix.EROFS)
	}
	a := f.w.attr
	set(&a)
	if err := f.w.out.SetMaskedAttributes(mask, a); err != nil {
		return err
	}
	f.w.attr = a
	f.w.unsaved &^= mask
	f.touch(AttrCTime)
	return nil
}

// IncLinks counts a name that the file was given.
func (f *File) IncLinks() { f.countLinks(1) }

// DecLinks counts a name that was taken from it.
func (f *File) DecLinks() { f.countLinks(^uint32(0)) }

func (f *File) countLinks(n uint32) {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	if w := f.writer(); w != nil {
		w.attr.Links += n
		f.touch(AttrCTime)
	}
}

// TouchAccessTime notes that the file was read, unless it is to be left alone.
func (f *File) TouchAccessTime() {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	if w := f.writer(); w != nil && w.accessed() {
		f.touch(AttrATime)
	}
}

// TouchChangeTime notes that the file's attributes were changed.
func (f *File) TouchChangeTime() {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	if f.writer() != nil {
		f.touch(AttrCTime)
	}
}

// accessed reports whether a read changes the access time: with RelATime only if
// the file has changed since it was last read, or a day has passed.
func (w *writable) accessed() bool {
	const day = int64(24 * 3600 * 1e9)
	a := &w.attr
	return !w.noATime && (!w.relATime || a.ATime <= a.MTime || a.ATime <= a.CTime || w.now()-a.ATime >= day)
}

// TouchModificationTime notes that the file was changed.
func (f *File) TouchModificationTime() {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	if f.writer() != nil {
		f.touch(AttrMTime | AttrCTime)
	}
}

// noteMappedWrites gives the file the time at which mappings last made pages dirty.
// attrMu is held, and f.w is there.
func (f *File) noteMappedWrites() {
	at := f.w.mapped.Swap(0)
	if at == 0 {
		return
	}
	f.w.attr.MTime, f.w.attr.CTime = at, at
	f.w.unsaved |= AttrMTime | AttrCTime
}

// touch sets the times in mask to now. attrMu is held, and f.w is there. A file that
// the host keeps has the host's.
func (f *File) touch(mask AttrMask) {
	if f.host != nil {
		return
	}
	now := f.w.now()
	for _, t := range []struct {
		mask AttrMask
		at   *int64
	}{{AttrATime, &f.w.attr.ATime}, {AttrMTime, &f.w.attr.MTime}, {AttrCTime, &f.w.attr.CTime}} {
		if mask&t.mask != 0 {
			*t.at = now
		}
	}
	f.w.unsaved |= mask
}

// UpdateAttr takes over attributes as the Backing has them now, but for those that
// it has not been told yet. That somebody else made the file shorter is not
// followed, as that would drop pages: Truncate does that.
func (f *File) UpdateAttr(a Attr) {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.w == nil || f.host != nil {
		return
	}
	old, unsaved := f.w.attr, f.w.unsaved
	keep(unsaved&AttrPerms, &a.Perms, old.Perms)
	keep(unsaved&AttrUID, &a.UID, old.UID)
	keep(unsaved&AttrGID, &a.GID, old.GID)
	keep(unsaved&AttrATime, &a.ATime, old.ATime)
	keep(unsaved&AttrMTime, &a.MTime, old.MTime)
	keep(unsaved&AttrCTime, &a.CTime, old.CTime)
	if unsaved&AttrSize != 0 || a.Size <= old.Size || f.zeroTail(a.Size) != nil {
		a.Size = old.Size
	}
	f.w.attr = a
}

// keep sets to to old if unsaved is not 0.
func keep[T any](unsaved AttrMask, to *T, old T) {
	if unsaved != 0 {
		*to = old
	}
}

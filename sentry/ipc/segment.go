package ipc

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

// What a mode says besides permissions: SHM_DEST and SHM_LOCKED.
const (
	modeDest   = 0o1000
	modeLocked = 0o2000
)

// Segment is shared memory with an id. It is the Mappable of all its attachments.
type Segment struct {
	*shmem.Pages
	table *Table
	id    int32
	size  uint64 // bytes, as asked for
	pages uint64

	mu          sync.Mutex
	stat        Stat
	attachments int // that are referred to
}

// Stat is what shmctl's IPC_STAT tells; times are seconds.
type Stat struct {
	ID                   int32
	Key                  int32
	UID, GID, CUID, CGID uint32
	Mode                 uint32 // SHM_DEST and SHM_LOCKED included
	Size                 uint64
	ATime, DTime, CTime  int64
	CPID, LPID           int32
	NAttach              uint64
	Resident             uint64 // bytes
}

func (s *Segment) index() int32 { return s.id & (1<<indexBits - 1) }

// ID returns the segment's id.
func (s *Segment) ID() int32 { return s.id }

// Key returns the key; a segment that is to be removed has none any more.
func (s *Segment) Key() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stat.Key
}

// Stat returns what is known of the segment. It asks all who map it.
func (s *Segment) Stat() Stat {
	s.mu.Lock()
	st := s.stat
	s.mu.Unlock()
	_, st.Resident = s.Usage()
	st.ID, st.Size = s.id, s.size
	for _, space := range s.Spaces() {
		if m, ok := space.(interface{ MappingsOf(memmap.Mappable) int }); ok {
			st.NAttach += uint64(m.MappingsOf(s))
		}
	}
	return st
}

// May is EACCES unless who may do what flags ask: Linux's ipcperms.
func (s *Segment) May(op string, who Caller, flags uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := (flags>>6 | flags>>3 | flags) & 0o7
	granted := s.stat.Mode
	switch {
	case who.UID == s.stat.CUID || who.UID == s.stat.UID:
		granted >>= 6
	case inGroup(who, s.stat.CGID) || inGroup(who, s.stat.GID):
		granted >>= 3
	}
	if want&^granted != 0 && !who.Owner {
		return memmap.Refuse(op, unix.EACCES, "segment %d has mode %03o and belongs to user %d", s.id, s.stat.Mode&0o777, s.stat.UID)
	}
	return nil
}

func inGroup(who Caller, gid uint32) bool { return who.GID == gid || slices.Contains(who.Groups, gid) }

// AddMapping implements memmap.Mappable.
func (s *Segment) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	s.mu.Lock()
	s.stat.ATime = s.table.now().Unix()
	s.mu.Unlock()
	return s.Pages.AddMapping(ms, ar, off, writable)
}

// CopyMapping implements memmap.Mappable.
func (s *Segment) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return s.AddMapping(ms, dst, off, writable)
}

// RemoveMapping implements memmap.Mappable. The process that let go is the last one to
// have used the segment, be it by its end.
func (s *Segment) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	s.mu.Lock()
	s.stat.DTime = s.table.now().Unix()
	if p, ok := ms.(interface{ PID() int32 }); ok {
		s.stat.LPID = p.PID()
	}
	s.mu.Unlock()
	s.Pages.RemoveMapping(ms, ar, off, writable)
}

// Attach is shmat(2)'s part of a segment: how it is to be mapped. flags are SHM_RDONLY
// and SHM_EXEC. The caller owns a reference on the attachment.
//
// Errors: EINVAL no such segment; EACCES.
func (t *Table) Attach(who Caller, id, flags int32) (*Attachment, memmap.MMapOpts, error) {
	s, err := t.ByID(id)
	if err != nil {
		return nil, memmap.MMapOpts{}, err
	}
	want, perms, most, mode := uint32(0o666), memmap.ReadWrite, memmap.AnyAccess, unix.O_RDWR
	if flags&unix.SHM_RDONLY != 0 {
		want, perms, most, mode = 0o444, memmap.Read, memmap.ReadExecute, unix.O_RDONLY
	}
	if flags&execute != 0 {
		want, perms.Execute = want|0o111, true
	}
	if err := s.May("shmat", who, want); err != nil {
		return nil, memmap.MMapOpts{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[id] != s {
		return nil, memmap.MMapOpts{}, memmap.Refuse("shmat", unix.EIDRM, "segment %d was removed", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attachments++
	s.stat.LPID = who.PID
	a := &Attachment{seg: s, mode: mode, name: fmt.Sprintf("/SYSV%08x (deleted)", uint32(s.stat.Key))}
	a.refs.Store(1)
	return a, memmap.MMapOpts{Length: s.size, Mappable: s, Identity: a, Perms: perms, MaxPerms: most}, nil
}

// Attachment is one shmat: the identity of the mapping that it made and of what has
// become of that.
type Attachment struct {
	seg  *Segment
	name string
	mode int // O_RDONLY or O_RDWR
	refs atomic.Int64
}

// IncRef implements memmap.MappingIdentity.
func (a *Attachment) IncRef() { a.refs.Add(1) }

// DecRef implements memmap.MappingIdentity. With the last attachment goes a segment
// that was removed meanwhile.
func (a *Attachment) DecRef() {
	switch n := a.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("ipc: a reference on an attachment too many is dropped")
	}
	s := a.seg
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.mu.Lock()
	s.attachments--
	gone := s.attachments == 0 && s.stat.Mode&modeDest != 0
	s.mu.Unlock()
	if gone {
		s.table.remove(s)
	}
}

// AttachedSize says how much shmdt(2) lets go of, in bytes; that the identity has this
// method says that it is an attachment (package mm).
func (a *Attachment) AttachedSize() uint64 { return a.seg.pages * memmap.PageSize }

// MappedName implements memmap.MappingIdentity.
func (a *Attachment) MappedName() string { return a.name }

// DeviceID implements memmap.MappingIdentity.
func (a *Attachment) DeviceID() uint64 { return shmem.Device }

// InodeID implements memmap.MappingIdentity.
func (a *Attachment) InodeID() uint64 { return uint64(a.seg.id) }

// OpenFlags says how the file behind the memory is open.
func (a *Attachment) OpenFlags() int { return a.mode }

// Msync implements memmap.MappingIdentity: there is nowhere to write it.
func (a *Attachment) Msync(memmap.MappableRange) error { return nil }

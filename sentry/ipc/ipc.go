// Package ipc is System V shared memory: which segments there are, under which key,
// who may use them, and when. Their pages are mm/shmem's.
//
// ipc.go is the table of segments, segment.go one of them and what memory managers see
// of it, control.go what shmctl changes.
//
// Locks: Table.mu is taken with no memory manager's lock held, and none is called
// under it. Segment.mu is a leaf.
package ipc

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/mm/shmem"
)

// What Linux allows: shmmni, shmmin, shmmax and shmall.
const (
	MaxSegments = 4096
	MinSize     = 1
	MaxSize     = ^uint64(0) - 1<<24 // bytes of a segment
	MaxPages    = ^uint64(0) - 1<<24 // of all
)

const (
	indexBits = 15 // of an id; above them is how often indexes came round

	// hugeTLB is SHM_HUGETLB.
	hugeTLB = 0o4000
	// noReserve is SHM_NORESERVE.
	noReserve = 0o10000
	// execute is SHM_EXEC.
	execute = 0o100000
)

// Caller is who asks.
type Caller struct {
	PID      int32
	UID, GID uint32 // effective
	Groups   []uint32
	Owner    bool // CAP_IPC_OWNER: permissions do not bind
	Admin    bool // CAP_SYS_ADMIN: may change and remove what others own
	Lock     bool // CAP_IPC_LOCK
}

// Table is all segments of a world.
type Table struct {
	mem *pgalloc.MemoryFile
	now func() time.Time

	mu    sync.Mutex
	byID  map[int32]*Segment
	next  int32 // the index that is tried next
	round int32 // how often they came round
	pages uint64
}

// New returns an empty table whose segments' pages lie in mem. now is the guests' clock.
func New(mem *pgalloc.MemoryFile, now func() time.Time) *Table {
	return &Table{mem: mem, now: now, byID: make(map[int32]*Segment)}
}

// Close drops all segments that nobody has attached.
func (t *Table) Close() {
	for _, s := range t.Segments() {
		t.mu.Lock()
		t.condemn(s)
		t.mu.Unlock()
	}
}

// Segments returns the segments by index.
func (t *Table) Segments() []*Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Segment, 0, len(t.byID))
	for _, s := range t.byID {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Segment) int { return int(a.index()) - int(b.index()) })
	return all
}

// ByID returns the segment id: EINVAL.
func (t *Table) ByID(id int32) (*Segment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		return s, nil
	}
	return nil, memmap.Refuse("shm", unix.EINVAL, "there is no segment %d", id)
}

// ByIndex returns the segment at index, as SHM_STAT counts them: EINVAL.
func (t *Table) ByIndex(index int32) (*Segment, error) {
	for _, s := range t.Segments() {
		if s.index() == index&(1<<indexBits-1) {
			return s, nil
		}
	}
	return nil, memmap.Refuse("shmctl", unix.EINVAL, "there is no segment at index %d", index)
}

// Get is shmget(2): the id of the segment with that key, which flags (IPC_CREAT,
// IPC_EXCL and a mode) may have made.
//
// Errors: ENOENT; EEXIST; EINVAL a size that cannot be or is more than there is;
// EACCES; ENOSPC; ENOMEM overcommit; ENOSYS huge pages.
func (t *Table) Get(who Caller, key int32, size uint64, flags int32) (int32, error) {
	const op = "shmget"
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byKey(key)
	switch {
	case s == nil && key != unix.IPC_PRIVATE && flags&unix.IPC_CREAT == 0:
		return 0, memmap.Refuse(op, unix.ENOENT, "there is no segment with key %#x", uint32(key))
	case s == nil:
		return t.create(who, key, size, flags)
	case flags&unix.IPC_CREAT != 0 && flags&unix.IPC_EXCL != 0:
		return 0, memmap.Refuse(op, unix.EEXIST, "segment %d has key %#x", s.id, uint32(key))
	case size > s.size:
		return 0, memmap.Refuse(op, unix.EINVAL, "segment %d has %#x bytes, not %#x", s.id, s.size, size)
	}
	return s.id, s.May(op, who, uint32(flags))
}

// byKey returns the segment with that key. t.mu is held.
func (t *Table) byKey(key int32) *Segment {
	if key == unix.IPC_PRIVATE {
		return nil
	}
	for _, s := range t.byID {
		if s.Key() == key {
			return s
		}
	}
	return nil
}

// create makes a segment. t.mu is held.
func (t *Table) create(who Caller, key int32, size uint64, flags int32) (int32, error) {
	const op = "shmget"
	pages := size/memmap.PageSize + (size%memmap.PageSize+memmap.PageSize-1)/memmap.PageSize
	switch {
	case size < MinSize || size > MaxSize:
		return 0, memmap.Refuse(op, unix.EINVAL, "a segment of %#x bytes", size)
	case pages > MaxPages-t.pages:
		return 0, memmap.Refuse(op, unix.ENOSPC, "all segments have more than %#x pages", uint64(MaxPages))
	case flags&hugeTLB != 0:
		return 0, memmap.Refuse(op, unix.ENOSYS, "the sandbox has no huge pages")
	case size > shmem.MaxSize-memmap.PageSize:
		return 0, memmap.Refuse(op, unix.EINVAL, "a segment of %#x bytes is longer than any file", size)
	case len(t.byID) >= MaxSegments:
		return 0, memmap.Refuse(op, unix.ENOSPC, "there are %d segments", MaxSegments)
	}
	memory, err := shmem.NewFixed(t.mem, size, flags&noReserve != 0)
	if err != nil {
		return 0, err
	}
	s := &Segment{
		Pages: memory, table: t, id: t.newID(), size: size, pages: pages,
		stat: Stat{
			Key: key, UID: who.UID, GID: who.GID, CUID: who.UID, CGID: who.GID, Mode: uint32(flags) & 0o777,
			CPID: who.PID, CTime: t.now().Unix(),
		},
	}
	t.byID[s.id] = s
	t.pages += pages
	return s.id, nil
}

// newID returns an id that is not in use: as on Linux indexes go round, and each round
// has ids of its own. t.mu is held; there are fewer than MaxSegments.
func (t *Table) newID() int32 {
	for {
		index := t.next
		if t.next++; t.next == MaxSegments {
			t.next, t.round = 0, (t.round+1)&(1<<(31-indexBits)-1)
		}
		if !t.indexInUse(index) {
			return t.round<<indexBits | index
		}
	}
}

func (t *Table) indexInUse(index int32) bool {
	for _, s := range t.byID {
		if s.index() == index {
			return true
		}
	}
	return false
}

// condemn removes s, at once or when the last attachment goes. t.mu is held.
func (t *Table) condemn(s *Segment) {
	s.mu.Lock()
	s.stat.Mode |= modeDest
	s.stat.Key = unix.IPC_PRIVATE
	unused := s.attachments == 0
	s.mu.Unlock()
	if unused {
		t.remove(s)
	}
}

// remove forgets s, which nobody has attached. t.mu is held.
func (t *Table) remove(s *Segment) {
	if t.byID[s.id] != s {
		return
	}
	delete(t.byID, s.id)
	t.pages -= s.pages
	s.Drop()
}

package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	// mapType is the part of mmap's flags that says what kind of mapping is asked
	// for; it is a number, not a set of bits.
	mapType = 0xf

	mapDroppable = 0x08

	maxErrno = 4096 // errnos are below

	// readImpliesExec is personality's READ_IMPLIES_EXEC.
	readImpliesExec = 0x0400000

	// legacyMapFlags are all flags that MAP_SHARED_VALIDATE lets pass: those that
	// kernels knew when it was invented.
	legacyMapFlags = unix.MAP_SHARED | unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_ANONYMOUS |
		unix.MAP_DENYWRITE | unix.MAP_EXECUTABLE | unix.MAP_GROWSDOWN | unix.MAP_LOCKED |
		unix.MAP_NORESERVE | unix.MAP_POPULATE | unix.MAP_NONBLOCK | unix.MAP_STACK |
		unix.MAP_HUGETLB | unix.MAP_32BIT | 0x80 /* MAP_ABOVE4G */ |
		unix.MAP_HUGE_2MB | unix.MAP_HUGE_1GB
)

// mmap(addr, length, prot, flags, fd, offset). Linux: sys_mmap, ksys_mmap_pgoff,
// do_mmap, in their order.
func mmap(t *sentry.Task, a sentry.Args) (uintptr, error) {
	r := mmapRequest{
		addr: addr(a[0]), length: a[1], prot: int(int32(a[2])), flags: int(int32(a[3])), fd: i32(a[4]), offset: a[5],
	}
	if r.offset%memmap.PageSize != 0 {
		return 0, invalid("mmap", "offset %#x is not page-aligned", r.offset)
	}
	if r.prot&unix.PROT_READ != 0 && t.Process().Personality()&readImpliesExec != 0 {
		r.prot |= unix.PROT_EXEC
	}
	if r.flags&unix.MAP_ANONYMOUS != 0 {
		return r.anonymous(t)
	}
	d, err := getFile(t, r.fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return r.file(t, d)
}

// mmapRequest is mmap's arguments.
type mmapRequest struct {
	addr        memmap.Addr
	length      uint64
	prot, flags int
	fd          int32
	offset      uint64
}

// opts are the options that all kinds of mapping share.
func (r *mmapRequest) opts() memmap.MMapOpts {
	noReplace := r.flags&unix.MAP_FIXED_NOREPLACE != 0
	fixed := r.flags&unix.MAP_FIXED != 0
	o := memmap.MMapOpts{
		Length:    r.length,
		Addr:      r.addr,
		Fixed:     fixed || noReplace,
		Unmap:     fixed && !noReplace,
		NoReplace: noReplace,
		Map32Bit:  r.flags&unix.MAP_32BIT != 0,
		Perms:     memmap.AccessFromProt(r.prot),
		MaxPerms:  memmap.AnyAccess,
		GrowsDown: r.flags&unix.MAP_GROWSDOWN != 0,
		Stack:     r.flags&unix.MAP_STACK != 0,
		NoReserve: r.flags&unix.MAP_NORESERVE != 0,
		// MAP_NONBLOCK with MAP_POPULATE populates nothing (mmap(2)).
		Populate: r.flags&(unix.MAP_POPULATE|unix.MAP_NONBLOCK) == unix.MAP_POPULATE,
	}
	if r.flags&unix.MAP_LOCKED != 0 {
		o.MLock = memmap.MLockEager
	}
	return o
}

// placeError is what is wrong with length and address, whatever is to be mapped
// there: Linux looks for room before it looks at the kind of mapping.
func (r *mmapRequest) placeError(t *sentry.Task) error {
	length, ok := memmap.PageRoundUp(r.length)
	fixed := r.flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0
	switch {
	case r.length == 0:
		return invalid("mmap", "length is 0")
	case !ok || length > taskSize:
		return memmap.Refuse("mmap", unix.ENOMEM, "%#x bytes are more than all addresses", r.length)
	case !fixed:
		return nil
	case -r.addr < maxErrno && r.addr != 0:
		// get_unmapped_area returns a fixed address as it is, and so high a one is an
		// errno to its caller.
		return memmap.Refuse("mmap", unix.Errno(-r.addr), "%v is beyond user addresses", r.addr)
	case uint64(r.addr) > taskSize-length:
		return memmap.Refuse("mmap", unix.ENOMEM, "%v is beyond user addresses", r.addr)
	case !r.addr.IsPageAligned():
		return invalid("mmap", "%v is not page-aligned", r.addr)
	}
	ar := memmap.AddrRange{Start: r.addr, End: r.addr + memmap.Addr(length)}
	if r.flags&unix.MAP_FIXED_NOREPLACE != 0 && len(t.MM().VMAs(ar)) != 0 {
		return memmap.Refuse("mmap", unix.EEXIST, "%v is in use", ar)
	}
	return nil
}

// orNoRoom is err, which refuses the mapping, unless there would be no room for it
// either: Linux looks for that first.
func (r *mmapRequest) orNoRoom(t *sentry.Task, err error) error {
	fixed := r.flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0
	if !fixed && r.length > t.MM().Stats().LargestGap {
		return memmap.Refuse("mmap", unix.ENOMEM, "there is no room for %#x bytes", r.length)
	}
	return err
}

// anonymous maps memory of no file.
func (r *mmapRequest) anonymous(t *sentry.Task) (uintptr, error) {
	if r.flags&unix.MAP_HUGETLB != 0 {
		return 0, r.hugePages(t)
	}
	if err := r.placeError(t); err != nil {
		return 0, err
	}
	o := r.opts()
	switch r.flags & mapType {
	case unix.MAP_PRIVATE:
		o.Private = true
	case unix.MAP_SHARED:
		if o.GrowsDown {
			return 0, invalid("mmap", "shared memory cannot grow down")
		}
		return r.sharedAnonymous(t, o)
	case mapDroppable:
		if r.flags&(unix.MAP_LOCKED|unix.MAP_GROWSDOWN) != 0 {
			return 0, r.orNoRoom(t, invalid("mmap", "what may be dropped is neither locked nor a stack"))
		}
		o.Private, o.Droppable = true, true
	default:
		return 0, r.orNoRoom(t, invalid("mmap", "flags %#x name no kind of anonymous mapping", r.flags))
	}
	at, err := t.MM().MMap(t.Actor("mmap"), o)
	return uintptr(at), err
}

// sharedAnonymous maps fresh memory that children will share: also what mapping
// /dev/zero comes to, where an offset leaves the end of the mapping without memory.
func (r *mmapRequest) sharedAnonymous(t *sentry.Task, o memmap.MMapOpts) (uintptr, error) {
	size, _ := memmap.PageRoundUp(r.length) // placeError saw the overflow
	shared, err := shmem.NewAnonymous(t.Kernel().Config().Memory, size, o.NoReserve)
	if err != nil {
		return 0, err
	}
	defer shared.DecRef()
	o.Mappable, o.Identity = shared, shared
	at, err := t.MM().MMap(t.Actor("mmap"), o)
	return uintptr(at), err
}

// hugePages is the answer of a host that has huge pages and none reserved. To
// Linux they are a file, which nobody ever sees.
func (r *mmapRequest) hugePages(t *sentry.Task) error {
	const shift, mask = 26, 0x3f // MAP_HUGE_SHIFT, MAP_HUGE_MASK
	switch log := r.flags >> shift & mask; log {
	case 0, 21, 30:
	default:
		return invalid("mmap", "there are no huge pages of 2^%d bytes", log)
	}
	if err := r.placeError(t); err != nil {
		return err
	}
	switch kind := r.flags & mapType; {
	case kind != unix.MAP_PRIVATE && kind != unix.MAP_SHARED && kind != unix.MAP_SHARED_VALIDATE:
		return invalid("mmap", "flags %#x name no kind of mapping", r.flags)
	case r.flags&unix.MAP_GROWSDOWN != 0:
		return invalid("mmap", "huge pages cannot grow down")
	}
	return memmap.Refuse("mmap", unix.ENOMEM, "no huge pages are reserved")
}

// file maps d.
func (r *mmapRequest) file(t *sentry.Task, d *vfs.Description) (uintptr, error) {
	if r.flags&unix.MAP_HUGETLB != 0 {
		return 0, invalid("mmap", "MAP_HUGETLB is for anonymous memory")
	}
	if err := r.placeError(t); err != nil {
		return 0, err
	}
	o := r.opts()
	o.Offset = memmap.MappableOffset(r.offset)
	if err := r.configure(d, &o); err != nil {
		return 0, r.orNoRoom(t, err)
	}
	if o.Mappable == nil && !o.Private {
		return r.sharedAnonymous(t, o)
	}
	at, err := t.MM().MMap(t.Actor("mmap"), o)
	return uintptr(at), err
}

// configure sets what d's kind and mode make of o, or says why d cannot be mapped
// so.
func (r *mmapRequest) configure(d *vfs.Description, o *memmap.MMapOpts) error {
	if err := r.checkEnd(d); err != nil {
		return err
	}
	shared := false
	switch r.flags & mapType {
	case unix.MAP_PRIVATE:
	case unix.MAP_SHARED_VALIDATE:
		known := mapType | legacyMapFlags
		if isKind(d, unix.S_IFREG) {
			known |= unix.MAP_SYNC
		}
		if extra := r.flags &^ known; extra != 0 {
			return memmap.Refuse("mmap", unix.EOPNOTSUPP, "flags %#x are not supported for this file", extra)
		}
		shared = true
	case unix.MAP_SHARED:
		shared = true
	default:
		return invalid("mmap", "flags %#x name no kind of mapping", r.flags)
	}
	if shared && o.Perms.Write && !writable(d) {
		return memmap.Refuse("mmap", unix.EACCES, "a shared writable mapping needs a file opened for writing")
	}
	if !readable(d) {
		return memmap.Refuse("mmap", unix.EACCES, "the file is not open for reading")
	}
	if o.Perms.Execute && isKind(d, unix.S_IFIFO) {
		return memmap.Refuse("mmap", unix.EPERM, "pipes lie in a file system without programs")
	}
	m, ok := d.File().(vfs.Mapper)
	if !ok {
		return memmap.Refuse("mmap", unix.ENODEV, "%s cannot be mapped", d.Path())
	}
	if o.GrowsDown {
		return invalid("mmap", "a file's mapping cannot grow down")
	}
	if r.flags&unix.MAP_SYNC != 0 && isKind(d, unix.S_IFREG) {
		return memmap.Refuse("mmap", unix.EOPNOTSUPP, "%s does not lie in persistent memory", d.Path())
	}
	o.Private = !shared
	if err := m.ConfigureMMap(o); err != nil {
		return err
	}
	if shared && !writable(d) {
		o.MaxPerms.Write = false
	}
	return nil
}

// checkEnd is EOVERFLOW for a mapping that ends where no offset of the file can
// be: for a regular file those are signed.
func (r *mmapRequest) checkEnd(d *vfs.Description) error {
	length, _ := memmap.PageRoundUp(r.length)
	end := r.offset + length
	switch {
	case int64(r.offset) >= 0 && int64(end) >= 0:
		return nil
	case end > r.offset && !isKind(d, unix.S_IFREG):
		return nil
	}
	return memmap.Refuse("mmap", unix.EOVERFLOW, "offset %#x and length %#x leave the file's range", r.offset, r.length)
}

// isKind reports whether d is a file of that S_IF* kind.
func isKind(d *vfs.Description, kind uint32) bool {
	st, err := d.Stat()
	return err == nil && st.Mode&unix.S_IFMT == kind
}

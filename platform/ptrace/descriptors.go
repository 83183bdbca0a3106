package ptrace

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// descriptors knows which of our descriptors the stubs have, and under what
// number. Any goroutine may look; who holds the zygote may change it. What is mapped
// stays mapped without a descriptor, so of many the stubs keep those used last.
type descriptors struct {
	mu    sync.Mutex
	known map[int]passed // by our number
	busy  map[int]int    // our numbers that calls under way name, and how many do
	clock uint64         // of passed.used
	most  int            // the stubs are to have, if that can be
}

// mostPassed is how many descriptors the stubs have where the host lets them: what is
// used anew is passed anew, which takes some microseconds.
const mostPassed = 1024

// passed is a descriptor in the stubs' table. As it is open there, its inode
// cannot be reused: so our number is another file's if and only if its device and
// inode are others (or the same file was opened anew, and ForgetFD not called).
type passed struct {
	theirs   int
	dev, ino uint64
	used     uint64 // when it was named last, by descriptors.clock
}

// find returns the stubs' number of our descriptor fd, if they have it, and
// what it is in any case. An error says that fd is not open. What is found stays until
// done.
func (d *descriptors) find(fd int) (p passed, ok bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return p, false, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok = d.known[fd]
	if ok && p.dev == st.Dev && p.ino == st.Ino {
		d.use(fd, p)
		return p, true, nil
	}
	return passed{dev: st.Dev, ino: st.Ino}, false, nil
}

// use notes that a call names fd, which is p. d.mu is held.
func (d *descriptors) use(fd int, p passed) {
	if d.known == nil {
		d.known, d.busy = map[int]passed{}, map[int]int{}
	}
	d.clock++
	p.used = d.clock
	d.known[fd] = p
	d.busy[fd]++
}

// done takes back what find and add said of fd.
func (d *descriptors) done(fd int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[fd]--; d.busy[fd] <= 0 {
		delete(d.busy, fd)
	}
}

// spare returns the descriptor that was used longest ago and that no call names, if the
// stubs have as many as they are to.
func (d *descriptors) spare() (fd int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) < d.most {
		return -1, false
	}
	oldest := ^uint64(0)
	for n, p := range d.known {
		if d.busy[n] == 0 && p.used < oldest {
			fd, oldest, ok = n, p.used, true
		}
	}
	return fd, ok
}

func (d *descriptors) has(fd int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[fd]
	return ok
}

// add notes that the stubs have fd, for a call that names it until done.
func (d *descriptors) add(fd int, p passed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.use(fd, p)
}

func (d *descriptors) remove(fd int) (p passed, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok = d.known[fd]
	delete(d.known, fd)
	return p, ok
}

// fd returns the stubs' number of our descriptor fd, which is passed if it is
// new, and stays until fds.done. Any goroutine may call it.
func (z *zygote) fd(fd int) (int, error) {
	p, ok, err := z.fds.find(fd)
	if err != nil || ok {
		return p.theirs, err
	}
	err = z.work(func(t *tracee) error {
		if p, ok, err = z.fds.find(fd); err != nil || ok {
			return err // somebody else was faster
		}
		if err := z.forget(t, fd); err != nil {
			return err
		}
		if old, ok := z.fds.spare(); ok {
			if err := z.forget(t, old); err != nil {
				return err
			}
		}
		if p.theirs, err = z.receive(t, fd, z.scratch); err != nil {
			return fmt.Errorf("pass descriptor %d to the stubs: %w", fd, err)
		}
		z.fds.add(fd, p)
		return nil
	})
	return p.theirs, err
}

// forget closes the stubs' copy of our descriptor fd. t is the zygote.
func (z *zygote) forget(t *tracee, fd int) error {
	if p, ok := z.fds.remove(fd); ok {
		return t.ignore(unix.SYS_CLOSE, uintptr(p.theirs))
	}
	return nil
}

// memory is where a message for the zygote's recvmsg is laid out: its slots.
type memory interface {
	put(b []byte) error
	get(b []byte) error
}

func (a area) put(b []byte) error { copy(a.bytes, b); return nil }
func (a area) get(b []byte) error { copy(b, a.bytes); return nil }

// pokeMemory is a memory before the slots are shared.
type pokeMemory struct{ t *tracee }

func (m pokeMemory) put(b []byte) error {
	_, err := unix.PtracePokeData(m.t.pid, uintptr(m.t.at.slots), b)
	return err
}

func (m pokeMemory) get(b []byte) error {
	_, err := unix.PtracePeekData(m.t.pid, uintptr(m.t.at.slots), b)
	return err
}

// message is a msghdr with its one-byte buffer and room for one descriptor, as
// it lies in the zygote: pointers are the zygote's, so numbers to us.
type message struct {
	name, namelen  uint64
	iov, iovlen    uint64
	control, ctlen uint64
	flags          uint64 // the upper half is padding
	base, length   uint64 // the iovec
	cmsg           unix.Cmsghdr
	fd             int32
	_              int32
	data           uint64
}

// receive sends our descriptor fd to the stubs and makes t take it, for all.
func (z *zygote) receive(t *tracee, fd int, mem memory) (int, error) {
	if err := unix.Sendmsg(z.socket, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return -1, err
	}
	base := uint64(z.at.slots)
	m := message{iovlen: 1, ctlen: uint64(unix.CmsgSpace(4)), length: 1}
	m.iov = base + uint64(unsafe.Offsetof(m.base))
	m.control = base + uint64(unsafe.Offsetof(m.cmsg))
	m.base = base + uint64(unsafe.Offsetof(m.data))
	b := unsafe.Slice((*byte)(unsafe.Pointer(&m)), unsafe.Sizeof(m))
	if err := mem.put(b); err != nil {
		return -1, err
	}
	if _, err := t.call(unix.SYS_RECVMSG, socketFD, uintptr(base), unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT); err != nil {
		return -1, err
	}
	if err := mem.get(b); err != nil {
		return -1, err
	}
	if m.cmsg.Level != unix.SOL_SOCKET || m.cmsg.Type != unix.SCM_RIGHTS || m.flags&unix.MSG_CTRUNC != 0 {
		return -1, fmt.Errorf("the host did not pass it (%w)", unix.EMFILE)
	}
	return int(m.fd), nil
}

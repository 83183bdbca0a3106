package mm

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// UserfaultFeature is what a program may ask a userfaultfd for: Linux's UFFD_FEATURE_*.
type UserfaultFeature uint64

// The features that there are.
const (
	FeatureFaultWP       UserfaultFeature = 1 << 0  // PAGEFAULT_FLAG_WP: write protection at all
	FeatureHugeMissing   UserfaultFeature = 1 << 4  // of huge pages, of which there are none
	FeatureShmemMissing  UserfaultFeature = 1 << 5  // missing pages of shared memory
	FeatureSigbus        UserfaultFeature = 1 << 7  // a fault is SIGBUS, not a message
	FeatureThreadID      UserfaultFeature = 1 << 8  // messages name the thread
	FeatureHugeMinor     UserfaultFeature = 1 << 9  // of huge pages
	FeatureShmemMinor    UserfaultFeature = 1 << 10 // pages of shared memory that are not mapped
	FeatureExactAddress  UserfaultFeature = 1 << 11 // messages have the address, not its page
	FeatureWPShmem       UserfaultFeature = 1 << 12 // write protection of shared memory
	FeatureWPUnpopulated UserfaultFeature = 1 << 13 // pages that are not there can be protected
	FeaturePoison        UserfaultFeature = 1 << 14 // UFFDIO_POISON
	FeatureWPAsync       UserfaultFeature = 1 << 15 // a write ends the protection, unseen
	FeatureMove          UserfaultFeature = 1 << 16 // UFFDIO_MOVE

	// UserfaultFeatures are all of them: what Linux has but for messages of fork, mremap,
	// munmap and madvise, for which those calls would have to wait.
	UserfaultFeatures = FeatureFaultWP | FeatureHugeMissing | FeatureShmemMissing | FeatureSigbus | FeatureThreadID |
		FeatureHugeMinor | FeatureShmemMinor | FeatureExactAddress | FeatureWPShmem | FeatureWPUnpopulated |
		FeaturePoison | FeatureWPAsync | FeatureMove

	featureInitialized UserfaultFeature = 1 << 63 // Enable was called
)

// What a message says of a fault: UFFD_PAGEFAULT_FLAG_*.
const (
	faultWrite     = 1
	faultProtected = 2
	faultMinor     = 4
)

func missingFlags(at memmap.AccessType) uint64 {
	if at.Write {
		return faultWrite
	}
	return 0
}

// Userfault is a userfaultfd(2): it is told of faults in the mappings that are registered
// with it, and whoever holds it answers them. It belongs to one memory for ever; vmas
// point to it, so that what is registered differently never merges.
//
// Its lock is a leaf but for notify.
type Userfault struct {
	mm       *MemoryManager
	userOnly bool   // faults in system calls are refused
	notify   func() // a message came
	features atomic.Uint64

	mu      sync.Mutex
	waiting []*UserfaultWait // first come, first told
	closed  bool
}

// NewUserfault returns a userfaultfd for mm. With userOnly (UFFD_USER_MODE_ONLY) a system
// call that meets a fault of it gets EFAULT. notify is called when there is a message,
// and must not call back.
func NewUserfault(mm *MemoryManager, userOnly bool, notify func()) *Userfault {
	return &Userfault{mm: mm, userOnly: userOnly, notify: notify}
}

// Enable is UFFDIO_API: it must come first, and once.
//
// Errors: EINVAL a feature that there is not, or a second call.
func (u *Userfault) Enable(f UserfaultFeature) error {
	if f&FeatureWPAsync != 0 {
		f |= FeatureWPUnpopulated
	}
	switch {
	case f&^UserfaultFeatures != 0:
		return memmap.Refuse("userfaultfd", unix.EINVAL, "features %#x are not known", uint64(f&^UserfaultFeatures))
	case !u.features.CompareAndSwap(0, uint64(f|featureInitialized)):
		return memmap.Refuse("userfaultfd", unix.EINVAL, "UFFDIO_API was called already")
	}
	return nil
}

// Enabled reports whether Enable was called.
func (u *Userfault) Enabled() bool { return u.features.Load() != 0 }

// MM returns the memory.
func (u *Userfault) MM() *MemoryManager { return u.mm }

func (u *Userfault) has(f UserfaultFeature) bool { return u.features.Load()&uint64(f) != 0 }

// UserfaultError is an access that a userfaultfd is to be told of. It is not made; who
// asked for it calls AwaitUserfault, waits and tries again.
type UserfaultError struct {
	Userfault *Userfault
	Addr      memmap.Addr // the one accessed, or its page's
	Flags     uint64      // UFFD_PAGEFAULT_FLAG_*
}

func (e *UserfaultError) Error() string {
	what := "is missing"
	switch {
	case e.Flags&faultMinor != 0:
		what = "is not mapped here yet"
	case e.Flags&faultProtected != 0:
		what = "is write-protected"
	}
	return fmt.Sprintf("the page at %v %s: a userfaultfd is told", e.Addr, what)
}

// Unwrap returns what a copy that cannot wait answers the guest.
func (e *UserfaultError) Unwrap() error { return unix.EFAULT }

// userfault returns the error of an access to page that u is to be told of.
func (mm *MemoryManager) userfault(c *change, u *Userfault, page memmap.Addr, flags uint64) error {
	if u.has(FeatureSigbus) {
		return &memmap.BusError{Err: &memmap.Refusal{
			Op: "fault", Errno: unix.EFAULT, Why: memmap.UserFault,
			Reason: fmt.Sprintf("a userfaultfd with UFFD_FEATURE_SIGBUS watches %v", page),
		}}
	}
	e := &UserfaultError{Userfault: u, Addr: page, Flags: flags}
	if c.byGuest && c.fault.addr.RoundDown() == page {
		e.Addr = c.fault.addr
	}
	return e
}

// UserfaultWait is a thread that waits for a userfaultfd's owner.
type UserfaultWait struct {
	Ready chan struct{} // closed once the access may be tried again

	u    *Userfault
	page memmap.Addr
	msg  UserfaultMsg
	told bool // the message was read
}

// AwaitUserfault tells the userfaultfd of e, for thread tid. nil: the access would no
// longer meet it, or nobody is left to be told; else the caller waits for Ready, and
// calls Done.
func (mm *MemoryManager) AwaitUserfault(e *UserfaultError, tid int32) *UserfaultWait {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	if u := e.Userfault; !mm.stillFaults(e) {
		return nil
	} else {
		return u.enqueue(e, tid)
	}
}

// stillFaults is Linux's userfaultfd_must_wait.
func (mm *MemoryManager) stillFaults(e *UserfaultError) bool {
	page := e.Addr.RoundDown()
	seg, ok := mm.vmas.Find(page)
	if !ok || seg.Value.uffd != e.Userfault {
		return false
	}
	if e.Flags&faultProtected != 0 {
		m, _ := mm.markAt(page.Page())
		return m&markProtected != 0
	}
	_, there := mm.pmas.Find(page)
	return !there && seg.Value.flags&(flagMissing|flagMinor) != 0
}

func (u *Userfault) enqueue(e *UserfaultError, tid int32) *UserfaultWait {
	w := &UserfaultWait{Ready: make(chan struct{}), u: u, page: e.Addr.RoundDown()}
	w.msg = UserfaultMsg{Event: eventPagefault, Flags: e.Flags, Addr: w.page}
	if u.has(FeatureExactAddress) {
		w.msg.Addr = e.Addr
	}
	if u.has(FeatureThreadID) {
		w.msg.TID = tid
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	u.waiting = append(u.waiting, w)
	u.notify()
	return w
}

// Done ends the wait, if Ready has not been closed. A message that was not read is
// taken back.
func (w *UserfaultWait) Done() {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	w.u.waiting = slices.DeleteFunc(w.u.waiting, func(o *UserfaultWait) bool { return o == w })
}

// UserfaultMsg is a message: Linux's struct uffd_msg.
type UserfaultMsg struct {
	Event uint8
	_     [7]byte
	Flags uint64
	Addr  memmap.Addr
	TID   int32
	_     int32
}

const eventPagefault = 0x12 // UFFD_EVENT_PAGEFAULT

// Read returns the next message, false if there is none.
func (u *Userfault) Read() (UserfaultMsg, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range u.waiting {
		if !w.told {
			w.told = true
			return w.msg, true
		}
	}
	return UserfaultMsg{}, false
}

// Readable reports whether there is a message.
func (u *Userfault) Readable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.waiting, func(w *UserfaultWait) bool { return !w.told })
}

// wake lets all who wait for pages of ar try again.
func (u *Userfault) wake(ar memmap.AddrRange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = slices.DeleteFunc(u.waiting, func(w *UserfaultWait) bool {
		if !ar.Contains(w.page) {
			return false
		}
		close(w.Ready)
		return true
	})
}

// Wake is UFFDIO_WAKE. EINVAL a range that cannot be.
func (u *Userfault) Wake(ar memmap.AddrRange) error {
	if err := u.checkRange(ar); err != nil {
		return err
	}
	u.wake(ar)
	return nil
}

// Close ends u: nothing is registered with it any more, and all who wait go on.
func (u *Userfault) Close(by *Actor) {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	if mm := u.mm; mm.IncUsers() {
		mm.unwatchAll(by, u)
		mm.DecUsers(by)
	}
	u.wake(u.mm.All())
}

// Prefault brings in the memory of ars for accesses of kind at, as far as it goes, and
// waits for what userfaultfds watch: so that a copy that must not wait finds it there.
// It costs nothing where there has been no userfaultfd.
func (mm *MemoryManager) Prefault(by *Actor, ars []memmap.AddrRange, at memmap.AccessType) {
	if mm.watched.Load() {
		_, _ = mm.access(by, ars, at, IOOpts{}, func(safemem.Seq) (uint64, error) { return 0, nil })
	}
}

// waitsFor reports whether by wants to wait until err, which stopped a copy, is over.
func (by *Actor) waitsFor(err error, o IOOpts) bool {
	if by.Await == nil || o.IgnorePermissions {
		return false
	}
	var e *UserfaultError
	return errors.As(err, &e) && !e.Userfault.userOnly
}

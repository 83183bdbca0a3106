// Package filelock is advisory locks on files: fcntl(2)'s records, which belong to
// a process or to an open file, and flock(2)'s, which cover a whole file. It knows
// no file: who locks names one by device and inode, so that all opens of a file
// meet, whatever file system it lies in.
//
//	filelock.go  the table of all locks: asking, taking, waiting, letting go
//	ranges.go    one owner's ranges on one file: merged and split
//
// Nothing here blocks: Acquire answers with a Wait. The Registry's lock is a leaf.
package filelock

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Key is a file: what fstat(2) calls st_dev and st_ino.
type Key struct{ Dev, Ino uint64 }

// Kind is a family of locks. Records of processes and of open files meet each
// other; flock's meet none of them.
type Kind uint8

// The kinds.
const (
	Process  Kind = iota // F_SETLK: an owner's locks go with its first close of the file
	OpenFile             // F_OFD_SETLK: an open file's
	Flock                // flock(2)
)

// EOF is the end of a lock that has no end.
const EOF = math.MaxInt64

// maxLocks bounds what guests can make us remember: ENOLCK.
const maxLocks = 1 << 18

// maxChain is how many waiting owners the search for a deadlock looks at, Linux's.
const maxChain = 10

// Lock is a lock, held or asked for.
type Lock struct {
	Kind       Kind
	Owner      any   // told apart by identity: a process's descriptors, an open file
	PID        int32 // who F_GETLK says it is; not a process's: -1
	Type       int16 // F_RDLCK, F_WRLCK; F_UNLCK lets go
	Start, End int64 // first and last byte; EOF
}

// overlaps reports whether l and o have a byte in common.
func (l *Lock) overlaps(o *Lock) bool { return l.Start <= o.End && o.Start <= l.End }

// sameOwner reports whether l and o are one owner's.
func (l *Lock) sameOwner(o *Lock) bool { return l.Kind == o.Kind && l.Owner == o.Owner }

// conflicts reports whether l and o cannot both be held.
func (l *Lock) conflicts(o *Lock) bool {
	return !l.sameOwner(o) && l.overlaps(o) && (l.Type == unix.F_WRLCK || o.Type == unix.F_WRLCK)
}

// Registry is all locks of a world. The zero Registry is ready.
type Registry struct {
	mu    sync.Mutex
	files map[Key]*file
	locks int    // held
	last  uint64 // number of the newest lock
	waits map[any]*Wait
}

// file is the locks on one file. Those of an owner lie together, by Start; owners
// are in the order in which they came.
type file struct {
	records, flocks []held
	waiting         []*Wait // in the order in which they came
}

// held is a lock that is held; seq tells which is older.
type held struct {
	Lock
	seq uint64
}

// Wait is a lock that is asked for and not there yet.
type Wait struct {
	// Ready is closed when it may be there: ask again.
	Ready <-chan struct{}

	r       *Registry
	key     Key
	lock    Lock
	ready   chan struct{}
	blocker held
}

// list returns the locks of a kind.
func (f *file) list(k Kind) *[]held {
	if k == Flock {
		return &f.flocks
	}
	return &f.records
}

// Test returns the first lock that l would wait for. An l of F_UNLCK asks for what
// its owner itself holds.
func (r *Registry) Test(k Key, l Lock) (Lock, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[k]
	if f == nil {
		return Lock{}, false
	}
	for _, h := range *f.list(l.Kind) {
		if l.Type == unix.F_UNLCK && l.sameOwner(&h.Lock) && l.overlaps(&h.Lock) || l.Type != unix.F_UNLCK && l.conflicts(&h.Lock) {
			return h.Lock, true
		}
	}
	return Lock{}, false
}

// Acquire takes l, or lets go what it covers. If another lock is in the way, it
// returns EAGAIN, or with wait a Wait, which the caller must end: EDEADLK if who
// has that other lock waits for l's owner. ENOLCK: there are too many locks.
func (r *Registry) Acquire(k Key, l Lock, wait bool) (*Wait, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.file(k)
	defer r.forget(k, f)
	if l.Kind == Flock && l.Type != unix.F_UNLCK {
		if f.holds(l) {
			return nil, nil
		}
		r.release(f, l) // changing a lock lets go of it first: flock(2)
	}
	if l.Type == unix.F_UNLCK {
		if len(*f.list(l.Kind)) == 0 {
			return nil, nil
		}
		return nil, r.apply(f, l)
	}
	for _, h := range *f.list(l.Kind) {
		if l.conflicts(&h.Lock) {
			return r.refuse(k, f, l, h, wait)
		}
	}
	return nil, r.apply(f, l)
}

// holds reports whether l is held as it is.
func (f *file) holds(l Lock) bool {
	return slices.ContainsFunc(*f.list(l.Kind), func(h held) bool { return h.sameOwner(&l) && h.Type == l.Type })
}

// refuse answers a request that h is in the way of. r.mu is held.
func (r *Registry) refuse(k Key, f *file, l Lock, h held, wait bool) (*Wait, error) {
	if !wait {
		return nil, fmt.Errorf("%w: bytes %d to %d are locked by process %d", unix.EAGAIN, h.Start, h.End, h.PID)
	}
	if l.Kind == Process && r.deadlock(l.Owner, h) {
		return nil, fmt.Errorf("%w: process %d waits for a lock of this one", unix.EDEADLK, h.PID)
	}
	ready := make(chan struct{})
	w := &Wait{Ready: ready, r: r, key: k, lock: l, ready: ready, blocker: h}
	f.waiting = append(f.waiting, w)
	if l.Kind == Process {
		if r.waits == nil {
			r.waits = make(map[any]*Wait)
		}
		r.waits[l.Owner] = w
	}
	return w, nil
}

// deadlock reports whether who holds h waits, through others or not, for owner.
func (r *Registry) deadlock(owner any, h held) bool {
	for range maxChain {
		if h.Kind != Process {
			return false
		}
		w := r.waits[h.Owner]
		if w == nil {
			return false
		}
		if h = w.blocker; h.Kind == Process && h.Owner == owner {
			return true
		}
	}
	return false
}

// waitsFor reports whether l, which is held, is in w's way, and its owner is who w
// waits for.
func (w *Wait) waitsFor(l *Lock) bool { return l.sameOwner(&w.blocker.Lock) && w.lock.conflicts(l) }

// End ends the wait: the lock is not there by that.
func (w *Wait) End() {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waits[w.lock.Owner] == w {
		delete(r.waits, w.lock.Owner)
	}
	if f := r.files[w.key]; f != nil {
		f.waiting = slices.DeleteFunc(f.waiting, func(o *Wait) bool { return o == w })
		r.forget(w.key, f)
	}
}

// Release lets go of all that owner holds on a file.
func (r *Registry) Release(k Key, kind Kind, owner any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.files[k]; f != nil {
		r.release(f, Lock{Kind: kind, Owner: owner})
		r.forget(k, f)
	}
}

// release lets go of all locks of l's owner. r.mu is held.
func (r *Registry) release(f *file, l Lock) {
	list := f.list(l.Kind)
	before := len(*list)
	*list = slices.DeleteFunc(*list, func(h held) bool { return h.sameOwner(&l) })
	if n := before - len(*list); n > 0 {
		r.locks -= n
		f.wake(l.Kind)
	}
}

// apply puts l, which nothing is in the way of, into f. r.mu is held.
func (r *Registry) apply(f *file, l Lock) error {
	list := f.list(l.Kind)
	from, to := owned(*list, &l)
	mine := overlay((*list)[from:to], held{l, r.last + 1})
	grown := len(mine) - (to - from)
	if grown > 0 && r.locks+grown > maxLocks {
		return fmt.Errorf("%w: there are %d locks", unix.ENOLCK, r.locks)
	}
	r.last += 2 // a lock that is split becomes two
	r.locks += grown
	*list = slices.Replace(*list, from, to, mine...)
	f.wake(l.Kind)
	return nil
}

// wake tells who waits for a lock of a kind that things have changed, unless the
// lock that is in its way is still there. r.mu is held.
func (f *file) wake(k Kind) {
	list := *f.list(k)
	f.waiting = slices.DeleteFunc(f.waiting, func(w *Wait) bool {
		if (w.lock.Kind == Flock) != (k == Flock) {
			return false
		}
		still := slices.ContainsFunc(list, func(h held) bool { return w.waitsFor(&h.Lock) })
		if !still {
			close(w.ready)
			if w.r.waits[w.lock.Owner] == w {
				delete(w.r.waits, w.lock.Owner)
			}
		}
		return !still
	})
}

// file returns the locks of k, which forget drops again. r.mu is held.
func (r *Registry) file(k Key) *file {
	if r.files == nil {
		r.files = make(map[Key]*file)
	}
	f := r.files[k]
	if f == nil {
		f = &file{}
		r.files[k] = f
	}
	return f
}

// forget drops f if nothing is left of it. r.mu is held.
func (r *Registry) forget(k Key, f *file) {
	if len(f.records)+len(f.flocks)+len(f.waiting) == 0 {
		delete(r.files, k)
	}
}

// Entry is a lock as /proc/locks shows it.
type Entry struct {
	Key
	Lock
	Waiting []Lock // for it
	seq     uint64
}

// All returns all locks, the newest first.
func (r *Registry) All() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Entry
	for k, f := range r.files {
		first := len(all)
		for _, h := range slices.Concat(f.records, f.flocks) {
			all = append(all, Entry{Key: k, Lock: h.Lock, seq: h.seq})
		}
		for _, w := range f.waiting {
			for i := first; i < len(all); i++ {
				if e := &all[i]; w.waitsFor(&e.Lock) {
					e.Waiting = append(e.Waiting, w.lock)
					break
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(b.seq, a.seq) })
	return all
}

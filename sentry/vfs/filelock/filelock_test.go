package filelock

import (
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

var file1, file2 = Key{1, 1}, Key{1, 2}

// take acquires without waiting.
func take(t *testing.T, r *Registry, k Key, l Lock) error {
	t.Helper()
	w, err := r.Acquire(k, l, false)
	if w != nil {
		t.Fatalf("%+v: waits, though it was not to", l)
	}
	return err
}

// ask acquires what has to be waited for.
func ask(t *testing.T, r *Registry, k Key, l Lock) *Wait {
	t.Helper()
	w, err := r.Acquire(k, l, true)
	if w == nil || err != nil {
		t.Fatalf("%+v: %v, %v", l, w, err)
	}
	return w
}

func isReady(w *Wait) bool {
	select {
	case <-w.Ready:
		return true
	default:
		return false
	}
}

func record(owner string, kind int16, from, to int64) Lock {
	return Lock{Owner: owner, Type: kind, Start: from, End: to}
}

// Locks are what a table of bytes would say, whatever is merged and split; and no
// two neighbours of one owner could be one lock.
func TestAgainstBytes(t *testing.T) {
	const size = 24
	owners := []string{"a", "b", "c"}
	rnd := rand.New(rand.NewPCG(1, 2))
	var r Registry
	var bytes [3][size + 1]int16 // the last one stands for all behind
	for i := range bytes {
		for j := range bytes[i] {
			bytes[i][j] = unix.F_UNLCK
		}
	}
	for step := range 20000 {
		who, kind := rnd.IntN(3), int16(rnd.IntN(3))
		from := rnd.Int64N(size)
		to := from + rnd.Int64N(size-from)
		last := to
		if rnd.IntN(6) == 0 {
			to, last = EOF, size
		}
		free := true
		for o := range bytes {
			for at := from; at <= last && o != who && kind != unix.F_UNLCK; at++ {
				there := bytes[o][at]
				free = free && (there == unix.F_UNLCK || there == unix.F_RDLCK && kind == unix.F_RDLCK)
			}
		}
		err := take(t, &r, file1, record(owners[who], kind, from, to))
		if free != (err == nil) || err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatalf("step %d: free %v, %v", step, free, err)
		}
		for at := from; at <= last && free; at++ {
			bytes[who][at] = kind
		}
		checkBytes(t, &r, owners, bytes[:])
	}
}

func checkBytes(t *testing.T, r *Registry, owners []string, want [][25]int16) {
	t.Helper()
	for who, owner := range owners {
		var got [25]int16
		for i := range got {
			got[i] = unix.F_UNLCK
		}
		last := Lock{End: -2}
		if f := r.files[file1]; f != nil {
			from, to := owned(f.records, &Lock{Owner: owner})
			for _, h := range f.records[from:to] {
				if h.Start <= last.End || h.Start == last.End+1 && h.Type == last.Type {
					t.Fatalf("%+v comes after %+v", h.Lock, last)
				}
				last = h.Lock
				for at := h.Start; at <= min(h.End, 24); at++ {
					got[at] = h.Type
				}
			}
		}
		if got != want[who] {
			t.Fatalf("%s has %v, want %v", owner, got, want[who])
		}
	}
}

// Nothing is left of a file when its last lock is gone, and the count is right.
func TestNothingIsLeft(t *testing.T) {
	var r Registry
	for _, l := range []Lock{record("a", unix.F_WRLCK, 0, 9), record("a", unix.F_RDLCK, 3, 4), {Kind: Flock, Owner: "f", Type: unix.F_WRLCK, End: EOF}} {
		if err := take(t, &r, file1, l); err != nil {
			t.Fatal(err)
		}
	}
	if r.locks != 4 || len(r.All()) != 4 {
		t.Errorf("%d locks, %v", r.locks, r.All())
	}
	w := ask(t, &r, file1, record("b", unix.F_RDLCK, 9, 9))
	r.Release(file1, Process, "a")
	r.Release(file1, Flock, "f")
	r.Release(file2, Flock, "f")
	if !isReady(w) {
		t.Error("who waited was not told")
	}
	w.End()
	w.End()
	if r.locks != 0 || len(r.files) != 0 || len(r.waits) != 0 {
		t.Errorf("left: %d locks, %v, %v", r.locks, r.files, r.waits)
	}
}

// A circle of processes that wait is refused, one of three too, on different files;
// open files' locks are not looked at.
func TestDeadlock(t *testing.T) {
	var r Registry
	for _, l := range []Lock{record("a", unix.F_WRLCK, 0, 0), record("b", unix.F_WRLCK, 1, 1), {Kind: OpenFile, Owner: "o", Type: unix.F_WRLCK, Start: 3, End: 3}} {
		if err := take(t, &r, file1, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(t, &r, file2, record("c", unix.F_WRLCK, 0, 0)); err != nil {
		t.Fatal(err)
	}
	ba := ask(t, &r, file1, record("b", unix.F_WRLCK, 0, 0))
	cb := ask(t, &r, file1, record("c", unix.F_WRLCK, 1, 1))
	ao := ask(t, &r, file1, record("a", unix.F_WRLCK, 3, 3)) // no circle
	ao.End()
	if w, err := r.Acquire(file2, record("a", unix.F_RDLCK, 0, 0), true); w != nil || !errors.Is(err, unix.EDEADLK) {
		t.Errorf("%v, %v", w, err)
	}
	cb.End()
	ac := ask(t, &r, file2, record("a", unix.F_RDLCK, 0, 0)) // c waits no more
	ac.End()
	ba.End()
	if w, err := r.Acquire(file1, Lock{Kind: OpenFile, Owner: "o", Type: unix.F_WRLCK, Start: 0, End: 0}, true); w == nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
}

// flock's locks and records do not meet; a change of flock's lock lets go first.
func TestFlock(t *testing.T) {
	var r Registry
	shared, all := Lock{Kind: Flock, Owner: "f", Type: unix.F_RDLCK, End: EOF}, record("a", unix.F_WRLCK, 0, EOF)
	other := shared
	other.Owner = "g"
	for _, l := range []Lock{shared, all, other} {
		if err := take(t, &r, file1, l); err != nil {
			t.Fatal(err)
		}
	}
	w := ask(t, &r, file1, Lock{Kind: Flock, Owner: "h", Type: unix.F_WRLCK, End: EOF})
	other.Type = unix.F_WRLCK
	if err := take(t, &r, file1, other); !errors.Is(err, unix.EAGAIN) {
		t.Error(err)
	}
	if isReady(w) {
		t.Error("told though what it waits for is there")
	}
	shared.Type = unix.F_UNLCK
	if err := take(t, &r, file1, shared); err != nil {
		t.Error(err)
	}
	if !isReady(w) || len(r.All()) != 1 {
		t.Errorf("%v, %v", isReady(w), r.All())
	}
	w.End()
}

// Guests cannot make us remember locks without end.
func TestTooMany(t *testing.T) {
	var r Registry
	r.locks = maxLocks - 1
	if err := take(t, &r, file1, record("a", unix.F_WRLCK, 0, 9)); err != nil {
		t.Error(err)
	}
	if err := take(t, &r, file1, record("a", unix.F_UNLCK, 4, 4)); !errors.Is(err, unix.ENOLCK) {
		t.Error(err)
	}
	if err := take(t, &r, file1, record("a", unix.F_UNLCK, 4, 9)); err != nil {
		t.Error(err)
	}
}

package vfs

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// dummy is a File that counts its releases.
type dummy struct{ released int }

func (d *dummy) Stat() (unix.Stat_t, error)        { return unix.Stat_t{}, nil }
func (d *dummy) PRead([]byte, int64) (int, error)  { return 0, nil }
func (d *dummy) PWrite([]byte, int64) (int, error) { return 0, nil }
func (d *dummy) Seekable() bool                    { return false }
func (d *dummy) Release() error                    { d.released++; return nil }

// A table does what a map of numbers would, and every file is released with its
// last descriptor and not before.
func TestTableAgainstAModel(t *testing.T) {
	type slot struct {
		f       *dummy
		cloexec bool
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	const limit = 12
	var files []*dummy
	tables, models := []*Table{NewTable()}, []map[int32]slot{{}}
	fresh := func() (*dummy, *Description) {
		f := &dummy{}
		files = append(files, f)
		return f, NewDescription(f, unix.O_RDWR, "dummy")
	}
	for range 20000 {
		i := rnd.IntN(len(tables))
		tab, model := tables[i], models[i]
		fd, on := int32(rnd.IntN(limit+3))-1, rnd.IntN(2) == 0
		old, used := model[fd]
		switch rnd.IntN(8) {
		case 0, 1: // open
			f, d := fresh()
			want := max(fd, 0)
			for _, taken := model[want]; taken; _, taken = model[want] {
				want++
			}
			got, err := tab.Add(d, on, fd, limit)
			switch {
			case fd < 0 || fd > 0 && fd >= limit:
				check(t, err, unix.EINVAL)
			case want >= limit:
				check(t, err, unix.EMFILE)
			default:
				check(t, err, 0)
				model[want] = slot{f, on}
				if got != want {
					t.Fatalf("descriptor %d, want %d", got, want)
				}
			}
			if err != nil {
				_ = d.DecRef()
			}
		case 2: // dup2
			f, d := fresh()
			err := tab.Set(fd, d, on, limit)
			if fd < 0 || fd >= limit {
				check(t, err, unix.EBADF)
				_ = d.DecRef()
			} else {
				check(t, err, 0)
				model[fd] = slot{f, on}
			}
		case 3, 4: // close
			check(t, tab.Close(fd), badf(used))
			delete(model, fd)
		case 5:
			check(t, tab.SetCloseOnExec(fd, on), badf(used))
			if used {
				model[fd] = slot{old.f, on}
			}
			got, err := tab.CloseOnExec(fd)
			check(t, err, badf(used))
			if used && got != on {
				t.Fatal("wrong flag")
			}
		case 6: // fork, or exit
			if len(tables) < 4 {
				tables, models = append(tables, tab.Fork()), append(models, maps.Clone(model))
			} else if i > 0 {
				tab.CloseAll()
				tables, models = slices.Delete(tables, i, i+1), slices.Delete(models, i, i+1)
			}
		case 7:
			if rnd.IntN(20) == 0 { // exec
				tab.CloseExec()
				maps.DeleteFunc(model, func(_ int32, s slot) bool { return s.cloexec })
			}
			_, used = model[fd]
			d, err := tab.Get(fd)
			check(t, err, badf(used))
			if err == nil {
				_ = d.DecRef()
			}
		}
		for i, tab := range tables {
			n := 0
			tab.Each(func(fd int32, d *Description, cloexec bool) {
				n++
				if s := models[i][fd]; s.f != d.File() || s.cloexec != cloexec {
					t.Fatalf("descriptor %d: %v, want %v", fd, d.File(), s)
				}
			})
			if n != len(models[i]) {
				t.Fatalf("%d descriptors, want %d", n, len(models[i]))
			}
		}
	}
	live := make(map[*dummy]bool)
	for _, m := range models {
		for _, s := range m {
			live[s.f] = true
		}
	}
	for _, f := range files {
		if want := 1; live[f] && f.released != 0 || !live[f] && f.released != want {
			t.Fatalf("released %d times, live %v", f.released, live[f])
		}
	}
}

func badf(used bool) unix.Errno {
	if used {
		return 0
	}
	return unix.EBADF
}

func check(t *testing.T, err error, want unix.Errno) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

// A huge limit is no licence to take memory.
func TestTableIsBounded(t *testing.T) {
	d := NewDescription(&dummy{}, 0, "")
	if err := NewTable().Set(1<<30, d, false, ^uint64(0)); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

// A bell rings for those who wait for it, once, and for those who came too late as
// well.
func TestWaitQueue(t *testing.T) {
	var q WaitQueue
	now := int16(0)
	ready := func() int16 { return now }
	in, stopIn := q.Wait(unix.POLLIN, ready)
	out, stopOut := q.Wait(unix.POLLOUT, ready)
	gone, stop := q.Wait(unix.POLLIN, ready)
	stop()
	q.Notify(unix.POLLIN)
	if !rings(in) || rings(out) || rings(gone) {
		t.Error("the wrong bell")
	}
	q.Notify(unix.POLLHUP)
	if !rings(out) {
		t.Error("a hang-up is told to all")
	}
	now = unix.POLLIN
	late, stopLate := q.Wait(unix.POLLIN, ready)
	if !rings(late) {
		t.Error("what holds already is not told")
	}
	for _, stop := range []func(){stopIn, stopOut, stopLate} {
		stop()
	}
	if len(q.waiting) != 0 {
		t.Errorf("%d wait for ever", len(q.waiting))
	}
}

func rings(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

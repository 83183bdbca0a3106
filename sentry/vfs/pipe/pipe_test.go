package pipe

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

func read(t *testing.T, r vfs.File, n int) ([]byte, error) {
	t.Helper()
	b := make([]byte, n)
	n, err := r.PRead(b, 0)
	return b[:n], err
}

// pair makes a pipe of a pool of its own.
func pair(t *testing.T, inode uint64) (r, w vfs.File, path string) {
	t.Helper()
	r, w, path, err := new(Pool).New(inode)
	if err != nil {
		t.Fatal(err)
	}
	return r, w, path
}

// model is a pipe's slots: how many bytes each of them holds, and where its page ends.
type model struct {
	bytes []byte
	slots []struct{ held, room int }
}

// write returns how many of n bytes fit.
func (m *model) write(src []byte) int {
	done := 0
	if rest := len(src) % 4096; rest > 0 && len(m.slots) > 0 {
		if s := &m.slots[len(m.slots)-1]; s.room >= rest {
			s.held, s.room, done = s.held+rest, s.room-rest, rest
		}
	}
	for done < len(src) && len(m.slots) < 16 {
		n := min(4096, len(src)-done)
		m.slots = append(m.slots, struct{ held, room int }{n, 4096 - n})
		done += n
	}
	m.bytes = append(m.bytes, src[:done]...)
	return done
}

func (m *model) read(n int) []byte {
	got := m.bytes[:min(n, len(m.bytes))]
	m.bytes = m.bytes[len(got):]
	for left := len(got); left > 0; {
		k := min(left, m.slots[0].held)
		left -= k
		if m.slots[0].held -= k; m.slots[0].held == 0 {
			m.slots = m.slots[1:]
		}
	}
	return got
}

// What goes in comes out, in order, whatever the sizes; a pipe fills as Linux's does,
// page by page.
func TestPipeAgainstAModel(t *testing.T) {
	r, w, _ := pair(t, 1)
	var m model
	next := byte(0)
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 30000 {
		n := []int{0, 1, 100, 4095, 4096, 4097, 30000, 70000}[rnd.IntN(8)]
		if rnd.IntN(2) == 0 {
			src := make([]byte, n)
			for i := range src {
				src[i] = next + byte(i)
			}
			want := m.write(src)
			got, err := w.PWrite(src, 0)
			if got != want || (want < n) != errors.Is(err, vfs.ErrWouldBlock) || want == n && err != nil {
				t.Fatalf("write of %d: %d, %v, want %d", n, got, err, want)
			}
			if n <= AtomicWrite && got != n && got != 0 {
				t.Fatalf("%d of %d bytes were written", got, n)
			}
			next += byte(got)
		} else {
			got, err := read(t, r, n)
			if wouldBlock := n > 0 && len(m.bytes) == 0; wouldBlock != errors.Is(err, vfs.ErrWouldBlock) {
				t.Fatalf("read of %d from %d: %v", n, len(m.bytes), err)
			}
			if want := m.read(n); !bytes.Equal(got, want) {
				t.Fatalf("read of %d: %d bytes, want %d", n, len(got), len(want))
			}
		}
		if n, err := r.(vfs.Queued).Queued(); n != len(m.bytes) || err != nil {
			t.Fatalf("%d bytes wait, want %d", n, len(m.bytes))
		}
		wantR, wantW := int16(0), int16(0)
		if len(m.bytes) > 0 {
			wantR = vfs.PollRead
		}
		if len(m.slots) < 16 {
			wantW = vfs.PollWrite
		}
		if gotR, gotW := r.(vfs.Waiter).Ready(), w.(vfs.Waiter).Ready(); gotR != wantR || gotW != wantW {
			t.Fatalf("ready %#x and %#x with %d bytes", gotR, gotW, len(m.bytes))
		}
	}
}

// Pages that two pipes share are given back by neither: what was copied stays what it
// was, however both go on.
func TestTeeSharesPagesSafely(t *testing.T) {
	pool := new(Pool)
	r1, w1, _, _ := pool.New(1)
	r2, _, _, _ := pool.New(2)
	w2 := &End{p: r2.(*End).p, writes: true}
	if _, err := w1.PWrite([]byte("shared"), 0); err != nil {
		t.Fatal(err)
	}
	if n, _, err := r1.(*End).Tee(w2, 100); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := w1.PWrite([]byte(" and more"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, r1, 100); string(got) != "shared and more" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := w1.PWrite([]byte("other"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, r2, 100); string(got) != "shared" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// All pipes of a world together hold a bounded number of pages, which comes back with
// them.
func TestPoolIsBounded(t *testing.T) {
	pool := new(Pool)
	var all []vfs.File
	for {
		r, w, _, err := pool.New(1)
		if err != nil {
			if !errors.Is(err, unix.ENFILE) {
				t.Error(err)
			}
			break
		}
		if len(all) < 4 { // the first grow
			if _, err := r.(*End).Resize(MaxSize, false); err != nil {
				t.Error(err)
			}
			if _, err := r.(*End).Resize(MaxSize+1, false); !errors.Is(err, unix.EPERM) {
				t.Error(err)
			}
		}
		all = append(all, r, w)
	}
	if _, err := all[len(all)-1].(*End).Resize(MaxSize, true); !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	for _, f := range all {
		_ = f.Release()
	}
	if n := pool.slots.Load(); n != 0 {
		t.Errorf("%d pages are still counted", n)
	}
}

// The ends know of each other: the end of the file, EPIPE, hang-ups.
func TestEnds(t *testing.T) {
	r, w, path := pair(t, 7)
	if path != "pipe:[7]" {
		t.Error(path)
	}
	again, err := w.(vfs.Reopener).Reopen(unix.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PWrite([]byte("last"), 0); err != nil {
		t.Fatal(err)
	}
	hup, stop := r.(vfs.Waiter).Wait(0)
	defer stop()
	for _, end := range []vfs.File{w, again} {
		select {
		case <-hup:
			t.Error("hung up while there is a writer")
		default:
		}
		if err := end.Release(); err != nil {
			t.Fatal(err)
		}
	}
	<-hup
	if got, err := read(t, r, 10); string(got) != "last" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := read(t, r, 10); len(got) != 0 || err != nil {
		t.Errorf("%q, %v instead of the end", got, err)
	}
	r, w, _ = pair(t, 8)
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PWrite([]byte("x"), 0); !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
	if w.(vfs.Waiter).Ready()&unix.POLLERR == 0 {
		t.Error("no POLLERR")
	}
}

// A reader and a writer that wait for each other pass a megabyte.
func TestBlocking(t *testing.T) {
	r, w, _ := pair(t, 1)
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i * 7)
	}
	go func() {
		for left := want; len(left) > 0; {
			n, err := w.PWrite(left[:min(len(left), 10000)], 0)
			left = left[n:]
			if errors.Is(err, vfs.ErrWouldBlock) {
				wait(w, unix.POLLOUT)
			}
		}
		_ = w.Release()
	}()
	var got []byte
	for {
		b, err := read(t, r, 3000)
		if errors.Is(err, vfs.ErrWouldBlock) {
			wait(r, unix.POLLIN)
			continue
		}
		if len(b) == 0 {
			break
		}
		got = append(got, b...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came of %d", len(got), len(want))
	}
}

func wait(f vfs.File, events int16) {
	ready, stop := f.(vfs.Waiter).Wait(events)
	<-ready
	stop()
}

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

// What goes in comes out, in order, whatever the sizes; a pipe does what the
// host's pipe of the same capacity does.
func TestPipeAgainstAModel(t *testing.T) {
	r, w, _ := New(1)
	var model []byte
	next := byte(0)
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 30000 {
		n := []int{0, 1, 100, 4095, 4096, 4097, 30000, 70000}[rnd.IntN(8)]
		if rnd.IntN(2) == 0 {
			src := make([]byte, n)
			for i := range src {
				src[i] = next + byte(i)
			}
			room := Capacity - len(model)
			want := min(n, room)
			if n <= AtomicWrite && n > room {
				want = 0
			}
			got, err := w.PWrite(src, 0)
			if got != want || (want < n) != errors.Is(err, vfs.ErrWouldBlock) || want == n && err != nil {
				t.Fatalf("write of %d with room for %d: %d, %v", n, room, got, err)
			}
			next += byte(got)
			model = append(model, src[:got]...)
		} else {
			got, err := read(t, r, n)
			if wouldBlock := n > 0 && len(model) == 0; wouldBlock != errors.Is(err, vfs.ErrWouldBlock) {
				t.Fatalf("read of %d from %d: %v", n, len(model), err)
			}
			if want := model[:min(n, len(model))]; !bytes.Equal(got, want) {
				t.Fatalf("read of %d: %d bytes, want %d", n, len(got), len(want))
			}
			model = model[len(got):]
		}
		if n, err := r.(vfs.Queued).Queued(); n != len(model) || err != nil {
			t.Fatalf("%d bytes wait, want %d", n, len(model))
		}
		wantR, wantW := int16(0), int16(0)
		if len(model) > 0 {
			wantR = vfs.PollRead
		}
		if Capacity-len(model) >= AtomicWrite {
			wantW = vfs.PollWrite
		}
		if gotR, gotW := r.(vfs.Waiter).Ready(), w.(vfs.Waiter).Ready(); gotR != wantR || gotW != wantW {
			t.Fatalf("ready %#x and %#x with %d bytes", gotR, gotW, len(model))
		}
	}
}

// The ends know of each other: the end of the file, EPIPE, hang-ups.
func TestEnds(t *testing.T) {
	r, w, path := New(7)
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
	r, w, _ = New(8)
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
	r, w, _ := New(1)
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

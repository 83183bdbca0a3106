package pgalloc

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each mode's rule, at its edge; the numbers are pages. never compares as Linux does: what
// is promised stays below the limit.
func TestMayCommit(t *testing.T) {
	const ram = 64 << 10 // pages
	always, heuristic, never := Overcommit{Mode: OvercommitAlways}, DefaultOvercommit, Overcommit{Mode: OvercommitNever, Ratio: 50}
	absolute := Overcommit{Mode: OvercommitNever, KBytes: 401}
	for _, tt := range []struct {
		what             string
		o                Overcommit
		committed, claim uint64
		mapped           uint64
		admin, ok        bool
	}{
		{"always", always, 1 << 30, 1 << 40, 0, false, true},
		{"always: what cannot be counted", always, 1 << 40, 1<<44 - 1<<40 + 1, 0, true, false},
		{"always: what just can", always, 1 << 40, 1<<44 - 1<<40, 0, true, true},
		{"heuristic: all memory at once", heuristic, ram, ram, 0, false, true},
		{"heuristic: more at once", heuristic, 0, ram + 1, 0, true, false},
		{"never: below half", never, ram / 4, ram/4 - 1, 0, true, true},
		{"never: half", never, ram / 4, ram / 4, 0, true, false},
		{"never: kept for an administrator", never, 0, ram/2 - ram/32 - 1, 0, false, true},
		{"never: what is kept", never, 0, ram/2 - ram/32, 0, false, false},
		{"never: kept from a process", never, 0, ram/2 - 1000/32 - 1, 1000, true, true},
		{"never: a 32nd of what it has", never, 0, ram/2 - 1000/32, 1000, true, false},
		{"never: an amount", absolute, 50, 49, 0, true, true},
		{"never: that amount", absolute, 50, 50, 0, true, false},
		{"never: nothing", Overcommit{Mode: OvercommitNever, Ratio: -1}, 0, 0, 0, true, false},
	} {
		f := newFile(t, Options{Limit: ram * pageSize})
		f.SetOvercommit(tt.o)
		f.Commit(int64(tt.committed * pageSize))
		err := f.MayCommit(Claim{Op: "mmap", Bytes: tt.claim * pageSize, Mapped: tt.mapped * pageSize, Admin: tt.admin})
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, unix.ENOMEM) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if tt.what == "never: that amount" && !strings.Contains(err.Error(), "200 kB more would be committed beside 200 kB, the limit is 400 kB") {
			t.Errorf("the reason: %v", err)
		}
		f.Commit(-int64(tt.committed * pageSize))
	}
}

// A promise that nobody takes back shows at the end.
func TestCommitLeaks(t *testing.T) {
	f, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.Commit(pageSize)
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "4096 bytes are still committed") {
		t.Errorf("close: %v", err)
	}
}

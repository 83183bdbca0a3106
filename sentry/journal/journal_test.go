package journal

import (
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

func fault(pid int32, cause memmap.Cause, pages int) mm.Event {
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + memmap.Addr(pages)*memmap.PageSize}
	return mm.Event{Kind: mm.EventFault, Cause: cause, PID: pid, Range: ar, Addr: ar.Start}
}

func TestEventsAreFoundByNumber(t *testing.T) {
	ring := mm.NewRing(16)
	j := New(ring, 0)
	first := ring.Append(fault(2, memmap.ZeroFill, 1))
	second := ring.Append(fault(2, memmap.COWCopy, 1))
	if e, ok := j.Event(second); !ok || e.Cause != memmap.COWCopy {
		t.Errorf("event %d: %+v, %v", second, e, ok)
	}
	if got := j.After(first); len(got) != 1 || got[0].Seq != second {
		t.Errorf("after %d: %+v", first, got)
	}
	for _, seq := range []uint64{0, second + 1} {
		if _, ok := j.Event(seq); ok {
			t.Errorf("event %d was never appended and is found", seq)
		}
	}
}

func TestTheLogKeepsTheNewestAndCountsTheLost(t *testing.T) {
	ring := mm.NewRing(8)
	j := New(ring, 4)
	for range 6 {
		ring.Append(fault(2, memmap.ZeroFill, 1))
	}
	if got := j.After(0); len(got) != 4 || got[3].Seq != ring.Last() {
		t.Errorf("held: %+v", got)
	}
	if j.Lost() != 2 {
		t.Errorf("lost %d, want 2", j.Lost())
	}
}

func TestStatsCountEventsAndPagesSinceTheReset(t *testing.T) {
	ring := mm.NewRing(16)
	j := New(ring, 0)
	ring.Append(fault(2, memmap.ZeroFill, 9))
	j.Reset()
	ring.Append(fault(2, memmap.ZeroFill, 1))
	ring.Append(fault(2, memmap.COWCopy, 3))
	ring.Append(fault(3, memmap.COWCopy, 2))
	counts, err := j.Stats(nil, func(e *mm.Event) string { return e.Cause.String() })
	if err != nil || len(counts) != 2 {
		t.Fatalf("stats: %+v, %v", counts, err)
	}
	if counts[0] != (Count{"cow-copy", 2, 5}) || counts[1] != (Count{"zero-fill", 1, 1}) {
		t.Errorf("stats: %+v", counts)
	}
}

func TestCowIsTheKindOfBothOutcomes(t *testing.T) {
	for cause, want := range map[memmap.Cause]bool{memmap.COWCopy: true, memmap.COWReuse: true, memmap.ZeroFill: false} {
		e := fault(2, cause, 1)
		if IsKind(&e, "cow") != want {
			t.Errorf("%v is cow: %v", cause, !want)
		}
		if !IsKind(&e, "fault") {
			t.Errorf("%v is no fault", cause)
		}
	}
}

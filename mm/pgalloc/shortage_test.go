package pgalloc

import "testing"

// purse gives back what it has.
type purse struct {
	name  string
	bytes uint64
	log   *string
}

func (p *purse) GiveBack(want uint64) uint64 {
	*p.log += p.name
	n := min(want, p.bytes)
	p.bytes -= n
	return n
}

// The last that was added is asked first, until there is enough.
func TestGiversAreAskedInTurn(t *testing.T) {
	f, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var log string
	if f.Relieve() {
		t.Error("nobody gave anything")
	}
	a, b := &purse{"a", 3 << 20, &log}, &purse{"b", 2 << 20, &log}
	f.AddGiver(a)
	f.AddGiver(b)
	for _, want := range []bool{true, true, false} {
		if f.Relieve() != want {
			t.Errorf("after %q: not %v", log, want)
		}
		log += "."
	}
	f.RemoveGiver(b)
	b.bytes = 1
	if f.Relieve() {
		t.Error("who was removed was asked")
	}
	if log != "ba.ba.ba.a" {
		t.Errorf("asked %q", log)
	}
}

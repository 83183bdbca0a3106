package syscalls

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// The requests of a userfaultfd that came after UFFDIO_WRITEPROTECT.
const (
	uffdioMove     = 0xc028aa05
	uffdioContinue = 0xc020aa07
	uffdioPoison   = 0xc020aa08

	uffdAllowHoles       = 1 << 1 // of MOVE
	uffdContinueProtects = 1 << 1 // of CONTINUE
)

// uffdRangeMode is how the structure of most requests begins.
type uffdRangeMode struct {
	uffdRange
	Mode uint64
}

// rangeAndMode reads a range that can be, and a mode.
func (f *uffdFile) rangeAndMode(t *sentry.Task, arg memmap.Addr) (uffdRangeMode, error) {
	v, err := copyIn[uffdRangeMode](t, arg)
	if err == nil {
		err = f.u.Check(v.addrs())
	}
	return v, err
}

// fills is what UFFDIO_ZEROPAGE, CONTINUE and POISON share: a structure of range, mode and
// answer, of which modes are the modes that are known.
func (f *uffdFile) fills(t *sentry.Task, arg memmap.Addr, modes uint64, fill func(dst memmap.AddrRange, mode uint64) (uint64, error)) error {
	v, err := f.rangeAndMode(t, arg)
	if err != nil {
		return err
	}
	if v.Mode&^modes != 0 {
		return invalid("userfaultfd", "mode %#x", v.Mode)
	}
	done, err := fill(v.addrs(), v.Mode)
	return f.filled(t, arg+24, v.uffdRange, done, err, v.Mode)
}

// move is UFFDIO_MOVE. Pages go from one place of a memory to another by who lives in it.
func (f *uffdFile) move(t *sentry.Task, arg memmap.Addr) error {
	v, err := copyIn[struct{ Dst, Src, Len, Mode uint64 }](t, arg)
	if err != nil {
		return err
	}
	dst, src := uffdRange{v.Dst, v.Len}, uffdRange{v.Src, v.Len}
	if f.u.MM() != t.MM() {
		return invalid("userfaultfd", "pages move within one memory")
	}
	if err := f.u.Check(dst.addrs()); err != nil {
		return err
	}
	if err := f.u.Check(src.addrs()); err != nil {
		return err
	}
	if v.Mode&^(uffdDontWake|uffdAllowHoles) != 0 {
		return invalid("userfaultfd", "mode %#x", v.Mode)
	}
	done, err := f.u.Move(f.actor(t), dst.addrs(), src.addrs(), v.Mode&uffdAllowHoles != 0)
	return f.filled(t, arg+32, dst, done, err, v.Mode)
}

package mm

import (
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Layout is where things go in an address space.
type Layout struct {
	Min, Max    memmap.Addr // guest mappings lie in [Min, Max)
	TopDown     bool        // the direction of search for room
	TopDownBase memmap.Addr // mmap base: top-down search starts below it
	BottomUp    memmap.Addr // where bottom-up search starts
	StackTop    memmap.Addr // the end of the first stack
	PIEBase     memmap.Addr // load address of a PIE that has an interpreter
}

// Linux's numbers for x86-64: arch/x86/mm/mmap.c, arch/x86/include/asm/elf.h.
const (
	stackGap     = 1 << 20   // stack_guard_gap
	minStackRoom = 128 << 20 // least distance of the mmap base from the top
	stackRandom  = 1 << 22   // pages
	mmapRandom   = 1 << 28   // pages
)

// NewLayout returns Linux's layout for addresses in user with that RLIMIT_STACK:
// exactly Linux's with randomisation off if seed is 0, else shifted by
// pseudo-random pages drawn from seed.
func NewLayout(user memmap.AddrRange, stackLimit uint64, seed int64) (Layout, error) {
	start, ok := user.Start.RoundUp()
	end := user.End.RoundDown()
	if !ok || end <= start || end-start < 8*minStackRoom {
		return Layout{}, fmt.Errorf("layout: %w: %v has no room for a process", unix.EINVAL, user)
	}
	var stackRnd, mmapRnd, pieRnd memmap.Addr
	pad := uint64(stackGap)
	if seed != 0 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 0))
		room := uint64(end-start) / memmap.PageSize
		stackRnd = memmap.Addr(rnd.Uint64N(min(stackRandom, room/32))) * memmap.PageSize
		mmapRnd = memmap.Addr(rnd.Uint64N(min(mmapRandom, room/16))) * memmap.PageSize
		pieRnd = memmap.Addr(rnd.Uint64N(min(mmapRandom, room/16))) * memmap.PageSize
		pad += min(stackRandom, room/32) * memmap.PageSize
	}
	l := Layout{Min: start, Max: end, TopDown: stackLimit != Infinity}
	gap := stackLimit
	if gap+pad > gap {
		gap += pad
	}
	gap = min(max(gap, minStackRoom), uint64(end)/6*5)
	l.TopDownBase = pageUp(end - memmap.Addr(gap) - mmapRnd)
	l.BottomUp = max(start, pageUp(end/3)+mmapRnd)
	l.StackTop = end - stackRnd
	l.PIEBase = max(start, (end/3*2).RoundDown()+pieRnd)
	return l, nil
}

// pageUp rounds up an address that is known not to be near the end of all addresses.
func pageUp(a memmap.Addr) memmap.Addr {
	up, _ := a.RoundUp()
	return up
}

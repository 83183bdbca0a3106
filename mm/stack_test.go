package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

func TestStackGrows(t *testing.T) {
	p := newProcess(t)
	p.by.Limits.Stack = 1 << 20
	stack, err := p.MapStack(p.by, 128<<10)
	p.ok(err)
	deep := stack.Start - 5*page - 8
	p.stores(deep, 1, memmap.StackGrow)
	if v, _ := p.FindVMA(deep); v.AR.Start != deep.RoundDown() || v.AR.End != stack.End || v.Name != "[stack]" {
		t.Errorf("the stack is %v %q", v.AR, v.Name)
	}
	p.stores(deep+page, 1, memmap.ZeroFill)
	// Copies grow it as accesses do.
	p.ok(second(p.CopyOut(p.by, deep-3*page, []byte("frame"), IOOpts{})))
	lowest := stack.End - 1<<20
	p.stores(lowest, 1, memmap.StackGrow)
	cause, err := p.store(lowest-1, 1)
	if cause != memmap.LimitHit || errno(err) != unix.EFAULT {
		t.Errorf("below RLIMIT_STACK: %v, %v", cause, err)
	}
	_, err = p.CopyOut(p.by, lowest-page, []byte("frame"), IOOpts{})
	p.wantErrno(err, unix.EFAULT, "a copy below RLIMIT_STACK")
	p.check()
}

func TestStackKeepsItsDistance(t *testing.T) {
	p := newProcess(t)
	low := base + 4*huge
	grow := func(addr memmap.Addr) {
		p.mmap(memmap.MMapOpts{Addr: addr, Fixed: true, Length: page, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true, GrowsDown: true})
	}
	grow(low)
	below := low - stackGap - 2*page
	p.anon(below, page, memmap.Read)
	p.stores(low-page, 1, memmap.StackGrow)
	cause, err := p.store(low-2*page, 1)
	if cause != memmap.GuardPage || errno(err) != unix.EFAULT {
		t.Errorf("into the guard gap: %v, %v", cause, err)
	}
	p.mprotect(below, page, memmap.NoAccess) // what nobody can access needs no distance
	p.stores(below+page, 1, memmap.StackGrow)
	p.check()
}

// Reading grows a stack as well, by the zero page.
func TestStackGrowsForReads(t *testing.T) {
	p := newProcess(t)
	stack, err := p.MapStack(p.by, 4*page)
	p.ok(err)
	p.loads(stack.Start-1, 0, memmap.StackGrow)
	if rss := p.RSS(); rss != 0 {
		t.Errorf("RSS is %d", rss)
	}
	p.stores(stack.Start-1, 1, memmap.COWCopy)
}

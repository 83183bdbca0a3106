package mm

import (
	"math/rand/v2"
	"sync"
	"testing"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
)

// Threads of one process, its file and its forks all act at once; every invariant
// holds at the end. (Run with -race.)
func TestConcurrentUse(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 16)
	var mu sync.Mutex // the file's, which its mappings and truncation share
	locked := &lockedFile{file: f, mu: &mu}
	p.mmap(memmap.MMapOpts{Addr: base + 16*page, Fixed: true, Length: 16 * page, Mappable: locked, Identity: locked, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true})
	p.anon(base, 16*page, memmap.ReadWrite)
	var wg sync.WaitGroup
	for thread := range uint64(4) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(thread, 1))
			for range 300 {
				concurrentStep(p, rnd)
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for range 100 {
			mu.Lock()
			f.mappings.Invalidate(memmap.MappableRange{Start: 0, End: 8 * page}, false)
			mu.Unlock()
		}
	}()
	wg.Wait()
	p.check()
}

// concurrentStep does something whose outcome others may change: only its crashes
// and what it leaves are judged.
func concurrentStep(p *proc, rnd *rand.Rand) {
	addr := base + memmap.Addr(rnd.IntN(32))*page
	n := uint64(1+rnd.IntN(4)) * page
	switch rnd.IntN(10) {
	case 0:
		p.MProtect(p.by, addr, n, memmap.Read, false)
	case 1, 2:
		p.MProtect(p.by, addr, n, memmap.ReadWrite, false)
	case 3:
		p.MMap(p.by, memmap.MMapOpts{Addr: addr &^ (16*page - 1), Fixed: true, Unmap: true, Length: page, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true})
	case 4:
		p.Decommit(p.by, addr, n)
	case 5:
		forkAndExit(p)
	case 6:
		p.CopyOut(p.by, addr, make([]byte, n), IOOpts{})
	case 7:
		p.VMAs(p.All())
		p.PMAs(p.All())
	default:
		p.HandleUserFault(p.by, addr, memmap.Write, 0)
	}
}

func forkAndExit(p *proc) {
	as := nullas.New()
	child, err := p.Fork(p.by, as, 9)
	if err != nil {
		p.t.Errorf("fork: %v", err)
		return
	}
	child.CopyOut(p.by, base, make([]byte, 2*page), IOOpts{})
	for _, err := range child.Check(true) {
		p.t.Errorf("the child: %v", err)
	}
	child.DecUsers(p.by)
}

// lockedFile is a file whose mappings are changed under a lock.
type lockedFile struct {
	*file
	mu *sync.Mutex
}

func (l *lockedFile) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.AddMapping(ms, ar, off, writable)
}

func (l *lockedFile) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.RemoveMapping(ms, ar, off, writable)
}

func (l *lockedFile) CopyMapping(ms memmap.MappingSpace, src, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.CopyMapping(ms, src, dst, off, writable)
}

func (l *lockedFile) IncRef() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs++
}

func (l *lockedFile) DecRef() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs--
}

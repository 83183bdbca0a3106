// Package nullas is an address space with no process behind it: it keeps what the
// engine has it map, counts the calls, and can be told to fail. Tests and benchmarks
// of the engine run on it, and play the guest with Load and Store.
package nullas

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/platform"
)

// AddressSpace implements platform.AddressSpace. It is safe for concurrent use.
type AddressSpace struct {
	mu       sync.Mutex
	mapped   segment.Set[memmap.Addr, mapping]
	counts   Counts
	blind    bool
	fail     []error
	released bool
}

// Counts are the calls that an AddressSpace has had.
type Counts struct {
	Applies  int // calls of Apply
	Maps     int // operations that map
	Walks    int // of Maps, those that fill the page tables at once
	Unmaps   int
	Failures int // Applies that failed by order
	Copies   int // of AddressSpaceIO that did something
}

// mapping is what is mapped at a range, as mmap was told.
type mapping struct {
	file   memmap.File
	offset memmap.FileOffset
	at     memmap.AccessType
}

// Merge implements segment.Value.
func (m mapping) Merge(a, _ memmap.AddrRange, next mapping) bool {
	continued := next
	continued.offset = m.offset
	return continued == m && m.offset+memmap.FileOffset(a.Length()) == next.offset
}

// Split implements segment.Value.
func (m mapping) Split(r memmap.AddrRange, at memmap.Addr) mapping {
	m.offset += memmap.FileOffset(at - r.Start)
	return m
}

// New returns an empty address space.
func New() *AddressSpace { return &AddressSpace{} }

// NewBlind returns one that counts and forgets, for benchmarks: HostMappings is
// empty and no Load succeeds.
func NewBlind() *AddressSpace { return &AddressSpace{blind: true} }

// Fail makes the next Applies fail, one for each error, before they do anything; one
// whose error is nil works.
// With ErrDied all that is mapped is gone, as a stub's mappings are.
func (as *AddressSpace) Fail(errs ...error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.fail = append(as.fail, errs...)
}

// Counts returns the calls so far.
func (as *AddressSpace) Counts() Counts {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.counts
}

// Released reports whether Release was called.
func (as *AddressSpace) Released() bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.released
}

// Apply implements platform.AddressSpace. It panics at operations that the contract
// forbids.
func (as *AddressSpace) Apply(_ platform.Context, ops []platform.MapOp) error {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.counts.Applies++
	if as.released {
		panic("nullas: Apply after Release")
	}
	if len(as.fail) > 0 {
		err := as.fail[0]
		as.fail = as.fail[1:]
		if errors.Is(err, platform.ErrDied) {
			as.mapped.Clear()
		}
		if err != nil {
			as.counts.Failures++
			return err
		}
	}
	for _, op := range ops {
		as.apply(op)
	}
	return nil
}

func (as *AddressSpace) apply(op platform.MapOp) {
	if op.AR.IsEmpty() || !op.AR.Start.IsPageAligned() || !op.AR.End.IsPageAligned() || op.Offset%memmap.PageSize != 0 {
		panic(fmt.Sprintf("nullas: %v at offset %#x is empty or not page-aligned", op.AR, uint64(op.Offset)))
	}
	if op.File == nil {
		as.counts.Unmaps++
	} else {
		as.counts.Maps++
		if op.Populate {
			as.counts.Walks++
		}
	}
	if as.blind {
		return
	}
	as.mapped.Cut(op.AR, nil)
	if op.File == nil {
		return
	}
	if !op.At.Any() || op.File.FD() < 0 && op.At.Write {
		panic(fmt.Sprintf("nullas: %v mapped %v", op.AR, op.At))
	}
	as.mapped.Insert(op.AR, mapping{op.File, op.Offset, op.At.Effective()})
}

// NewContext implements platform.AddressSpace: there is nothing to run.
func (as *AddressSpace) NewContext(platform.Context) (platform.Context, error) {
	return nil, errors.New("nullas: no guest can run here")
}

// HostMappings implements platform.AddressSpace.
func (as *AddressSpace) HostMappings() ([]platform.HostMapping, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	var all []platform.HostMapping
	for seg := range as.mapped.All() {
		all = append(all, platform.HostMapping{
			AR: seg.Range, Perms: seg.Value.at, Shared: seg.Value.file.FD() >= 0, Offset: uint64(seg.Value.offset),
		})
	}
	return all, nil
}

// HostPID implements platform.AddressSpace: there is no process.
func (as *AddressSpace) HostPID() int { return 0 }

// Release implements platform.AddressSpace.
func (as *AddressSpace) Release() {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.mapped.Clear()
	as.released = true
}

// Allows reports whether an access at addr would be made without a fault.
func (as *AddressSpace) Allows(addr memmap.Addr, at memmap.AccessType) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	seg, ok := as.mapped.Find(addr)
	return ok && seg.Value.at.SupersetOf(at)
}

// Load is a guest's load of one byte: EFAULT is the fault.
func (as *AddressSpace) Load(addr memmap.Addr) (byte, error) {
	var b [1]byte
	err := as.access(addr, memmap.Read, func(m safemem.Seq) error {
		_, err := safemem.Copy(safemem.Of(b[:]), m)
		return err
	})
	return b[0], err
}

// Store is a guest's store of one byte: EFAULT is the fault.
func (as *AddressSpace) Store(addr memmap.Addr, v byte) error {
	return as.access(addr, memmap.Write, func(m safemem.Seq) error {
		_, err := safemem.Copy(m, safemem.Of([]byte{v}))
		return err
	})
}

// CopyOut implements platform.AddressSpaceIO.
func (as *AddressSpace) CopyOut(addr memmap.Addr, src []byte) int {
	return as.copyPages(addr, src, memmap.Write, func(m safemem.Seq, b []byte) error {
		_, err := safemem.Copy(m, safemem.Of(b))
		return err
	})
}

// CopyIn implements platform.AddressSpaceIO.
func (as *AddressSpace) CopyIn(addr memmap.Addr, dst []byte) int {
	return as.copyPages(addr, dst, memmap.Read, func(m safemem.Seq, b []byte) error {
		_, err := safemem.Copy(safemem.Of(b), m)
		return err
	})
}

// copyPages does f to b page by page, as far as what is mapped allows.
func (as *AddressSpace) copyPages(addr memmap.Addr, b []byte, at memmap.AccessType, f func(safemem.Seq, []byte) error) int {
	done := 0
	for done < len(b) {
		pos := addr + memmap.Addr(done)
		part := b[done:min(len(b), done+int(memmap.PageSize-pos.PageOffset()))]
		if as.accessRange(pos, len(part), at, func(m safemem.Seq) error { return f(m, part) }) != nil {
			break
		}
		done += len(part)
	}
	if done > 0 {
		as.mu.Lock()
		as.counts.Copies++
		as.mu.Unlock()
	}
	return done
}

func (as *AddressSpace) access(addr memmap.Addr, at memmap.AccessType, f func(safemem.Seq) error) error {
	return as.accessRange(addr, 1, at, f)
}

// accessRange does f to the n bytes at addr, which lie in one page.
func (as *AddressSpace) accessRange(addr memmap.Addr, n int, at memmap.AccessType, f func(safemem.Seq) error) error {
	as.mu.Lock()
	defer as.mu.Unlock()
	seg, ok := as.mapped.Find(addr)
	if !ok || !seg.Value.at.SupersetOf(at) {
		return unix.EFAULT
	}
	off := seg.Value.offset + memmap.FileOffset(addr-seg.Start)
	m, err := seg.Value.file.MapInternal(memmap.FileRange{Start: off, End: off + memmap.FileOffset(n)}, at)
	if err != nil {
		return err
	}
	return f(m)
}

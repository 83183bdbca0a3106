package mm_test

import (
	"fmt"
	"log"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// counting is an address space with no process behind it: it counts what the engine
// has it map and unmap. All that the engine knows it knows without a host.
type counting struct{ maps, unmaps int }

func (as *counting) Apply(_ platform.Context, ops []platform.MapOp) error {
	for _, op := range ops {
		if op.File == nil {
			as.unmaps++
		} else {
			as.maps++
		}
	}
	return nil
}

func (as *counting) NewContext(platform.Context) (platform.Context, error) {
	return nil, platform.ErrDied // there is nothing to run
}
func (as *counting) HostMappings() ([]platform.HostMapping, error) { return nil, nil }
func (as *counting) HostPID() int                                  { return 0 }
func (as *counting) Release()                                      {}

// A page's life: it is mapped, touched, shared with a child by fork, copied by the
// first of the two that writes, and taken over by the other.
func Example() {
	memory, err := pgalloc.New(pgalloc.Options{}) // the physical memory of all processes
	if err != nil {
		log.Fatal(err)
	}
	layout, err := mm.NewLayout(memmap.AddrRange{Start: 0x10000, End: 0x7ffffffff000}, 8<<20, 0)
	if err != nil {
		log.Fatal(err)
	}
	window := &mm.FaultWindow{}
	window.Set(memmap.PageSize) // every first touch of a page is a fault

	host := &counting{}
	parent := mm.New(mm.Config{Memory: memory, AS: host, Layout: layout, Window: window, PID: 1})
	who := &mm.Actor{Limits: mm.NoLimits(), Origin: memmap.Origin{By: memmap.ByGuest, Op: "example"}}
	show := func(what string, result any) {
		fmt.Printf("%-17s  %-14v resident %d, memory %d, host maps %d\n",
			what, result, parent.RSS()/memmap.PageSize, memory.Stats().Total/memmap.PageSize, host.maps)
	}
	fault := func(m *mm.MemoryManager, addr memmap.Addr, at memmap.AccessType) memmap.Cause {
		cause, err := m.HandleUserFault(who, addr, at, 0)
		if err != nil {
			fmt.Println(err)
		}
		return cause
	}

	// Mapping memory makes no page.
	addr, err := parent.MMap(who, memmap.MMapOpts{Length: 4 * memmap.PageSize, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true})
	if err != nil {
		log.Fatal(err)
	}
	show("mmap", addr)

	// Reading maps the page of zeroes, which everybody has; writing makes a page.
	show("read", fault(parent, addr, memmap.Read))
	show("write", fault(parent, addr, memmap.Write))

	// After a fork the page has two owners, and neither may write it.
	child, err := parent.Fork(who, &counting{}, 2)
	if err != nil {
		log.Fatal(err)
	}
	show("fork", "shared")
	show("the child writes", fault(child, addr, memmap.Write))
	show("the parent writes", fault(parent, addr, memmap.Write))

	// Copies in and out take the same way as the guest's accesses.
	if _, err := parent.CopyOut(who, addr, []byte("hello"), mm.IOOpts{}); err != nil {
		log.Fatal(err)
	}
	theirs := make([]byte, 5)
	if _, err := child.CopyIn(who, addr, theirs, mm.IOOpts{}); err != nil {
		log.Fatal(err)
	}
	show("the child reads", fmt.Sprintf("%q", theirs[:2]))

	// What is refused has an errno for the guest and a reason for people.
	if err = parent.MProtect(who, addr, memmap.PageSize, memmap.Read, false); err != nil {
		log.Fatal(err)
	}
	show("write again", fault(parent, addr, memmap.Write))
	for _, vma := range parent.VMAs(parent.All()) {
		fmt.Println(vma.AR, vma.Perms, vma.Origin.Op)
	}

	child.DecUsers(who)
	parent.DecUsers(who)
	fmt.Println("memory left:", memory.Stats().Total, memory.Close())
	// Output:
	// mmap               0x7ffff7ffb000 resident 0, memory 0, host maps 0
	// read               zero-map       resident 0, memory 0, host maps 1
	// write              cow-copy       resident 1, memory 1, host maps 2
	// fork               shared         resident 1, memory 1, host maps 3
	// the child writes   cow-copy       resident 1, memory 2, host maps 3
	// the parent writes  cow-reuse      resident 1, memory 2, host maps 4
	// the child reads    "\x00\x00"     resident 1, memory 2, host maps 4
	// fault: EPERM: [0x7ffff7ffb000, 0x7ffff7ffc000) allows r--, not -w-, at 0x7ffff7ffb000
	// write again        permission     resident 1, memory 2, host maps 5
	// [0x7ffff7ffb000, 0x7ffff7ffc000) r-- example
	// [0x7ffff7ffc000, 0x7ffff7fff000) rw- example
	// memory left: 0 <nil>
}

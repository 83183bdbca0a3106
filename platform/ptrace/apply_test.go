package ptrace

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

var readOnly = memmap.Read

// TestApplyMatchesAModel maps and unmaps at random, by the keeper and by the
// context, in batches of all sizes, and compares what the host says with a page
// by page model.
func TestApplyMatchesAModel(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	const pages, base = 512, memmap.Addr(0x1000_0000)
	type mapped struct {
		off memmap.FileOffset
		at  memmap.AccessType
		fd  int
	}
	var model [pages]*mapped
	files := []memFile{newMemFile(t, 1<<30), newMemFile(t, 1<<30), zeroes}
	rights := []memmap.AccessType{memmap.Read, memmap.ReadExecute, memmap.ReadWrite, memmap.AnyAccess}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		ops := make([]platform.MapOp, rnd.IntN(3*slotsPerBatch))
		for i := range ops {
			from := rnd.IntN(pages)
			to := min(pages, from+1+rnd.IntN(8))
			op := &ops[i]
			op.AR = memmap.AddrRange{Start: base + memmap.Addr(from)*memmap.PageSize, End: base + memmap.Addr(to)*memmap.PageSize}
			if rnd.IntN(3) > 0 {
				f := files[rnd.IntN(len(files))]
				op.File, op.Offset, op.At = f, memmap.FileOffset(rnd.IntN(1000))*memmap.PageSize, rights[rnd.IntN(len(rights))]
				if f == zeroes {
					op.At.Write = false
				}
				op.Populate = rnd.IntN(10) == 0
			}
			for p := from; p < to; p++ {
				if op.File == nil {
					model[p] = nil
					continue
				}
				model[p] = &mapped{op.Offset + memmap.FileOffset(p-from)*memmap.PageSize, op.At, op.File.FD()}
			}
		}
		via := g.Context
		if round%2 == 0 {
			via = nil
		}
		if err := g.as.Apply(via, ops); err != nil {
			t.Fatal(err)
		}
		host, err := g.as.HostMappings()
		if err != nil {
			t.Fatal(err)
		}
		var seen [pages]*platform.HostMapping
		for i := range host {
			for a := host[i].AR.Start; a < host[i].AR.End; a += memmap.PageSize {
				if a >= base && a < base+pages*memmap.PageSize {
					seen[(a-base)/memmap.PageSize] = &host[i]
				}
			}
		}
		for p, want := range model {
			got := seen[p]
			if (got == nil) != (want == nil) {
				t.Fatalf("round %d page %d: host %v, model %v", round, p, got, want)
			}
			if got == nil {
				continue
			}
			off := got.Offset + uint64(base) + uint64(p)*memmap.PageSize - uint64(got.AR.Start)
			if got.Perms != want.at || got.Shared != (want.fd >= 0) || want.fd >= 0 && off != uint64(want.off) {
				t.Fatalf("round %d page %d: host %+v, model %+v", round, p, *got, *want)
			}
		}
	}
}

func TestApplyRefusesWhatTheContractForbids(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	r := g.p.UserRange()
	rng := func(a, b memmap.Addr) memmap.AddrRange { return memmap.AddrRange{Start: a, End: b} }
	for name, op := range map[string]platform.MapOp{
		"empty":            {AR: rng(0x700000, 0x700000)},
		"unaligned":        {AR: rng(0x700000, 0x700800)},
		"the stub's pages": {AR: rng(r.Start-memmap.PageSize, r.Start+memmap.PageSize)},
		"everything":       {AR: rng(0, ^memmap.Addr(memmap.PageSize-1))},
		"above":            {AR: rng(r.End, r.End+memmap.PageSize)},
		"unaligned offset": {AR: page(0x700000), File: g.file, Offset: 1, At: memmap.Read},
		"no access":        {AR: page(0x700000), File: g.file},
		"writable zeroes":  {AR: page(0x700000), File: zeroes, At: memmap.ReadWrite},
	} {
		if err := g.as.Apply(g.Context, []platform.MapOp{op}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", name, err)
		}
	}
	if err := g.as.Apply(g.Context, []platform.MapOp{{AR: page(0x700000), File: memFile{1 << 20}, At: memmap.Read}}); !errors.Is(err, unix.EBADF) {
		t.Errorf("closed descriptor: %v", err)
	}
	g.apply(platform.MapOp{AR: r}) // all that the guest may name is gone, and the stub lives
	g.expect(fault(memmap.Execute, segvMapErr, codeAt))
}

func TestApplySaysThatTheHostsMapIsFull(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	file := newMemFile(t, 1<<30)
	var err error
	const base = memmap.Addr(0x1000_0000)
	mapped := 0
	for ; mapped < 70000 && err == nil; mapped += 100 {
		var ops []platform.MapOp
		for i := mapped; i < mapped+100; i++ {
			ops = append(ops, platform.MapOp{AR: page(base + memmap.Addr(i)*memmap.PageSize), File: file, At: memmap.Read})
		}
		err = g.as.Apply(g.Context, ops)
	}
	if !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("error %v after %d mappings, want ENOMEM", err, mapped)
	}
	g.apply(platform.MapOp{AR: memmap.AddrRange{Start: base, End: base + 70000*memmap.PageSize}})
	g.apply(platform.MapOp{AR: page(base), File: file, At: memmap.Read})
}

func TestAReusedDescriptorIsTheNewFile(t *testing.T) {
	g := newGuest(t, testPlatform(t), 0x8b, 0x00, 0x0f, 0x05) // mov eax, [rax]; syscall
	for i := range 20 {
		fd, err := unix.MemfdCreate("short-lived", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f := memFile{fd}
		f.write(t, []byte{byte(i + 1)}, 0)
		g.apply(platform.MapOp{AR: page(0x700000), File: f, At: memmap.Read})
		g.regs.Rip, g.regs.Rax = uint64(codeAt), 0x700000
		g.expectCall(uint64(i + 1))
		if i%3 == 0 {
			g.p.ForgetFD(fd)
		}
		unix.Close(fd)
	}
}

// Who is traced on this thread but lives elsewhere is no way into an address space: its
// own keeper makes the change, and nobody else's memory changes.
func TestApplyByAContextOfAnotherAddressSpace(t *testing.T) {
	p := testPlatform(t)
	g, other := newGuest(t, p), newGuest(t, p)
	at := page(0x700000)
	if err := g.as.Apply(other.Context, []platform.MapOp{{AR: at, File: newMemFile(t, memmap.PageSize), At: memmap.Read}}); err != nil {
		t.Fatal(err)
	}
	for _, as := range []struct {
		platform.AddressSpace
		want bool
	}{{g.as, true}, {other.as, false}} {
		host, err := as.HostMappings()
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(host, func(m platform.HostMapping) bool { return m.AR.Overlaps(at) }); got != as.want {
			t.Errorf("mapped: %v, want %v", got, as.want)
		}
	}
}

// The stubs keep few descriptors, those used last; what was mapped through others
// stays, and they are passed again when they are needed.
func TestStubsKeepFewDescriptors(t *testing.T) {
	g := newGuest(t, testPlatform(t), 0x8b, 0x00, 0x0f, 0x05) // mov eax, [rax]; syscall
	z := g.p.zygote.Load()
	z.fds.most = 4
	const n = 20
	var files [n]memFile
	at := func(i int) memmap.AddrRange { return page(0x700000 + memmap.Addr(i)*memmap.PageSize) }
	for i := range files {
		files[i] = newMemFile(t, memmap.PageSize)
		files[i].write(t, []byte{byte(i + 1)}, 0)
		g.apply(platform.MapOp{AR: at(i), File: files[i], At: memmap.Read})
		if have := len(z.fds.known); have > 4 {
			t.Fatalf("the stubs have %d descriptors", have)
		}
	}
	var ops []platform.MapOp // more than they are to have, in one call
	for i := range files {
		g.regs.Rip, g.regs.Rax = uint64(codeAt), uint64(at(i).Start)
		g.expectCall(uint64(i + 1))
		ops = append(ops, platform.MapOp{AR: at(n - 1 - i), File: files[i], At: memmap.Read})
	}
	g.apply(ops...)
	for i := range files {
		g.regs.Rip, g.regs.Rax = uint64(codeAt), uint64(at(n-1-i).Start)
		g.expectCall(uint64(i + 1))
	}
	if len(z.fds.busy) != 0 {
		t.Errorf("%d descriptors are still named", len(z.fds.busy))
	}
	g.apply(platform.MapOp{AR: at(0), File: newMemFile(t, memmap.PageSize), At: memmap.Read})
}

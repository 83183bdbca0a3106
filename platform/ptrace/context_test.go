package ptrace

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// forever is for (;;) {}.
var forever = []byte{0xeb, 0xfe}

func (g *guest) step() platform.Stop {
	g.t.Helper()
	stop, err := g.Step(&g.regs)
	if err != nil {
		g.t.Fatal(err)
	}
	return stop
}

func TestStepRunsOneInstruction(t *testing.T) {
	g := newGuest(t, testPlatform(t),
		0x90,               // nop
		0xb8, 110, 0, 0, 0, // mov eax, 110
		0x0f, 0x05, // syscall
		0x89, 0xc3, // mov ebx, eax
		0xff, 0xc3, // inc ebx
		0x0f, 0x0b, // ud2
	)
	for _, want := range []struct {
		kind platform.StopKind
		off  uint64
	}{
		{platform.Stepped, 1}, {platform.Stepped, 6}, {platform.Syscall, 8}, {platform.Stepped, 10},
		{platform.Stepped, 12}, {platform.Exception, 12},
	} {
		if stop := g.step(); stop.Kind != want.kind || g.regs.Rip != uint64(codeAt)+want.off {
			t.Fatalf("%v at %#x, want %v at +%d", stop, g.regs.Rip, want.kind, want.off)
		}
		if want.kind == platform.Syscall {
			g.regs.Rax = 41
		}
	}
	if g.regs.Rbx != 42 {
		t.Errorf("rbx %d, want 42", g.regs.Rbx)
	}
}

func TestStepOfASystemCallWhoseTrapFlagIsTheGuests(t *testing.T) {
	g := newGuest(t, testPlatform(t), 0x90, 0x90, 0x0f, 0x0b)
	g.regs.Eflags |= flagTF
	want := exception(unix.SIGTRAP, trapTrace, codeAt+1)
	if stop := g.step(); stop != want || g.regs.Eflags&flagTF == 0 {
		t.Fatalf("%v with flags %#x, want %v and the flag", stop, g.regs.Eflags, want)
	}
	g.regs.Eflags &^= flagTF
	if stop := g.step(); stop.Kind != platform.Stepped || g.regs.Eflags&flagTF != 0 {
		t.Fatalf("%v with flags %#x after the flag was cleared", stop, g.regs.Eflags)
	}
}

func TestInterruptStopsARunningGuest(t *testing.T) {
	g := newGuest(t, testPlatform(t), forever...)
	for range 100 {
		go g.Interrupt()
		g.expect(platform.Stop{Kind: platform.Interrupted})
		if g.regs.Rip != uint64(codeAt) {
			t.Fatalf("rip %#x", g.regs.Rip)
		}
	}
}

func TestInterruptBeforeRunCountsOnce(t *testing.T) {
	g := newGuest(t, testPlatform(t), getppid...)
	g.Interrupt()
	g.Interrupt()
	g.expect(platform.Stop{Kind: platform.Interrupted})
	g.expectCall(unix.SYS_GETPPID)
}

// TestForeignSignalsAreIgnored sends what a careless person might, to all three
// kinds of stub: all go on.
func TestForeignSignalsAreIgnored(t *testing.T) {
	p := testPlatform(t)
	g := newGuest(t, p, forever...)
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig == unix.SIGKILL || sig == 32 || sig == 33 {
			continue
		}
		victims := []int{g.HostTID()}
		if !isGuestSignal(sig) {
			victims = append(victims, g.as.HostPID(), p.zygote.Load().t.pid)
		}
		for _, pid := range victims {
			if err := unix.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
		go g.Interrupt()
		g.expect(platform.Stop{Kind: platform.Interrupted})
		g.mapAt(0x900000, dataOff, readOnly)
		if err := g.as.Apply(nil, []platform.MapOp{{AR: page(0x900000)}}); err != nil {
			t.Fatalf("the keeper, after signal %d: %v", sig, err)
		}
		if as, err := p.NewAddressSpace(); err != nil {
			t.Fatalf("the zygote, after signal %d: %v", sig, err)
		} else {
			as.Release()
		}
	}
	g.file.write(t, []byte{0x0f, 0x0b}, codeOff)
	g.expect(exception(unix.SIGILL, 2, codeAt))
}

func TestVectorStateIsKeptSetAndInherited(t *testing.T) {
	// movups xmm3, [rax]; syscall; movups [rax], xmm3; syscall
	g := newGuest(t, testPlatform(t), 0x0f, 0x10, 0x18, 0x0f, 0x05, 0x0f, 0x11, 0x18, 0x0f, 0x05)
	initial, err := g.FPState()
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("sixteen bytes...")
	g.file.write(t, secret, dataOff)
	g.regs.Rax = uint64(dataAt)
	g.expect(platform.Stop{Kind: platform.Syscall})
	used, err := g.FPState()
	if err != nil {
		t.Fatal(err)
	}
	if const160 := 160 + 3*16; !bytes.Equal(used[const160:][:16], secret) || bytes.Equal(used, initial) {
		t.Fatalf("the state does not show xmm3: % x", used[const160:][:16])
	}
	heir, err := g.as.NewContext(g.Context)
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Release()
	if got, err := heir.FPState(); err != nil || !bytes.Equal(got, used) {
		t.Errorf("the heir's state differs (%v)", err)
	}
	if err := g.SetFPState(initial); err != nil {
		t.Fatal(err)
	}
	g.regs.Rax = uint64(dataAt)
	g.expect(platform.Stop{Kind: platform.Syscall})
	got := make([]byte, 16)
	if _, err := unix.Pread(g.file.fd, got, dataOff); err != nil || !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("stored % x (%v), want the initial zeroes", got, err)
	}
	if err := g.SetFPState(used); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"short":       used[:len(used)-8],
		"empty":       nil,
		"bad mxcsr":   patched(used, 24, 0xff),
		"bad bitmap":  patched(used, xstateBV+7, 0x7f),
		"compact now": patched(used, xstateBV+15, 0x80),
	} {
		if err := g.SetFPState(bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", name, err)
		}
	}
}

// patched returns a copy of b in which the four bytes at off are v.
func patched(b []byte, off int, v byte) []byte {
	b = bytes.Clone(b)
	b[off] = v
	if off == 24 {
		b[off+1], b[off+2] = v, v
	}
	return b
}

func TestVectorStateOfARunningParentIsNotGuessed(t *testing.T) {
	g := newGuest(t, testPlatform(t), getppid...)
	g.expectCall(unix.SYS_GETPPID)
	errs := make(chan error)
	go func() {
		_, err := g.as.NewContext(g.Context)
		errs <- err
	}()
	if err := <-errs; !errors.Is(err, unix.EINVAL) {
		t.Errorf("error %v, want EINVAL: the state was not saved", err)
	}
}

func TestSegmentBasesAreSetAndHostileOnesSurvive(t *testing.T) {
	g := newGuest(t, testPlatform(t), assemble(
		[]byte{0x64, 0x8b, 0x04, 0x25, 0x08, 0, 0, 0}, // mov eax, fs:[8]
		[]byte{0x0f, 0x05},
		movabs(rcx, 0xffff_8000_0000_0000),
		[]byte{0xf3, 0x48, 0x0f, 0xae, 0xd9},       // wrgsbase rcx
		[]byte{0x31, 0xd2, 0xff, 0xc2, 0x8e, 0xda}, // xor edx, edx; inc edx; mov ds, edx: a null selector with a privilege level
		getppid, []byte{0x0f, 0x0b},
	)...)
	g.file.write(t, []byte{39, 0, 0, 0}, dataOff+8)
	g.regs.Fs_base = uint64(dataAt)
	g.expectCall(39)
	g.regs.Rax = 0
	stop := g.run()
	if stop.Signal == unix.SIGILL {
		t.Log("no wrgsbase on this host")
		return
	}
	g.mapAt(0x800000, dataOff, readOnly)
	g.regs.Fs_base = uint64(dataAt) + 16
	g.expect(exception(unix.SIGILL, 2, codeAt+38))
	if g.regs.Gs_base != 0xffff_8000_0000_0000 || g.regs.Fs_base != uint64(dataAt)+16 {
		t.Errorf("gs %#x, fs %#x", g.regs.Gs_base, g.regs.Fs_base)
	}
	g.regs.Fs_base = 1 << 63
	if _, err := g.Run(&g.regs); !errors.Is(err, unix.EIO) {
		t.Errorf("error %v, want EIO", err)
	}
}

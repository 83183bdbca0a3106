package sentry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

const stackTop = 0x7ffffff00000

// withStack gives task a stack.
func (w *world) withStack(task *Task, h *Hold) {
	w.t.Helper()
	const size = 1 << 16
	err := h.Do(task, func(platform.Context) {
		_, err := task.MM().MMap(task.Actor("test"), memmap.MMapOpts{
			Length: size, Addr: stackTop - size, Fixed: true, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true,
		})
		if err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	task.Regs().Rsp = stackTop - 0x1008
}

// TestFrameLayout: every field lies where struct rt_sigframe of Linux's
// arch/x86/include/asm/sigframe.h has it.
func TestFrameLayout(t *testing.T) {
	f := rtSigframe{Return: 1}
	f.Context = ucontext{Flags: 2, Link: 3, Stack: stackT{SP: 4, Flags: 5, Size: 6}, Mask: 7}
	f.Context.Regs = sigcontext{
		R8: 10, R15: 17, Rdi: 18, Rsi: 19, Rbp: 20, Rbx: 21, Rdx: 22, Rax: 23, Rcx: 24, Rsp: 25, Rip: 26, Eflags: 27,
		Cs: 28, Gs: 29, Fs: 30, Ss: 31, Err: 32, TrapNo: 33, OldMask: 34, CR2: 35, FPState: 36,
	}
	f.Info[0] = 37
	b := f.bytes()
	const uc, mc = 8, 8 + 40
	for offset, want := range map[int]byte{
		0: 1, uc: 2, uc + 8: 3, uc + 16: 4, uc + 24: 5, uc + 32: 6,
		mc: 10, mc + 56: 17, mc + 64: 18, mc + 72: 19, mc + 80: 20, mc + 88: 21, mc + 96: 22, mc + 104: 23, mc + 112: 24,
		mc + 120: 25, mc + 128: 26, mc + 136: 27, mc + 144: 28, mc + 146: 29, mc + 148: 30, mc + 150: 31,
		mc + 152: 32, mc + 160: 33, mc + 168: 34, mc + 176: 35, mc + 184: 36, uc + 296: 7, frameSize - 128: 37,
	} {
		if got := b[offset]; got != want {
			t.Errorf("byte %d is %d, not %d", offset, got, want)
		}
	}
}

// TestHandlerEntryAndReturn: the stack pointer is as the ABI wants it, the red zone
// is left alone, and sigreturn restores everything.
func TestHandlerEntryAndReturn(t *testing.T) {
	const handlerAt = 10
	program := []fakeInstr{
		call(nrAction, uint64(unix.SIGUSR1), handlerAt*2, 0xffffffff<<32|saSigInfo|saRestorer),
		call(nrKill, 2, uint64(unix.SIGUSR1)), // 1
		call(nrLog, 1), call(nrExit, 0),       // 2 3
	}
	program = append(program, slices.Repeat([]fakeInstr{nop()}, handlerAt-len(program))...)
	var at platform.Regs
	program = append(program, func(c *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		at = *r
		if !bytes.Equal(c.xsave, func() []byte {
			b := initialXState(832)
			copy(b[softwareArea:fxsaveSize], c.xsave[softwareArea:])
			return b
		}()) {
			t.Error("the handler's vector state is not the initial one")
		}
		r.Rip += 2
		return platform.Stop{}, false
	}, func(c *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		r.Rsp += 8 // ret
		r.Rip += 2
		r.Rbx, r.R12 = 99, 98
		return platform.Stop{}, false
	}, call(nrSigreturn))
	w := newWorld(t, Config{}, program...)
	task, h := w.blank()
	w.withStack(task, h)
	before := task.Regs().Rsp
	task.Regs().Rbx, task.Regs().R12 = 5, 6
	h.Release()
	w.wait(task)
	w.expect("2:1")
	if at.Rsp%16 != 8 || at.Rsp > before-redZone-frameSize-832-4 {
		t.Errorf("rsp %#x in the handler, %#x before", at.Rsp, before)
	}
	if at.Rdi != uint64(unix.SIGUSR1) || at.Rsi != at.Rsp+frameSize-128 || at.Rdx != at.Rsp+8 || at.Rax != 0 {
		t.Errorf("the handler's arguments are %#x %#x %#x, rax %#x", at.Rdi, at.Rsi, at.Rdx, at.Rax)
	}
	if r := task.Regs(); r.Rbx != 5 || r.R12 != 6 || r.Rsp != before {
		t.Errorf("after sigreturn: %+v", r)
	}
	if got := task.action(int32(unix.SIGUSR1)).Flags; got != saSigInfo|saRestorer {
		t.Errorf("flags %#x are kept", got)
	}
}

// TestXStateRoundTrip: what a frame holds of a state turns back into it, with
// AMX's tiles left out; frames without magic numbers give x87 and SSE only.
func TestXStateRoundTrip(t *testing.T) {
	full := fakeXState()
	for i := range full[:softwareArea] {
		full[i] = byte(i)
	}
	for i := xstateBody; i < len(full); i++ {
		full[i] = byte(i * 7)
	}
	binary.LittleEndian.PutUint64(full[softwareArea:], 7|1<<xfeatureTileData)
	binary.LittleEndian.PutUint64(full[xstateHeader:], 7|1<<xfeatureTileData)
	frame := frameXState(full)
	if len(frame) != 832+fpMagic2Size {
		t.Fatalf("the frame's state has %d bytes", len(frame))
	}
	features, _ := frameFeatures(full)
	want := slices.Clone(full)
	clear(want[softwareArea:fxsaveSize])
	binary.LittleEndian.PutUint64(want[xstateHeader:], 7)
	if diff := cmp.Diff(want, wholeXState(frame, len(full), features)); diff != "" {
		t.Error(diff)
	}
	frame[len(frame)-1] ^= 1
	legacy := wholeXState(frame, len(full), features)
	if !bytes.Equal(legacy[:softwareArea], full[:softwareArea]) || slices.ContainsFunc(legacy[xstateBody:], func(b byte) bool { return b != 0 }) {
		t.Error("a frame without its second magic number is not taken as x87 and SSE state")
	}
}

// TestQueueOrder: SIGKILL first, then synchronous signals, then by number; standard
// ones merge, realtime ones queue.
func TestQueueOrder(t *testing.T) {
	var q sigQueue
	for _, sig := range []int32{40, 10, 11, 10, 40, 9, 34} {
		q.add(SigInfo{Signal: sig, Value: uint64(len(q.infos))})
	}
	var order []int32
	for q.set != 0 {
		order = append(order, q.take(q.set.next()).Signal)
	}
	if diff := cmp.Diff([]int32{9, 11, 10, 34, 40, 40}, order); diff != "" {
		t.Error(diff)
	}
}

// TestRefusedFaultIsTriedAgain: a person who maps the page while the world stands
// still for the fault saves the guest.
func TestRefusedFaultIsTriedAgain(t *testing.T) {
	const addr = 0x100000
	w := newWorld(t, Config{Observer: observing(func(r *Report) bool { return r.Reason == ReasonSignal })},
		store(addr), call(nrLog, 1), call(nrExit, 0))
	task, h := w.blank()
	h.Release()
	r := w.stop()
	if r.Signal != int32(unix.SIGSEGV) || r.Code != segvMapErr || r.Addr != addr || r.Handled || r.Cause != memmap.NoMapping || !errors.Is(r.Err, unix.EFAULT) {
		t.Fatalf("report %+v", r)
	}
	mapPage(t, r.Hold, task, addr)
	r.Hold.Release()
	w.wait(task)
	w.expect("2:1")
}

func mapPage(t *testing.T, h *Hold, task *Task, addr memmap.Addr) {
	t.Helper()
	err := h.Do(task, func(platform.Context) {
		if _, err := task.MM().MMap(task.Actor("test"), memmap.MMapOpts{
			Length: memmap.PageSize, Addr: addr, Fixed: true, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true,
		}); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefusedFaultKills: without a handler, and nobody watching.
func TestRefusedFaultKills(t *testing.T) {
	w := newWorld(t, Config{}, store(0x100000))
	if _, status := w.run().Process().State(); status != uint32(unix.SIGSEGV) {
		t.Errorf("status %#x", status)
	}
}

// TestWatchedAccess: an access to a watched page is reported every time, made
// although the trap stays, and no longer reported once the trap is taken off.
func TestWatchedAccess(t *testing.T) {
	const addr = 0x100000
	for _, hold := range []bool{false, true} {
		reports := 0
		w := newWorld(t, Config{Observer: observing(func(r *Report) bool {
			if r.Reason != ReasonTrap {
				return false
			}
			reports++
			return hold
		})}, store(addr), store(addr), store(addr), call(nrExit, 0))
		task, h := w.blank()
		mapPage(t, h, task, addr)
		page := memmap.Addr(addr).Page()
		trap := func(h *Hold, trap mm.Trap) {
			if err := h.Do(task, func(platform.Context) {
				if err := task.MM().SetTrap(task.Actor("test"), page, trap); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Error(err)
			}
		}
		trap(h, mm.Trap{Kind: mm.TrapWatch, At: memmap.Write})
		h.Release()
		want := 3
		if hold {
			want = 2
			w.stop().Hold.Release()
			r := w.stop()
			trap(r.Hold, mm.Trap{})
			r.Hold.Release()
		}
		w.wait(task)
		if reports != want {
			t.Errorf("hold %v: %d reports, want %d", hold, reports, want)
		}
	}
}

// TestBreakpointOfTheObserver: a trap that the Observer takes as its own is never
// heard of by the guest; another one kills it.
func TestBreakpointOfTheObserver(t *testing.T) {
	for _, own := range []bool{true, false} {
		w := newWorld(t, Config{Observer: observing(func(r *Report) bool {
			if r.Reason == ReasonTrap {
				r.Handled = own
				r.Task.Regs().Rip = 2
			}
			return false
		})}, stops(platform.Stop{Kind: platform.Exception, Signal: unix.SIGTRAP, Code: siKernel}), call(nrExit, 1))
		_, status := w.run().Process().State()
		if want := map[bool]uint32{true: 1 << 8, false: uint32(unix.SIGTRAP)}[own]; status != want {
			t.Errorf("own %v: status %#x", own, status)
		}
	}
}

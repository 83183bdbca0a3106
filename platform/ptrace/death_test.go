package ptrace

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// TestAKilledContextDiesAlone kills one of two guests of one platform.
func TestAKilledContextDiesAlone(t *testing.T) {
	p := testPlatform(t)
	other := newGuest(t, p, getppid...)
	g := newGuest(t, p, forever...)
	for _, when := range []string{"running", "stopped"} {
		c, err := g.as.NewContext(nil)
		if err != nil {
			t.Fatal(err)
		}
		regs := g.regs
		if when == "running" {
			go unix.Kill(c.HostTID(), unix.SIGKILL)
		} else if err := unix.Kill(c.HostTID(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		stop, err := c.Run(&regs)
		if err != nil || stop.Kind != platform.Died || !strings.Contains(stop.Detail, "SIGKILL") {
			t.Errorf("killed while %s: %v, %v", when, stop, err)
		}
		if err := g.as.Apply(c, []platform.MapOp{{AR: page(dataAt)}}); !errors.Is(err, platform.ErrDied) {
			t.Errorf("apply by the dead: %v", err)
		}
		if _, err := c.FPState(); !errors.Is(err, platform.ErrDied) {
			t.Errorf("vector state of the dead: %v", err)
		}
		c.Interrupt()
		c.Release()
	}
	g.apply(platform.MapOp{AR: page(dataAt)}) // by the context that lives
	other.expectCall(unix.SYS_GETPPID)
}

func TestAKilledKeeperIsAnError(t *testing.T) {
	p := testPlatform(t)
	other := newGuest(t, p, getppid...)
	g := newGuest(t, p, forever...)
	if err := unix.Kill(g.as.HostPID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := g.as.Apply(nil, []platform.MapOp{{AR: page(dataAt)}}); !errors.Is(err, platform.ErrDied) {
		t.Errorf("apply: %v", err)
	}
	if _, err := g.as.NewContext(nil); !errors.Is(err, platform.ErrDied) {
		t.Errorf("new context: %v", err)
	}
	other.expectCall(unix.SYS_GETPPID)
}

func TestAKilledZygoteIsReplaced(t *testing.T) {
	p := testPlatform(t)
	old := newGuest(t, p, getppid...)
	if err := unix.Kill(p.zygote.Load().t.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	newGuest(t, p, getppid...).expectCall(unix.SYS_GETPPID)
	// Its children may have died with it. If not, they are as good as ever.
	if stop := old.run(); stop.Kind != platform.Died && stop.Kind != platform.Syscall {
		t.Errorf("stop %v", stop)
	}
}

// TestManySpacesAndContextsAtOnce makes and ends address spaces from several
// goroutines, each with contexts that map and run.
func TestManySpacesAndContextsAtOnce(t *testing.T) {
	p := testPlatform(t)
	file := newMemFile(t, 1<<20)
	file.write(t, getppid, 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread()
			for range 10 {
				if err := liveOnce(p, file); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if left := p.Stubs(); left != nil {
		t.Errorf("not released: %v", left)
	}
}

// liveOnce is the life of an address space with two contexts.
func liveOnce(p *Platform, file memFile) error {
	as, err := p.NewAddressSpace()
	if err != nil {
		return err
	}
	defer as.Release()
	for _, own := range []bool{false, true} {
		c, err := as.NewContext(nil)
		if err != nil {
			return err
		}
		defer c.Release()
		via := c
		if !own {
			via = nil
		}
		if err := as.Apply(via, []platform.MapOp{{AR: page(codeAt), File: file, At: memmap.ReadExecute}}); err != nil {
			return err
		}
		regs := platform.Regs{Rip: uint64(codeAt)}
		stop, err := c.Run(&regs)
		if stop.Kind == platform.Died {
			err = platform.ErrDied
		}
		if err != nil || stop.Kind != platform.Syscall {
			return fmt.Errorf("stop %v: %w", stop, err)
		}
	}
	return nil
}

// TestKillingAtRandomNeverHangs kills any stub, the first process and the zygote
// among them, while others make address spaces and run guests in them. What
// they meet is ErrDied or a Died stop, and the platform works afterwards.
func TestKillingAtRandomNeverHangs(t *testing.T) {
	p := testPlatform(t)
	file := newMemFile(t, 1<<20)
	file.write(t, getppid, 0)
	stop := make(chan struct{})
	var lives sync.WaitGroup
	for range 3 {
		lives.Go(func() {
			runtime.LockOSThread()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := liveOnce(p, file); err != nil && !errors.Is(err, platform.ErrDied) {
					t.Error(err)
					return
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		stubs := processesOf(t, p.zygote.Load().first.pid)
		if len(stubs) > 0 {
			_ = unix.Kill(stubs[rnd.IntN(len(stubs))], unix.SIGKILL) // it may have gone by itself
		}
	}
	close(stop)
	lives.Wait()
	if err := liveOnce(p, file); err != nil && !errors.Is(err, platform.ErrDied) { // the last victim may be its zygote
		t.Error(err)
	}
	if err := liveOnce(p, file); err != nil {
		t.Error(err)
	}
}

// stormVar makes a copy of this test binary the victim of TestNoStubOutlivesUs. Its
// value is the first of isolations() to try.
const stormVar = "MMSH_PTRACE_TEST_STORM"

func TestMain(m *testing.M) {
	if first, err := strconv.Atoi(os.Getenv(stormVar)); err == nil {
		if err := storm(isolations()[first:]); err != nil {
			fmt.Println("cannot:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// storm makes address spaces and contexts without end. It prints the stubs' session
// when they are plenty, and returns only if something fails.
func storm(isolations []uintptr) error {
	p, err := newPlatform(isolations)
	if err != nil {
		return err
	}
	results := make(chan error)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			for {
				results <- populate(p)
			}
		}()
	}
	for n := 0; ; n++ {
		if err := <-results; err != nil {
			return err
		}
		if n == 16 {
			fmt.Println(p.zygote.Load().first.pid)
		}
	}
}

// populate makes an address space with two contexts, and keeps them.
func populate(p *Platform) error {
	as, err := p.NewAddressSpace()
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := as.NewContext(nil); err != nil {
			return err
		}
	}
	return nil
}

// TestNoStubOutlivesUs kills a process in a storm of clones; as root, and as an
// ordinary user; with all namespaces that the host allows, and with none. Every
// stub must vanish.
func TestNoStubOutlivesUs(t *testing.T) {
	all := isolations()
	for _, first := range []int{0, len(all) - 1} {
		for _, uid := range []int{os.Geteuid(), nobody} {
			if uid != os.Geteuid() && os.Geteuid() != 0 {
				continue // we are an ordinary user already
			}
			t.Run(fmt.Sprintf("uid %d, isolation %d", uid, first), func(t *testing.T) {
				for range 3 {
					killInStorm(t, first, uid)
				}
			})
		}
	}
}

func killInStorm(t *testing.T, isolation, uid int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", stormVar, isolation))
	cmd.Stderr = os.Stderr
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	session, numErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || numErr != nil {
		t.Fatalf("the storm did not begin: %q, %v", line, err)
	}
	if n := len(processesOf(t, session)); n < 30 {
		t.Errorf("a storm of %d stubs", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitGone(t, session)
}

// TestEveryIsolationWorks runs a guest with each set of namespaces. Root may have
// all; an ordinary user what the host lets him.
func TestEveryIsolationWorks(t *testing.T) {
	for _, flags := range isolations() {
		ns := namespaces{flags: flags}
		t.Run(ns.String(), func(t *testing.T) {
			if flags != 0 && os.Geteuid() != 0 {
				if p, err := newPlatform([]uintptr{flags}); err != nil {
					t.Logf("the host forbids it: %v", err)
					return
				} else if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			p := testPlatformIn(t, []uintptr{flags})
			g := newGuest(t, p, getppid...)
			g.expectCall(unix.SYS_GETPPID)
			if p.Isolation() != ns.String() {
				t.Errorf("isolation %s", p.Isolation())
			}
			for _, pid := range []int{g.as.HostPID(), g.HostTID()} {
				if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || len(cmdline) != 0 {
					// The arguments lay on the stack that is unmapped.
					t.Errorf("process %d: %q, %v", pid, cmdline, err)
				}
			}
		})
	}
}

// TestAStubHoldsNothingOfOurs looks at a stub from outside.
func TestAStubHoldsNothingOfOurs(t *testing.T) {
	t.Setenv("SECRET", "of ours")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil { // a descriptor that exec would keep
		t.Fatal(err)
	}
	p := testPlatform(t)
	as, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	defer as.Release()
	pid := as.HostPID()
	if maps, err := as.HostMappings(); err != nil || len(maps) != 0 {
		t.Errorf("mapped: %v (%v)", maps, err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil || len(fds) != 2 { // the socket and the slots
		t.Errorf("descriptors: %v (%v)", fds, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapInh:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want+"\n") {
			t.Errorf("status lacks %q", want)
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || strings.Contains(string(environ), "SECRET") {
		t.Errorf("environment %q (%v)", environ, err)
	}
	t.Log("namespaces:", p.Isolation())
}

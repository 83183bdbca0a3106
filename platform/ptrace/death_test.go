package ptrace

import (
	"bufio"
	"errors"
	"fmt"
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
	p := newPlatform(t)
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
	p := newPlatform(t)
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
	p := newPlatform(t)
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
	p := newPlatform(t)
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
		if stop, err := c.Run(&regs); err != nil || stop.Kind != platform.Syscall {
			return fmt.Errorf("stop %v: %w", stop, err)
		}
	}
	return nil
}

// stormVar makes a copy of this test binary the victim of TestNoStubOutlivesUs.
const stormVar = "MMSH_PTRACE_TEST_STORM"

func TestMain(m *testing.M) {
	if os.Getenv(stormVar) != "" {
		storm()
	}
	os.Exit(m.Run())
}

// storm makes address spaces and contexts without end. It says "go" when stubs
// are plenty, and never returns.
func storm() {
	p, err := New()
	if err != nil {
		fmt.Println("cannot:", err)
		os.Exit(1)
	}
	spaces := make(chan platform.AddressSpace, 16)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			for {
				as, err := p.NewAddressSpace()
				if err != nil {
					fmt.Println("cannot:", err)
					os.Exit(1)
				}
				for range 2 {
					c, err := as.NewContext(nil)
					if err != nil {
						fmt.Println("cannot:", err)
						os.Exit(1)
					}
					defer c.Release()
				}
				spaces <- as
			}
		}()
	}
	for range 16 {
		<-spaces
	}
	fmt.Println("go")
	for range spaces {
	}
}

// TestNoStubOutlivesUs kills a process in a storm of clones; as root, and as an
// ordinary user. Every stub must vanish.
func TestNoStubOutlivesUs(t *testing.T) {
	for _, user := range []string{"as we are", "as nobody"} {
		t.Run(user, func(t *testing.T) {
			if user == "as nobody" && os.Geteuid() != 0 {
				t.Log("we are an ordinary user already: the first half was this test")
				return
			}
			for range 5 {
				killInStorm(t, user == "as nobody")
			}
		})
	}
}

func killInStorm(t *testing.T, asNobody bool) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stormVar+"=1")
	cmd.Stderr = os.Stderr
	if asNobody {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "go\n" {
		t.Fatalf("the storm did not begin: %q, %v", line, err)
	}
	// Hold on to each stub by pidfd, so that its end can be waited for.
	var fds []unix.PollFd
	for _, pid := range stubProcesses(t, cmd.Process.Pid) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	if len(fds) < 10 {
		t.Errorf("a storm of %d stubs", len(fds))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for i := range fds {
		const patience = 10_000 // ms
		for {
			n, err := unix.Poll(fds[i:i+1], patience)
			if err == unix.EINTR {
				continue
			}
			if n != 1 {
				t.Errorf("a stub lives %d ms after its master: %v", patience, err)
			}
			break
		}
		unix.Close(int(fds[i].Fd))
	}
	waitNoStubsOf(t, cmd.Process.Pid)
}

// waitNoStubsOf waits for stubs that were cloned too late to be held on to: their
// session is that of the zygote, whose parent was pid.
func waitNoStubsOf(t *testing.T, pid int) {
	for _, stub := range stubsOfSessionless(t, pid) {
		fd, err := unix.PidfdOpen(stub, 0)
		if err != nil {
			continue
		}
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 {
			t.Errorf("stub %d outlives its master: %v", stub, err)
		}
		unix.Close(fd)
	}
}

// stubsOfSessionless returns the stubs that belong to no living tracer.
func stubsOfSessionless(t *testing.T, pid int) []int {
	t.Helper()
	var orphans []int
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		n, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + d.Name() + "/status")
		if err != nil || !strings.HasPrefix(string(text), "Name:\tmmsh-stub\n") {
			continue
		}
		if strings.Contains(string(text), "\nTracerPid:\t0\n") {
			orphans = append(orphans, n)
		}
	}
	return orphans
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
	p := newPlatform(t)
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

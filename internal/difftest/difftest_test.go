package difftest

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Cleanup()
	os.Exit(code)
}

// TestDifferentialPrograms runs whole programs as anyone would compile them.
func TestDifferentialPrograms(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		args  []string
	}{
		{"hello", []string{"-static"}, []string{"a", "b c", ""}},
		{"hello", []string{"-static-pie"}, []string{"a"}},
		{"bare", []string{"-static", "-nostdlib"}, nil},
		{"malloc", []string{"-static"}, nil},
		{"malloc", []string{"-static-pie"}, nil},
	} {
		t.Run(c.name+c.flags[0], func(t *testing.T) {
			Compare(t, Build(t, c.name, c.flags...), Options{Args: c.args}, Inodes, KernelPages)
		})
	}
}

// TestDifferentialCalls plays every call with what is right, wrong and hostile.
func TestDifferentialCalls(t *testing.T) {
	for _, name := range []string{
		"mmap", "munmap", "mremap", "brk", "advise", "maps", "rss",
		"files", "fds", "poll",
		"fork", "signals", "faults", "futex", "identity", "time",
	} {
		t.Run(name, func(t *testing.T) {
			Compare(t, Build(t, name, "-static"), Options{}, Inodes, KernelPages)
		})
	}
}

// Package floors keeps the house's one rule of construction: imports point down.
package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "mmsh.dev/mmsh"

// floors lists every package of the product from the roof to the ground. A
// package may import those on the lines below its own; packages on one line know
// nothing of each other.
var floors = []string{
	"cmd/mmsh",
	"repl",
	"repl/view",
	"repl/lang, repl/line",
	"sentry/debugger",
	"sentry/syscalls, sentry/procfs",
	"sentry",
	"sentry/journal, sentry/ipc",
	"sentry/vfs/hostfs, sentry/vfs/devfs, sentry/vfs/memfs, sentry/vfs/pipe, sentry/vfs/pty, sentry/vfs/stdio",
	"sentry/vfs/synth",
	"sentry/vfs",
	"sentry/vfs/filelock",
	"loader",
	"mm",
	"mm/pagecache, mm/shmem",
	"mm/pgalloc",
	"platform/ptrace",
	"platform",
	"memmap",
	"memmap/segment, memmap/safemem",
	"examples",
}

// listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	height := heights()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(name, "internal/") {
			continue // tools and test helpers: nothing of the product may import them, see below
		}
		own, ok := height[name]
		if !ok {
			t.Errorf("%s stands on no floor: put it into the list", name)
			continue
		}
		for _, imp := range p.Imports {
			imp, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			if at, ok := height[imp]; !ok {
				t.Errorf("%s imports %s, which stands on no floor", name, imp)
			} else if at <= own {
				t.Errorf("%s imports %s, which does not stand below it", name, imp)
			}
		}
	}
}

// The libraries must be usable with no shell above them: they print nothing and
// draw in none of the shell's dependencies.
func TestLibrariesStandAlone(t *testing.T) {
	shell := []string{"fatih/color", "c-bata/go-prompt", "go.starlark.net"}
	height := heights()
	for _, p := range packages(t) {
		at, ok := height[strings.TrimPrefix(p.ImportPath, module+"/")]
		if !ok || at < height["loader"] {
			continue
		}
		for _, imp := range p.Imports {
			if slices.ContainsFunc(shell, func(s string) bool { return strings.Contains(imp, s) }) {
				t.Errorf("%s imports %s: that belongs to the shell", p.ImportPath, imp)
			}
		}
	}
}

// heights numbers the floors from the roof, 0, downwards. Parts of one line share
// a number.
func heights() map[string]int {
	h := make(map[string]int)
	for i, line := range floors {
		for _, name := range strings.Split(line, ", ") {
			h[name] = i
		}
	}
	return h
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

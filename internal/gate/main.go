// Command gate is the whole test of mmsh: what a change must pass before it
// lands, and what README.md tells everybody to run.
//
//	go run ./internal/gate            everything
//	go run ./internal/gate vet test   only these steps
//
// It installs the Debian packages that the tests need, if they are missing (as
// root; otherwise it says which to install), then runs its steps in order and
// prints a line for each, the counts last. It stops at nothing: all failures
// are shown in one run.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// packages maps a file that a test needs to the Debian package that has it.
var packages = []struct{ file, pkg string }{
	{"/usr/bin/gcc", "gcc"},
	{"/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev"},
	{"/bin/busybox", "busybox-static"},
	{"/usr/bin/setpriv", "util-linux"},
	{"/usr/bin/git", "git"},
	{"/usr/bin/stress-ng", "stress-ng"},
	{"/usr/lib/x86_64-linux-gnu/libsqlite3.a", "libsqlite3-dev"},
}

// staticcheck is pinned: a new release must not turn the gate red by itself.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// A step answers nil if it passed. Its output goes to the terminal as it comes.
type step struct {
	name string
	run  func(*counts) error
}

var steps = []step{
	{"packages", installPackages},
	{"gofmt", gofmt},
	{"vet", command("go", "vet", "./...")},
	{"staticcheck", command("go", "run", staticcheck, "./...")},
	{"build", static("go", "build", "-o", os.DevNull, "./cmd/mmsh")},
	{"test", goTest("CGO_ENABLED=0", "-timeout=20m", "./...")},
	{"race", goTest("CGO_ENABLED=1", "-race", "-timeout=30m", "./...")},
	{"fuzz", fuzz},
	{"bench", command("go", "test", "-run=^$", "-bench=.", "-benchtime=1x", "-timeout=10m", "./...")},
}

func main() {
	wanted := os.Args[1:]
	for _, name := range wanted {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			fmt.Fprintf(os.Stderr, "gate: no step %q; there are: %s\n", name, names())
			os.Exit(2)
		}
	}
	var total counts
	var failed []string
	for _, s := range steps {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		start := time.Now()
		fmt.Printf("=== %s\n", s.name)
		if err := s.run(&total); err != nil {
			fmt.Printf("--- %s FAILED: %v\n", s.name, err)
			failed = append(failed, s.name)
			continue
		}
		fmt.Printf("--- %s ok (%s)\n", s.name, time.Since(start).Round(time.Second))
	}
	if len(failed) > 0 {
		fmt.Printf("failed steps: %s\n", strings.Join(failed, ", "))
	}
	fmt.Printf("%d passed, %d failed\n", total.passed, total.failed)
	if len(failed) > 0 {
		os.Exit(1)
	}
}

func names() string {
	var all []string
	for _, s := range steps {
		all = append(all, s.name)
	}
	return strings.Join(all, " ")
}

func installPackages(*counts) error {
	var missing []string
	for _, p := range packages {
		if _, err := os.Stat(p.file); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	if len(missing) == 0 {
		fmt.Println("nothing to install")
		return nil
	}
	list := strings.Join(missing, " ")
	if os.Getuid() != 0 {
		return fmt.Errorf("the tests need Debian packages; as root: apt-get install %s", list)
	}
	fmt.Println("installing", list)
	if err := execute(nil, "apt-get", "update", "-q"); err != nil {
		return err
	}
	install := append([]string{"apt-get", "install", "-q", "-y", "--no-install-recommends"}, missing...)
	return execute([]string{"DEBIAN_FRONTEND=noninteractive"}, install...)
}

// gofmt names the files of the repository that gofmt would change.
func gofmt(*counts) error {
	out, err := exec.Command("gofmt", "-l", ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if names := strings.Fields(string(out)); len(names) > 0 {
		return fmt.Errorf("gofmt would change %s", strings.Join(names, " "))
	}
	return nil
}

func command(args ...string) func(*counts) error {
	return func(*counts) error { return execute(nil, args...) }
}

// static is command for a build without cgo, as releases are built.
func static(args ...string) func(*counts) error {
	return func(*counts) error { return execute([]string{"CGO_ENABLED=0"}, args...) }
}

// execute runs a command with env added to the environment, its output shown.
func execute(env []string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// fuzz gives every fuzz target some thousand inputs beyond its seeds, which `test` has
// run. A number, not a time: the fuzzer fails when its time ends at a bad moment.
func fuzz(*counts) error {
	out, err := exec.Command("go", "test", "-list=^Fuzz", "./...").Output()
	if err != nil {
		return fmt.Errorf("go test -list: %w", err)
	}
	var targets []string // of the package whose `ok` line comes next
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
			targets = append(targets, fields[0])
		case len(fields) >= 2 && fields[0] == "ok":
			for _, target := range targets {
				if err := execute(nil, "go", "test", "-run=^$", "-fuzz=^"+target+"$", "-fuzztime=20000x", fields[1]); err != nil {
					return err
				}
			}
			targets = nil
		}
	}
	return nil
}

// Package shelltest runs the built mmsh in tests, as a person's terminal or a
// script would.
package shelltest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Build builds cmd/mmsh as releases are built and returns the folder it is in.
func Build(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "mmsh"), "mmsh.dev/mmsh/cmd/mmsh")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// Result is what a command left.
type Result struct {
	Output string // standard output and standard error, in the order of writing
	Status int
}

// Run runs a command line in dir with the mmsh of bin first in PATH. The rest of
// the environment is fixed: guests' stacks hold it, so addresses depend on it.
func Run(t testing.TB, bin, dir, line string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s: still running after two minutes; it printed:\n%s", line, out.Bytes())
	}
	return Result{out.String(), cmd.ProcessState.ExitCode()}
}

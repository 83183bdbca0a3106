package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stressors are stress-ng's that work on memory, with how much each does here: a
// number of rounds, not a time.
var stressors = []string{
	"mmap --mmap-ops 1 --mmap-bytes 8m",
	"mmapfixed --mmapfixed-ops 1",
	"mmapfork --mmapfork-ops 1",
	"mmapmany --mmapmany-ops 2000",
	"mprotect --mprotect-ops 2000",
	"mremap --mremap-ops 10 --mremap-bytes 4m",
	"munmap --munmap-ops 1000",
	"madvise --madvise-ops 50",
	"mlock --mlock-ops 200",
	"brk --brk-ops 2000",
	"bigheap --bigheap-ops 1000",
	"stack --stack-ops 1",
	"malloc --malloc-ops 2000",
	"msync --msync-ops 300 --msync-bytes 4m",
	"mincore --mincore-ops 5",
	"vm --vm-ops 1000 --vm-bytes 8m",
	"shm --shm-ops 5 --shm-bytes 4m",
	"memfd --memfd-ops 5 --memfd-bytes 4m",
	"remap --remap-ops 1",
}

// bogoOps finds how many rounds stress-ng says that a stressor has done.
var bogoOps = regexp.MustCompile(`metrc: \[\d+\] (\w+) +(\d+) +[\d.]+ +[\d.]+ `)

// TestStress plays Debian's stress-ng, which verifies what it finds in memory, each
// stressor alone. stress-ng is linked dynamically, so its linker is what is started.
func TestStress(t *testing.T) {
	for _, line := range stressors {
		words := strings.Fields(line)
		t.Run(words[0], func(t *testing.T) {
			out, err := stress(append([]string{"--" + words[0], "1"}, words[1:]...))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, bad := range []string{"fail:", "skip", "WARNING"} {
				if strings.Contains(out, bad) {
					t.Errorf("stress-ng says %q:\n%s", bad, out)
				}
			}
			m := bogoOps.FindStringSubmatch(out)
			if m == nil || m[1] != words[0] {
				t.Fatalf("no metrics:\n%s", out)
			}
			if n, err := strconv.Atoi(m[2]); err != nil || n == 0 {
				t.Errorf("nothing was done:\n%s", out)
			}
		})
	}
}

// stress runs stress-ng in the sandbox and returns what it says.
func stress(args []string) (string, error) {
	const program = "/usr/bin/stress-ng"
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	fixed := []string{"run", "--mem", "4g", "--cwd", "/dev/shm", "--", "/lib64/ld-linux-x86-64.so.2", program,
		"--verify", "--metrics", "--oomable", "--timeout", "300", "--temp-path", "/dev/shm"}
	cmd := exec.CommandContext(ctx, builtMmsh, append(fixed, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("stress-ng %s: %w", strings.Join(args, " "), err)
	}
	return out.String(), nil
}

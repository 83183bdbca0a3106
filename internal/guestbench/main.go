// Guestbench runs a program that measures what it pays, natively and under mmsh in
// turn, and prints the medians and their ratios. `make bench` runs it; rows can be named:
//
//	go run ./internal/guestbench [ROW...]
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const rounds = 3

// row is what was measured of one thing.
type row struct {
	name, unit      string
	native, sandbox []float64
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guestbench:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	dir, err := os.MkdirTemp("", "guestbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	guest, mmsh := filepath.Join(dir, "bench"), filepath.Join(dir, "mmsh")
	build := exec.Command("go", "build", "-o", mmsh, "mmsh.dev/mmsh/cmd/mmsh")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, c := range []*exec.Cmd{
		exec.Command("gcc", "-O2", "-static", "-o", guest, "internal/guestbench/testdata/bench.c"), build,
	} {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", c, err, out)
		}
	}
	args := append([]string{guest, dir}, names...)
	var rows []*row
	for range rounds {
		if rows, err = measure(rows, false, args); err != nil {
			return err
		}
		if rows, err = measure(rows, true, append([]string{mmsh, "run", "--"}, args...)); err != nil {
			return err
		}
	}
	print(rows)
	return nil
}

// measure runs one round and adds what it prints to rows.
func measure(rows []*row, sandbox bool, args []string) ([]*row, error) {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return rows, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) != 3 {
			return rows, fmt.Errorf("the program printed %q", s.Text())
		}
		v, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return rows, err
		}
		i := slices.IndexFunc(rows, func(r *row) bool { return r.name == f[0] })
		if i < 0 {
			i, rows = len(rows), append(rows, &row{name: f[0], unit: f[2]})
		}
		if sandbox {
			rows[i].sandbox = append(rows[i].sandbox, v)
		} else {
			rows[i].native = append(rows[i].native, v)
		}
	}
	return rows, nil
}

func print(rows []*row) {
	fmt.Printf("%-22s %-8s %10s %10s %8s\n", "ROW", "UNIT", "NATIVE", "MMSH", "RATIO")
	for _, r := range rows {
		native, sandbox := median(r.native), median(r.sandbox)
		fmt.Printf("%-22s %-8s %10.2f %10.2f %8.2f\n", r.name, r.unit, native, sandbox, sandbox/native)
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// counts are the tests that ran in all steps together.
type counts struct{ passed, failed, skipped int }

// testEvent is a line of `go test -json`.
type testEvent struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// goTest runs go test with setting in its environment, counts top-level tests, and
// shows the output of those that fail. A test that skips itself is a failure:
// what a test needs is installed, not left out.
func goTest(setting string, args ...string) func(*counts) error {
	return func(total *counts) error {
		cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
		cmd.Env = append(os.Environ(), setting)
		cmd.Stderr = os.Stdout
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		here := readEvents(bufio.NewScanner(out))
		total.passed += here.passed
		total.failed += here.failed + here.skipped
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%d of %d tests failed: %w", here.failed, here.passed+here.failed, err)
		}
		if here.skipped > 0 {
			return fmt.Errorf("%d tests skipped themselves", here.skipped)
		}
		return nil
	}
}

func readEvents(lines *bufio.Scanner) counts {
	lines.Buffer(nil, 1<<24)
	var n counts
	output := make(map[string][]string) // by package and test, until it is known to have passed
	for lines.Scan() {
		var e testEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // a build error, a crash
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			if e.Action != "pass" {
				fmt.Print(strings.Join(output[key], ""))
			}
			if e.Test == "" {
				fmt.Printf("%-4s %s (%.1fs)\n", e.Action, e.Package, e.Elapsed)
			} else if !strings.Contains(e.Test, "/") {
				n.add(e.Action)
			}
			delete(output, key)
		}
	}
	for key, rest := range output {
		if strings.HasSuffix(key, " ") { // a package that did not build
			fmt.Print(strings.Join(rest, ""))
		}
	}
	return n
}

func (n *counts) add(action string) {
	switch action {
	case "pass":
		n.passed++
	case "fail":
		n.failed++
	case "skip":
		n.skipped++
	}
}

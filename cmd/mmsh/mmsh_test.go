package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mmsh.dev/mmsh/repl"
)

// builtMmsh is mmsh as it is built for these tests.
var builtMmsh string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mmsh-test")
	if err != nil {
		panic(err)
	}
	builtMmsh = filepath.Join(dir, "mmsh")
	if out, err := exec.Command("go", "build", "-o", builtMmsh, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s", out)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// result is what a run of mmsh left.
type result struct {
	out, err string
	status   int
}

// limit is how long a run may take before the test fails.
const limit = 3 * time.Minute

// mmsh runs mmsh with stdin and args.
func mmsh(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.Command(builtMmsh, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = limit
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("mmsh %q took more than %v\n%s%s", args, limit, out.String(), stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// play runs commands in batch mode.
func play(t *testing.T, text string, flags ...string) result {
	t.Helper()
	return mmsh(t, "", append(append([]string{"--batch"}, flags...), "-c", text)...)
}

// needs fails unless each pattern is found in text.
func needs(t *testing.T, what, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func TestExamplesOfTheHelpRun(t *testing.T) {
	for _, c := range repl.Commands() {
		for _, x := range c.Examples {
			t.Run(c.Name+"/"+x.Line, func(t *testing.T) {
				text := x.Line
				if x.Setup != "" {
					text = x.Setup + "\n" + x.Line
				}
				if r := play(t, text); r.status != 0 {
					t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
				}
				checkData(t, play(t, text, "--json=lines").out)
			})
		}
	}
}

// checkData compares each envelope's data with the shapes in docs/json.md.
func checkData(t *testing.T, out string) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var e struct {
			Cmd, Line string
			Data      any
		}
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.Cmd == "on" {
			continue // its data is another command's
		}
		if err := repl.CheckData(e.Cmd, e.Data); err != nil {
			t.Errorf("%s: %v", e.Line, err)
		}
	}
}

func TestExitStatuses(t *testing.T) {
	for _, c := range []struct {
		name, stdin string
		args        []string
		status      int
		stderr      string
	}{
		{"all holds", "", []string{"--batch", "-c", "mmap 4k rw; expect vma $_ perms rw-p"}, 0, `^$`},
		{"a command fails", "", []string{"--batch", "-c", "echo a\nmunmap 1 4k"}, 1, `^-c:2: munmap: EINVAL: .*page-aligned\n$`},
		{"an expectation fails", "", []string{"--batch", "-c", "mmap 4k r; expect vma $_ perms rw-p"}, 1, `^-c:1: expect: asked: vma \$_ perms rw-p; found: .*r--p.*mmap by shell`},
		{"a pipe's command fails", "vmas\nmprotect 0x1 4k rw\n", nil, 1, `^<stdin>:2: mprotect: EINVAL: .*not page-aligned\n$`},
		{"a pipe's syntax", "echo 'a\n", nil, 1, `^<stdin>:1: `},
		{"a pipe's unknown command", "vmsa\n", nil, 1, `^<stdin>:1: unknown command "vmsa"`},
		{"unknown command in -c", "", []string{"--batch", "-c", "echo a; vmsa"}, 2, `-c:1: unknown command "vmsa": did you mean "vmas"`},
		{"unclosed quote in -c", "", []string{"--batch", "-c", "echo a\necho 'b"}, 2, `-c:2: `},
		{"unclosed block in -c", "", []string{"--batch", "-c", "repeat 2 { echo a"}, 2, `-c:1: `},
		{"bad flag", "", []string{"--nonsense"}, 2, `unknown flag`},
		{"later flag", "", []string{"--record", "x"}, 2, `not in this version`},
		{"no such program", "", []string{"--batch", "/no/such/program"}, 2, `ENOENT|no such file`},
		{"quit N", "", []string{"--batch", "-c", "quit 7; echo no"}, 7, `^$`},
		{"keep going", "", []string{"--batch", "-k", "-c", "munmap 1 4k; mmap 4k rw; munmap 1 4k"}, 1, `(?s)munmap.*munmap`},
		{"time is up", "", []string{"--batch", "--timeout", "300ms", "-c", "repeat 1000000000 { quiet print 1 }"}, 124, `time is up`},
		{"run: not found", "", []string{"run", "/no/such/program"}, 127, `mmsh: `},
		{"run: cannot be loaded", "", []string{"run", "/etc/passwd"}, 126, `mmsh: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mmsh(t, c.stdin, c.args...)
			if r.status != c.status {
				t.Errorf("status %d, want %d\n%s%s", r.status, c.status, r.out, r.err)
			}
			needs(t, "standard error", r.err, c.stderr)
		})
	}
}

func TestAScriptWithAMistakeDoesNotBegin(t *testing.T) {
	r := play(t, "echo began\nvmsa")
	if r.out != "" || r.status != 2 {
		t.Errorf("status %d, output %q", r.status, r.out)
	}
}

func TestCowDemoTellsItsStory(t *testing.T) {
	r := play(t, "demo cow; run; ps; vmas; pmas; events")
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "the story", r.out, `exited with status 0`, `(?m)^ *3 +2 `, `cow-copy`, `cow-reuse`, `shared with pid 3 since fork @\d+`, `fork child 3`)
}

func TestForkBreakAndMoveByHand(t *testing.T) {
	r := play(t, `mmap 64k rw; let a = $_; write $a "hi"; fork; proc $_; expect pma $a cow; cow break $a,4k; `+
		`expect pma $a private refs==1; mremap $a,64k 128k maymove; expect mem $_ "hi"; maps; check; on 2 expect mem $a "hi"`)
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

func TestOriginsOfMappings(t *testing.T) {
	r := play(t, `demo cow; run; mmap 8k rw; expect vma $_ origin shell; expect vma _start origin elf; vmas`)
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "vmas", r.out, `ELF PT_LOAD\[1\]`, `mmap from main\+0x[0-9a-f]+ @\d+`, `mmap by shell @\d+`)
}

func TestJSONIsOneEnvelopeACommand(t *testing.T) {
	for flag, lines := range map[string]bool{"--json": false, "--json=lines": true} {
		r := play(t, "demo hello; run; mmap 1 4k rw fixed", flag)
		if r.status != 1 || r.err != "" {
			t.Errorf("%s: status %d, standard error %q", flag, r.status, r.err)
		}
		if lines && strings.Count(r.out, "\n") != 3 {
			t.Errorf("%s: not three lines:\n%s", flag, r.out)
		}
		checkEnvelopes(t, r.out)
	}
}

func checkEnvelopes(t *testing.T, out string) {
	t.Helper()
	type envelope struct {
		Schema, Cmd, Line, At string
		OK                    bool
		Error                 struct{ Kind, Errno, Reason string }
		Output                []struct {
			FD   int
			Text string
		}
	}
	var all []envelope
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var e envelope
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		all = append(all, e)
	}
	if len(all) != 3 || all[0].Schema != "mmsh/1" || all[1].Cmd != "run" || all[2].At != "-c:1" {
		t.Fatalf("envelopes: %+v", all)
	}
	if o := all[1].Output; len(o) != 1 || o[0].FD != 1 || !strings.HasPrefix(o[0].Text, "hello") {
		t.Errorf("the guest's output: %+v", o)
	}
	if e := all[2].Error; all[2].OK || e.Kind != "command" || e.Errno != "EINVAL" || e.Reason == "" {
		t.Errorf("the failure: %+v", all[2])
	}
}

func TestTwoRunsPrintTheSameBytes(t *testing.T) {
	text := "demo cow; run; vmas; pmas; events; maps; stats by function"
	first, second := play(t, text), play(t, text)
	if first != second {
		t.Errorf("first:\n%s%s\nsecond:\n%s%s", first.out, first.err, second.out, second.err)
	}
}

func TestScriptsFromAFileNameTheirLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "story.mmsh")
	if err := os.WriteFile(file, []byte("# a story\nmmap 4k r\n\nrepeat 1 {\n  write 16 \"x\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mmsh(t, "", "--batch", "-x", file)
	if r.status != 1 {
		t.Errorf("status %d", r.status)
	}
	needs(t, "standard error", r.err, `^`+regexp.QuoteMeta(file)+`:5: write: EFAULT: `)
	if n := strings.Count(r.err, "\n"); n != 1 {
		t.Errorf("one failure is told %d times:\n%s", n, r.err)
	}
}

func TestOutputBeyondItsCapIsALimit(t *testing.T) {
	r := play(t, "demo hello; run; echo after", "--max-output", "5")
	if r.status != 1 || !strings.Contains(r.err, "--max-output") || strings.Contains(r.out, "after") {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

// writesForEver is for (;;) write(1, 0x400078, 8).
var writesForEver = []byte{0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xbe, 0x78, 0, 0x40, 0, 0xba, 8, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xe8}

func TestAGuestThatWritesForEverEndsAtTheCap(t *testing.T) {
	file := program(t, writesForEver...)
	r := mmsh(t, "", "--batch", "--max-output", "20", "-c", "run", file)
	if r.status != 1 || !strings.Contains(r.err, "--max-output") || !strings.Contains(r.out, "stopped: interrupt") {
		t.Errorf("shell: status %d\n%s%s", r.status, r.out, r.err)
	}
	r = mmsh(t, "", "run", "--max-output", "20", file)
	if r.status != 125 || !strings.Contains(r.err, "--max-output") || len(r.out) != 20 {
		t.Errorf("mmsh run: status %d, %d bytes\n%s", r.status, len(r.out), r.err)
	}
}

func TestAMissingFileIsCalledMissing(t *testing.T) {
	r := play(t, "load /no/such/file")
	needs(t, "standard error", r.err, `^-c:1: load: ENOENT: "/no/such/file": no such file or directory\n$`)
}

func TestABlankProcessHasAHeap(t *testing.T) {
	r := play(t, "brk +8k; expect vma [heap] size == 8k; write [heap] \"hi\"; brk -8k; expect not vma 0x555555555000; check")
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

func TestTimeoutsAreAboveZero(t *testing.T) {
	for _, bad := range []string{"0", "-5s", "soon"} {
		if r := mmsh(t, "", "--timeout", bad, "-c", "vmas"); r.status != 2 || !strings.Contains(r.err, "above zero") {
			t.Errorf("--timeout %s: status %d, %s", bad, r.status, r.err)
		}
	}
}

func TestAssertIsStarlark(t *testing.T) {
	r := play(t, `mmap 64k rw; let a = $_; touch $a,8k w; assert vma(a).rss == 8192 and page(a) == "W" and pma(a).refs == 1; assert stats("zero-fill") == 3`)
	if r.status != 1 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "standard error", r.err, `assert: asked: stats\("zero-fill"\) == 3; found: False: .*is 2`)
}

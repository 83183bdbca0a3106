package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// buildGuest compiles a guest of the differential tests.
func buildGuest(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	src := filepath.Join("..", "..", "internal", "difftest", "testdata", name+".c")
	if out, err := exec.Command("gcc", "-O1", "-static", "-o", path, src).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", src, err, out)
	}
	return path
}

const busybox = "/bin/busybox"

// A directory or a file that --rw names is written through; nothing else is.
func TestWritable(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"rw", "ro"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ro", "file"), []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(root string, text string) result {
		flags := []string{"run", "--rw", filepath.Join(dir, "rw"), "--rw", filepath.Join(dir, "ro", "file")}
		at, shell := dir, busybox
		if root != "" {
			flags, at = append(flags, "--root", root), ""
			b, err := os.ReadFile(busybox)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "busybox"), b, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			shell = "/busybox"
		}
		return mmsh(t, "", append(flags, "--", shell, "sh", "-c", strings.ReplaceAll(text, "@", at))...)
	}
	for _, root := range []string{"", dir} {
		r := run(root, "echo new > @/rw/made; echo more >> @/ro/file; while read l; do echo $l; done < @/ro/file; echo x > @/ro/other; rm @/ro/file; ln @/rw/made @/ro/twin")
		needs(t, "the guest", r.out, "old\nmore\n")
		needs(t, "the guest", r.err, "rm: .*busy", "ln: .*(ross-device|nvalid cross)")
		for name, want := range map[string]string{"rw/made": "new\n", "ro/file": "old\nmore\n"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
				t.Errorf("root %q: %s: %q, %v\n%s", root, name, b, err, r.err)
			}
		}
		for _, name := range []string{"ro/other", "ro/twin"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("root %q: %s was made", root, name)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "ro", "file"), []byte("old\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What cannot be written through is refused at once.
func TestWritableRefusals(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--rw", dir + "/none"}, "--rw .*none.*no such file"},
		{[]string{"--rw", "/dev/null"}, "--rw /dev/null: .*neither a directory nor a regular file"},
		{[]string{"--rw", "/proc/self"}, "--rw /proc/self: .*/proc is not shown"},
		{[]string{"--rw", "/etc", "--root", dir}, "--rw /etc: .*outside of --root"},
	} {
		for _, run := range []bool{false, true} {
			args := c.args
			if run {
				args = append([]string{"run"}, append(args, busybox, "true")...)
			}
			r := mmsh(t, "", args...)
			needs(t, strings.Join(args, " "), r.err, c.want)
			if r.status != exitUsage {
				t.Errorf("%q: exit status %d", args, r.status)
			}
		}
	}
}

// What msync has written is in the host's file whatever becomes of mmsh.
func TestKilledAfterMsync(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(builtMmsh, "run", "--rw", dir, "--", buildGuest(t, "writer"), filepath.Join(dir, "f"), "100000", "wait")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "written" {
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	checkWritten(t, filepath.Join(dir, "f"), 100000)
}

func checkWritten(t *testing.T, path string, size int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) != size {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for i := range b {
		if b[i] != 'a'+byte(i%23) {
			t.Fatalf("byte %d is %q", i, b[i])
		}
	}
}

// A full disk: the guest is told by msync, fsync and close, each open file once;
// nothing is dropped silently.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	writer := buildGuest(t, "writer")
	full := func(mmshArgs string) result {
		script := "mount -t tmpfs -o size=64k none " + dir + " && " + builtMmsh + " " + mmshArgs
		out, err := exec.Command("unshare", "-m", "sh", "-c", script+"; s=$?; wc -c < "+dir+"/f >&2; exit $s").Output()
		r := result{out: string(out)}
		if exit, ok := err.(*exec.ExitError); ok {
			r.err, r.status = string(exit.Stderr), exit.ExitCode()
		}
		return r
	}
	r := full("run --rw " + dir + " -- " + writer + " " + dir + "/f 200000")
	needs(t, "the guest", r.out, `msync\(.*\) = ENOSPC`, `fsync\(again.*\) = ENOSPC`, "written")
	needs(t, "mmsh", r.err, `lost: .*/f: \d+ bytes are not written: no space left`)
	if r.status != exitLost {
		t.Errorf("exit status %d", r.status)
	}
	r = full("--batch --rw " + dir + " -c 'run; events io-error' " + writer + " " + dir + "/f 200000")
	needs(t, "the shell", r.out, `writeback io-error failed: ENOSPC .*/f: no space left`)
	needs(t, "the shell", r.err, `lost: .*/f: \d+ bytes are not written`)
	if r.status != exitLost {
		t.Errorf("exit status %d", r.status)
	}
}

// A guest that ends, or whose mmsh is told to end, has written what its mappings held,
// though it never asked for it.
func TestWrittenAtEveryEnd(t *testing.T) {
	writer := buildGuest(t, "writer")
	for _, flags := range [][]string{{"run"}, {"--batch", "-c", "continue"}} {
		path := filepath.Join(t.TempDir(), "f")
		mmsh(t, "", append(flags, "--rw", filepath.Dir(path), "--", writer, path, "50000", "end")...)
		checkWritten(t, path, 50000)
	}
	path := filepath.Join(t.TempDir(), "f")
	cmd := exec.Command(builtMmsh, "run", "--rw", filepath.Dir(path), "--", writer, path, "50000", "leave")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "written" {
			_ = cmd.Process.Signal(unix.SIGTERM) // it is there: it has just written
		}
	}
	_ = cmd.Wait() // by a signal
	checkWritten(t, path, 50000)
}

// A file far larger than guest memory is mapped and touched everywhere: its pages are
// given back, dirty ones written, under the limit.
func TestLargeFileInLittleMemory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sparse")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4<<30); err != nil {
		t.Fatal(err)
	}
	r := mmsh(t, "", "run", "--mem", "16M", "--rw", dir, "--", buildGuest(t, "sparse"), path)
	if r.out != "wrong: 0\n" || r.status != 0 {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
}

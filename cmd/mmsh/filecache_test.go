package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With --file-cache host the pages are the host's, for root and for ordinary users, in
// the read-only tree and under --rw: what is done to the file behind the guest's back
// is seen at once.
func TestHostsFilesMappedDirectly(t *testing.T) {
	reachable(t)
	for _, uid := range users() {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("old page", 5*4096/8)), 0o644); err != nil {
			t.Fatal(err)
		}
		if uid != 0 {
			if err := os.Chown(path, int(uid), int(uid)); err != nil {
				t.Fatal(err)
			}
		}
		for _, rw := range []bool{false, true} {
			args := []string{"--file-cache", "host"}
			if rw {
				args = append(args, "--rw", path)
			}
			tellHostsFile(t, talk(t, uid, args...), path, rw)
		}
	}
}

// holds sends a command and says whether it succeeded.
func (d *dialogue) holds(line string) bool {
	d.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil || !d.out.Scan() {
		d.t.Fatalf("%s: no answer: %v", line, err)
	}
	return strings.Contains(d.out.Text(), `"ok":true`)
}

func tellHostsFile(t *testing.T, d *dialogue, path string, rw bool) {
	t.Helper()
	holds := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !d.holds(line) {
				t.Errorf("rw %v: %s: %s", rw, line, d.out.Text())
			}
		}
	}
	write := func(text string, size int64) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			defer f.Close()
			_, err = f.WriteAt([]byte(text), 4096)
		}
		if err == nil {
			err = f.Truncate(size)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	holds("mmap 20k rw private file "+path, "let p = $_", `touch $p,20k r`, `expect mem $p "old page"`, `expect pages $p,20k "fffff"`,
		"smaps $p,20k", "refs $p,20k", "walk $p", "cache "+path, "check", `write $p+8k "mine"`, `expect pages $p,20k "ffWff"`, "fork", "check")
	write("seen", 5*4096)
	holds(`expect mem $p+4k "seen"`, `expect mem $p+8k "mine"`)
	if rw {
		holds("open "+path+" rw", "mmap 20k rw shared file "+path, "let s = $_", `write $s+12k "mine"`, `expect mem $p+12k "mine"`, "check")
	}
	write("cut", 2*4096)
	holds("expect fault $p+16k r -> beyond-eof SIGBUS BUS_ADRERR", `expect error EFAULT write $p+12k "x"`, "expect fault $p+4k r -> none",
		`expect mem $p+8k "mine"`, "check", "evict "+path, `expect pages $p,12k "..c"`, "check", "kill")
	write("old", 5*4096)
}

func TestFileCacheIsSentryOrHost(t *testing.T) {
	r := mmsh(t, "", "--file-cache", "guest", "--batch", "-c", "echo")
	if r.status != exitUsage {
		t.Errorf("status %d: %s", r.status, r.err)
	}
}

package main

import "testing"

// A file of memory, opened, mapped and made shorter from the shell.
func TestFilesFromTheShell(t *testing.T) {
	r := play(t, `open /dev/shm/a rw create 0o600; let fd = $_; files; truncate /dev/shm/a 12k
mmap 12k rw shared file /dev/shm/a; let s = $_; mmap 12k rw private file /dev/shm/a; let p = $_
write $s "both"; expect mem $p "both"; expect file /dev/shm/a "both"
write $p "mine"; expect mem $s "both"; expect vma $s file /dev/shm/a
touch $s+4k,4k w; cache; cache /dev/shm/a; cache a; walk $s; walk $p; walk $p+8k
expect pages $s,12k "ss."; expect pages $p,12k "W.."
truncate /dev/shm/a 4k; walk $s+4k; expect fault $s+4k w -> beyond-eof SIGBUS BUS_ADRERR; expect fault $p r -> none
close $fd; expect error EBADF close $fd; munmap $s,12k; munmap $p,12k; check`)
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "files", r.out, `opened descriptor 3: /dev/shm/a O_RDWR`, `(?m)^ 3  O_RDWR +0  file +/dev/shm/a`)
	needs(t, "cache", r.out, `/dev/shm/a  memory   12K      8K      0         2`, `8K of 12K cached, 0 dirty, 2 mappings`)
	needs(t, "cache FILE", r.out, `0x0  0x1000      1  clean  0x[0-9a-f]+  2     2:0x[0-9a-f]+ w, 2:0x[0-9a-f]+`)
	needs(t, "walk", r.out, `cache    page 0x0, clean, memfile offset 0x[0-9a-f]+, 2 references`, `page 0x2000 is not there yet`, `page 0x1000 lies beyond the file's end`)
}

// The pages of a program's file go and come back; a name's last part will do.
func TestEvictionFromTheShell(t *testing.T) {
	r := play(t, `demo hello; touch $pc r; cache hello; expect pages $pc,4k "f"; evict hello; expect pages $pc,4k "."; cache hello; run; expect exit 0; expect output 'hello'`)
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "evict", r.out, `evicted /demo/hello: \d+K; 0 cached`)
}

// Refusals of the file commands have an errno and say what it is about.
func TestFileCommandsRefuse(t *testing.T) {
	for line, want := range map[string]string{
		"open /dev/shm/none": `open: ENOENT: .*"/dev/shm/none"`,
		"open /dev/shm/a rw create 0o600; open /dev/shm/a create excl": `open: EEXIST: .*"/dev/shm/a"`,
		"open /dev/shm r create": `open: EISDIR`,
		"open a nonsense":        `"nonsense" is no flag of open`,
		"close 99":               `close: EBADF: descriptor 99`,
		"cache /dev/shm":         `cache: EINVAL: /dev/shm is no regular file`,
		"cache /nothing":         `cache: ENOENT: .*"/nothing"`,
		"truncate /nothing 0":    `truncate: ENOENT: .*"/nothing"`,
		"truncate /dev/shm -1":   `truncate: EINVAL: -1 is no size`,
		"truncate /dev/shm 0":    `truncate: EISDIR: "/dev/shm"`,
		"sync /nothing":          `sync: ENOENT`,
		"writeback /nothing":     `writeback: ENOENT`,
		"evict 0..nothing":       `evict: no symbol`,
		"files 99":               `there is no process 99`,
	} {
		r := play(t, line)
		if r.status != 1 {
			t.Errorf("%s: status %d", line, r.status)
		}
		needs(t, line, r.err, want)
	}
}

// Files of the host are written in a private layer, and their pages are found there.
func TestTheCacheStepOfAnOrdinaryFile(t *testing.T) {
	r := play(t, `mmap 4k r private file /etc/passwd; let p = $_; walk $p; touch $p r; walk $p; expect pages $p,4k "f"; evict $p,4k; expect pages $p,4k "."
open /etc/passwd rw; mmap 4k rw shared file /etc/passwd; let s = $_; write $s "mine"; expect mem $p "mine"; expect file /etc/passwd "mine"; cache /etc/passwd`)
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "walk", r.out, `cache    page 0x0 is not there yet`, `cache    page 0x0, clean, memfile offset`)
	needs(t, "evict", r.out, `evicted /etc/passwd: 4K; 0 cached`)
	needs(t, "cache", r.out, `4K of .* cached, 0 dirty, 2 mappings`)
}

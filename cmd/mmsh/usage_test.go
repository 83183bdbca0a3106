package main

import (
	"strings"
	"testing"
)

// The commands that say who has which pages agree with each other, and with what
// was done to the pages.
func TestWhoHasWhichPages(t *testing.T) {
	shared := play(t, "mmap 64k rw; let a = $_; touch $a,16k w; fork; cow break $a,4k; refs $a,64k; smaps $a,64k; memfile; rss")
	needs(t, "refs, smaps, memfile and rss", shared.out,
		`(?m)^0x7ffff7fef000 +0x7ffff7ff0000 +0x[0-9a-f]+ +1 +1 +- +-$`,
		`(?m)^0x7ffff7ff0000 +0x7ffff7ff3000 +0x[0-9a-f]+ +3 +2 +wait +-$`,
		`(?m)^Rss: +16 kB$`, `(?m)^Pss: +10 kB$`, `(?m)^Shared_Dirty: +12 kB$`, `(?m)^Private_Dirty: +4 kB$`,
		`(?m)^anonymous +20K +5 pages$`,
		`(?m)^resident 16K: 16K anonymous, 0 file, 0 shmem · proportional 10K · peak 16K$`)

	alone := play(t, "mmap 64k rw; let a = $_; populate $a,64k; mlock $a,16k; smaps $a,16k; decommit $a+32k,32k; rss")
	needs(t, "a locked mapping", alone.out, `(?m)^Rss: +16 kB$`, `(?m)^Locked: +16 kB$`, `VmFlags: rd wr mr mw me lo ac`,
		`resident 32K.* peak 64K`, `locked 16K`)

	whole := play(t, "mmap 8k rw shared; touch $_,8k w; invalidate $_,8k; rss; touch $_,4k r; rss; smaps").out
	needs(t, "shared memory", whole, `resident 0:`, `resident 4K: 0 anonymous, 0 file, 4K shmem`, `VmFlags: rd wr sh mr mw me ms`)
	if !strings.HasSuffix(whole, "VmFlags: ex \n") {
		t.Errorf("smaps does not end with the vsyscall page:\n%s", whole)
	}
}

// What is refused says why, with Linux's errno.
func TestLimitsSealsAndLocksRefuse(t *testing.T) {
	for _, line := range []string{
		"limit as 1M; expect error ENOMEM mmap 2M rw; limit as unlimited; mmap 2M rw",
		"limit RLIMIT_MEMLOCK 8k; mmap 64k rw; expect error ENOMEM mlock $_,64k; mlock $_,8k; expect error ENOMEM mlockall current",
		"limit memlock 0; mmap 64k rw; expect error EPERM mlock $_,4k",
		"mmap 64k rw; let a = $_; mseal $a,64k; expect error EPERM munmap $a,4k; expect error EPERM mprotect $a,4k r",
		"mmap 64k rw; let a = $_; expect error ENOMEM mlock $a+60k,8k; expect error ENOMEM mseal $a+60k,8k; expect error ENOMEM populate $a+60k,8k",
		"mmap 64k rw; let a = $_; mlock $a,4k; expect error EBUSY msync $a,4k invalidate; expect error EINVAL msync $a,4k sync async",
		`mmap 64k rw; let a = $_; name $a,4k "a pool"; expect error EINVAL name $a,4k "a[b"; name $a,4k ""; expect error ENOMEM name $a+60k,8k x`,
		"mmap 64k rw; let a = $_; mbind $a,4k MPOL_BIND; expect error EINVAL mbind $a,4k cake; expect error EFAULT mbind $a+60k,8k local",
		"mmap 64k rw; expect error EINVAL invalidate $_+1,4k; expect error EINVAL mlockall onfault",
	} {
		if r := play(t, line); r.status != 0 {
			t.Errorf("%s: status %d\n%s%s", line, r.status, r.out, r.err)
		}
	}
	for line, reason := range map[string]string{"limit cake 4k": "is no limit: cpu fsize", "limit as": "usage: limit NAME"} {
		if r := play(t, line); r.status != 1 || !strings.Contains(r.err, reason) {
			t.Errorf("%s: status %d\n%s", line, r.status, r.err)
		}
	}
}

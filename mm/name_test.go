package mm

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Names of anonymous memory are shown in maps, keep mappings apart, and are refused
// as prctl(2) says. (The differential tests' host is built without them.)
func TestAnonymousNames(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.shared(base+8*page, 2*page, memmap.ReadWrite)
	p.file(base+16*page, newFile(p, 1), memmap.Read, true)
	set := func(addr memmap.Addr, n uint64, name string) error { return p.SetAnonName(p.by, addr, n, &name) }
	p.ok(set(base+page, 2*page, "pool 1"))
	p.ok(set(base+8*page, page, "ring"))
	names := func() string {
		var all []string
		for _, v := range p.VMAs(memmap.AddrRange{Start: base, End: base + 32*page}) {
			all = append(all, v.Name)
		}
		return strings.Join(all, ",")
	}
	if got, want := names(), ",[anon:pool 1],,[anon_shmem:ring],/dev/zero (deleted),"; !strings.HasPrefix(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
	child := p.fork()
	if v, _ := child.FindVMA(base + page); v.Name != "[anon:pool 1]" {
		t.Errorf("the child's name is %q", v.Name)
	}
	p.ok(p.SetAnonName(p.by, base, 4*page, nil))
	if n := len(p.VMAs(memmap.AddrRange{Start: base, End: base + 4*page})); n != 1 {
		t.Errorf("%d mappings without their names, want 1", n)
	}
	for _, bad := range []string{"a\\b", "`", "$x", "[", "]", "\x1f", "\x7f", "é", strings.Repeat("x", MaxAnonName+1)} {
		p.wantErrno(set(base, page, bad), unix.EINVAL, "name "+bad)
	}
	p.ok(set(base, page, strings.Repeat("x", MaxAnonName)))
	p.wantErrno(set(base+1, page, "x"), unix.EINVAL, "unaligned")
	p.wantErrno(set(base, ^uint64(0), "x"), unix.EINVAL, "overflow")
	p.wantErrno(set(base+3*page, 2*page, "last"), unix.ENOMEM, "hole")
	if v, _ := p.FindVMA(base + 3*page); v.Name != "[anon:last]" {
		t.Errorf("before the hole the name is %q", v.Name)
	}
	p.wantErrno(set(base+16*page, page, "x"), unix.EBADF, "a file")
	p.check()
}

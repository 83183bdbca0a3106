package loader

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// found is what a program finds at its first instruction.
type found struct {
	maps  string
	brk   memmap.Addr
	stack []byte // from the stack pointer up
}

// build compiles testdata/show.c.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "show")
	args := append([]string{"-nostdlib", "-O1", "-fno-stack-protector", "-o", path, "testdata/show.c"}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return path
}

// native runs path without randomisation and returns what it finds.
func native(t *testing.T, path string, args, env []string) found {
	t.Helper()
	cmd := exec.Command("setarch", append([]string{"-R", path}, args[1:]...)...)
	var maps, stack bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &maps, &stack, env
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	brk := memmap.Addr(binary.LittleEndian.Uint64(stack.Next(8)))
	return found{maps.String(), brk, stack.Bytes()}
}

// loaded loads path and returns what the program would find. Of what the host
// alone knows it is told the host's, from the native stack.
func loaded(t *testing.T, path string, args, env []string, host found) (found, *Image, *process) {
	t.Helper()
	p := newProcess(t)
	vdso, err := NewVDSO(p.mem)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vdso.Release)
	o := Options{Path: path, Args: args, Env: env, VDSO: vdso}
	told := auxvOf(host.stack)
	o.MinSigStack, o.HWCap, o.HWCap2 = told[atMinSigStackSize], told[atHWCap], told[atHWCap2]
	o.UID, o.EUID = uint32(told[atUID]), uint32(told[atEUID])
	o.GID, o.EGID = uint32(told[atGID]), uint32(told[atEGID])
	top := p.Layout().StackTop
	copy(o.Random[:], host.stack[len(host.stack)-int(uint64(top)-told[atRandom]):])
	p.huge = alignsHugePages(t, path)
	img, start, err := p.load(readTestFile(t, path), o)
	if err != nil {
		t.Fatal(err)
	}
	var maps strings.Builder
	if err := p.WriteMaps(&maps); err != nil {
		t.Fatal(err)
	}
	stack := make([]byte, top-start.SP)
	if _, err := p.CopyIn(p.by, start.SP, stack, mm.IOOpts{}); err != nil {
		t.Fatal(err)
	}
	return found{maps.String(), p.BrkRange().Start, stack}, img, p
}

// alignsHugePages says whether path's file system places large mappings where huge
// pages begin.
func alignsHugePages(t *testing.T, path string) bool {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC || st.Type == unix.BTRFS_SUPER_MAGIC
}

// auxvOf returns the auxiliary vector of a stack, by type.
func auxvOf(stack []byte) map[uint64]uint64 {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(stack[8*i:]) }
	i := int(word(0)) + 2 // behind argc, argv and its zero
	for word(i) != 0 {
		i++
	}
	v := make(map[uint64]uint64)
	for i++; word(i) != 0; i += 2 {
		v[word(i)] = word(i + 1)
	}
	return v
}

// masked returns the lines of maps without what differs by nature: device and inode
// numbers, and the kernel's own pages where the host's kernel is another than ours.
func masked(t *testing.T, host found, maps string) []string {
	t.Helper()
	maps = regexp.MustCompile(`(?m)[0-9a-f]{2}:[0-9a-f]{2} \d+ +`).ReplaceAllString(maps, "DEV INO ")
	if !isFollowed(t, host) {
		maps = regexp.MustCompile(`(?m)^.*\[v.*\]\n`).ReplaceAllString(maps, "")
	}
	return strings.Split(maps, "\n")
}

// isFollowed says whether the host's kernel is one of those whose vdso and auxiliary
// vector ours are like: 6.13 and later.
func isFollowed(t *testing.T, host found) bool {
	t.Helper()
	if strings.Contains(host.maps, "[vvar_vclock]") {
		return true
	}
	t.Log("the host's kernel is old: neither vdso nor stack are compared")
	return false
}

// A program finds the same mappings and, byte for byte, the same stack as on the
// host with randomisation off, whatever it is linked like.
func TestProgramsFindWhatTheHostShows(t *testing.T) {
	args, env := []string{"", "two", "", "four"}, []string{"A=b", "LONG=" + strings.Repeat("x", 5000)}
	for name, flags := range map[string][]string{
		"static":                  {"-static", "-DBSS=100"},
		"static, large bss":       {"-static", "-DBSS=300000"},
		"static, no relro":        {"-static", "-DBSS=9000", "-Wl,-z,norelro"},
		"static, one segment":     {"-static", "-DBSS=5", "-Wl,-N"},
		"static, executable data": {"-static", "-DBSS=50000", "-Wl,-z,execstack"},
		"static PIE":              {"-static-pie", "-fPIE", "-DBSS=300000"},
		"static PIE, small":       {"-static-pie", "-fPIE", "-DBSS=1"},
		"static PIE, 64 KiB":      {"-static-pie", "-fPIE", "-DBSS=1", "-Wl,-z,max-page-size=0x10000"},
		"static PIE, 2 MiB":       {"-static-pie", "-fPIE", "-DBSS=70000", "-Wl,-z,max-page-size=0x200000"},
		"static PIE, large":       {"-static-pie", "-fPIE", "-DBSS=6000000"},
		"static PIE, 2 MiB less":  {"-static-pie", "-fPIE", "-DBSS=2080000"},
		"static, large":           {"-static", "-DBSS=6000000"},
		"static, 2 MiB":           {"-static", "-DBSS=70000", "-Wl,-z,max-page-size=0x200000"},
	} {
		t.Run(name, func(t *testing.T) {
			path := build(t, flags...)
			args[0] = path
			host := native(t, path, args, env)
			got, _, _ := loaded(t, path, args, env, host)
			if diff := cmp.Diff(masked(t, host, host.maps), masked(t, host, got.maps)); diff != "" {
				t.Errorf("maps (-host +ours):\n%s", diff)
			}
			if host.brk != got.brk {
				t.Errorf("the heap begins at %v, on the host at %v", got.brk, host.brk)
			}
			if !isFollowed(t, host) {
				return
			}
			if !bytes.Equal(host.stack, got.stack) {
				t.Errorf("stack: %d bytes on the host, %d here; auxv (-host +ours):\n%s",
					len(host.stack), len(got.stack), cmp.Diff(auxvOf(host.stack), auxvOf(got.stack)))
			}
		})
	}
}

// Every mapping says where it comes from, symbols are found, and what lies behind
// the file's part of a segment is zero.
func TestImageOfAProgram(t *testing.T) {
	path := build(t, "-static", "-DBSS=9000")
	host := native(t, path, []string{path}, nil)
	_, img, p := loaded(t, path, []string{path}, nil, host)
	start, ok := img.Symbol("_start")
	if !ok || start.Addr != img.Entry() {
		t.Errorf("_start is %+v, the entry %v", start, img.Entry())
	}
	show, _ := img.Symbol("show")
	if got, ok := img.SymbolAt(show.Addr + 4); !ok || got.Name != "show" {
		t.Errorf("show+4 is in %+v", got)
	}
	zeroes, _ := img.Symbol("zeroes")
	b := bytes.Repeat([]byte{1}, 9000)
	if _, err := p.CopyIn(p.by, zeroes.Addr, b, mm.IOOpts{}); err != nil || bytes.Count(b, []byte{0}) != len(b) {
		t.Errorf("bss is not zero, or %v", err)
	}
	for _, v := range p.VMAs(p.All()) {
		if strings.HasSuffix(v.Name, "/show") && (v.Origin.By != memmap.ByELF || !strings.HasPrefix(v.Origin.Op, "PT_LOAD[")) {
			t.Errorf("%v comes from %v", v.AR, v.Origin)
		}
	}
	if errs := p.Check(true); len(errs) != 0 {
		t.Errorf("check: %v", errs)
	}
}

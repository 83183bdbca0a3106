package memmap

import (
	"errors"
	"math"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap/safemem"
)

func TestAddr(t *testing.T) {
	const top = Addr(math.MaxUint64)
	for _, c := range []struct {
		a    Addr
		n    uint64
		sum  Addr
		fits bool
	}{
		{0x1000, 0x234, 0x1234, true},
		{0x1000, 0, 0x1000, true},
		{top, 0, top, true},
		{top, 1, 0, false}, // a range up to 2^64 counts as a wrap
		{top - 4, 10, 5, false},
	} {
		if sum, ok := c.a.AddLength(c.n); sum != c.sum || ok != c.fits {
			t.Errorf("%v + %d = %v, %v", c.a, c.n, sum, ok)
		}
		if r, ok := c.a.ToRange(c.n); r != (AddrRange{Start: c.a, End: c.sum}) || ok != c.fits {
			t.Errorf("%v.ToRange(%d) = %v, %v", c.a, c.n, r, ok)
		}
	}
	for _, c := range []struct {
		a, down, up Addr
		fits        bool
		offset      uint64
	}{
		{0, 0, 0, true, 0},
		{1, 0, 0x1000, true, 1},
		{0xfff, 0, 0x1000, true, 0xfff},
		{0x1000, 0x1000, 0x1000, true, 0},
		{top, top - 0xfff, 0, false, 0xfff},
		{top - 0xfff, top - 0xfff, top - 0xfff, true, 0},
	} {
		up, ok := c.a.RoundUp()
		if c.a.RoundDown() != c.down || up != c.up || ok != c.fits || c.a.PageOffset() != c.offset || c.a.IsPageAligned() != (c.offset == 0) {
			t.Errorf("%v: down %v, up %v %v, offset %#x", c.a, c.a.RoundDown(), up, ok, c.a.PageOffset())
		}
		if n, ok := PageRoundUp(uint64(c.a)); n != uint64(c.up) || ok != c.fits {
			t.Errorf("PageRoundUp(%v) = %#x, %v", c.a, n, ok)
		}
	}
	if got := Addr(0x1234).Page(); got != (AddrRange{Start: 0x1000, End: 0x2000}) {
		t.Errorf("Page = %v", got)
	}
	if got := Addr(0x7fff0000).String(); got != "0x7fff0000" {
		t.Errorf("String = %q", got)
	}
}

// TestAccessTypes goes through all eight.
func TestAccessTypes(t *testing.T) {
	names := []string{"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"}
	for prot, name := range names { // PROT_READ, WRITE, EXEC are 1, 2, 4
		a := AccessFromProt(prot | 0x100)
		if a.String() != name || a.Prot() != prot || a.Any() != (prot != 0) {
			t.Errorf("%d: %v, prot %d, any %v", prot, a, a.Prot(), a.Any())
		}
		effective := prot
		if prot != 0 {
			effective |= unix.PROT_READ
		}
		if got := a.Effective().Prot(); got != effective {
			t.Errorf("%v is effectively %d", a, got)
		}
		for other := range names {
			b := AccessFromProt(other)
			if a.SupersetOf(b) != (prot&other == other) || a.Intersect(b).Prot() != prot&other || a.Union(b).Prot() != prot|other {
				t.Errorf("%v and %v: superset %v, intersection %v, union %v", a, b, a.SupersetOf(b), a.Intersect(b), a.Union(b))
			}
		}
	}
	for a, want := range map[AccessType]string{
		NoAccess: "---", Read: "r--", Write: "-w-", Execute: "--x", ReadWrite: "rw-", ReadExecute: "r-x", AnyAccess: "rwx",
	} {
		if a.String() != want {
			t.Errorf("%v, want %s", a, want)
		}
	}
}

func TestOriginsReadLikeSentences(t *testing.T) {
	for _, c := range []struct {
		o    Origin
		want string
	}{
		{Origin{By: ByELF, Op: "PT_LOAD[1]"}, "ELF PT_LOAD[1]"},
		{Origin{By: ByGuest, Op: "mmap", PC: 0x401000}, "mmap from 0x401000"},
		{Origin{By: ByGuest, Op: "brk"}, "brk"},
		{Origin{By: ByShell, Op: "mmap"}, "mmap by shell"},
		{Origin{By: ByKernel, Op: "stack"}, "stack by kernel"},
	} {
		if got := c.o.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestCauses(t *testing.T) {
	seen := map[string]bool{}
	for c := NoCause; c <= IOError; c++ {
		name := c.String()
		if name == "" || seen[name] {
			t.Errorf("cause %d is called %q", c, name)
		}
		seen[name] = true
		if got, ok := ParseCause(name); c != NoCause && (got != c || !ok) {
			t.Errorf("ParseCause(%q) = %v, %v", name, got, ok)
		}
		if c.Refused() != (c >= NoMapping) {
			t.Errorf("%v refused: %v", c, c.Refused())
		}
	}
	for _, name := range []string{"", "none", "cow"} {
		if c, ok := ParseCause(name); ok || c != NoCause {
			t.Errorf("ParseCause(%q) = %v", name, c)
		}
	}
}

func TestErrorsSayBoth(t *testing.T) {
	err := error(Refuse("mprotect", unix.EINVAL, "%#x is not page-aligned", 1))
	if err.Error() != "mprotect: EINVAL: 0x1 is not page-aligned" || !errors.Is(err, unix.EINVAL) {
		t.Errorf("refusal: %v", err)
	}
	var errno unix.Errno
	if !errors.As(err, &errno) || errno != unix.EINVAL {
		t.Errorf("errno is %v", errno)
	}
	err = &BusError{Err: unix.EIO}
	if !errors.Is(err, unix.EIO) || !errors.Is(err, unix.EFAULT) || !strings.Contains(err.Error(), "bus error") {
		t.Errorf("bus error: %v", err)
	}
}

func TestMLockModesAreOrdered(t *testing.T) {
	if max(MLockNone, MLockEager) != MLockEager || max(MLockEager, MLockLazy) != MLockLazy {
		t.Error("the higher mode does not hold")
	}
}

// aFile is a File that nothing is asked of.
type aFile struct{}

func (aFile) IncRef(FileRange)                                       {}
func (aFile) DecRef(FileRange)                                       {}
func (aFile) MapInternal(FileRange, AccessType) (safemem.Seq, error) { return safemem.Seq{}, nil }
func (aFile) FD() int                                                { return -1 }

func TestCheckTranslateResult(t *testing.T) {
	failed := errors.New("I/O error")
	// tr translates n pages from page first on, readable, to wherever.
	tr := func(first, n int) Translation {
		return Translation{Source: offsets(first, n), File: aFile{}, Offset: 5 * PageSize, Perms: Read}
	}
	with := func(tr Translation, change func(*Translation)) Translation {
		change(&tr)
		return tr
	}
	required, optional := offsets(4, 2), offsets(2, 8)
	for _, c := range []struct {
		name string
		at   AccessType
		ts   []Translation
		err  error
		want string // part of what is wrong, "" if nothing
	}{
		{"all that is required", Read, []Translation{tr(4, 2)}, nil, ""},
		{"all that is optional", Read, []Translation{tr(2, 8)}, nil, ""},
		{"in pieces", Read, []Translation{tr(3, 2), tr(5, 3)}, nil, ""},
		{"nothing, with an error", Read, nil, failed, ""},
		{"a part, with an error", Read, []Translation{tr(4, 1)}, failed, ""},
		{"nothing", Read, nil, nil, "no translation and no error"},
		{"a part", Read, []Translation{tr(4, 1)}, nil, "there is no error"},
		{"not the start", Read, []Translation{tr(5, 1)}, failed, "does not contain"},
		{"a gap", Read, []Translation{tr(4, 1), tr(6, 1)}, failed, "does not continue"},
		{"descending", Read, []Translation{tr(4, 1), tr(3, 1)}, failed, "does not continue"},
		{"what goes on behind it", Read, []Translation{tr(4, 2), tr(6, 1)}, nil, ""},
		{"too much", Read, []Translation{tr(1, 8)}, nil, "leaves optional"},
		{"too few rights", Write, []Translation{tr(4, 2)}, nil, "permissions r-- lack -w-"},
		{"an empty one", Read, []Translation{tr(4, 1), tr(5, 0)}, failed, "is empty"},
		{"no file", Read, []Translation{with(tr(4, 2), func(t *Translation) { t.File = nil })}, nil, "no file"},
		{"half a page", Read, []Translation{with(tr(4, 2), func(t *Translation) { t.Source.End++ })}, nil, "unaligned"},
		{"an unaligned offset", Read, []Translation{with(tr(4, 2), func(t *Translation) { t.Offset++ })}, nil, "unaligned offset"},
	} {
		err := CheckTranslateResult(required, optional, c.at, c.ts, c.err)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if got := tr(4, 2).FileRange(); got != (FileRange{Start: 5 * PageSize, End: 7 * PageSize}) {
		t.Errorf("FileRange = %v", got)
	}
	for _, c := range []struct{ required, optional MappableRange }{
		{offsets(4, 0), optional},
		{required, offsets(5, 4)},
		{MappableRange{Start: 1, End: PageSize}, offsets(0, 4)},
		{required, MappableRange{Start: 0, End: 9*PageSize + 1}},
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "memmap: Translate asked for") {
					t.Errorf("required %v, optional %v: panic is %v", c.required, c.optional, s)
				}
			}()
			CheckTranslateResult(c.required, c.optional, Read, nil, failed)
		}()
	}
}

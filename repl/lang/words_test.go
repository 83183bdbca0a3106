package lang

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

func TestRanges(t *testing.T) {
	env := newWorld()
	for _, c := range []struct {
		rule, src string
		lone      Lone
		want      string
		used      int
	}{
		{"A..B", "0x1000..0x3000", 0, "0x1000..0x3000", 1},
		{"A..B of expressions", "$a+4..$a+0x10", 0, "0x20000004..0x20000010", 1},
		{"A..B of bare hexadecimal", "00001000..00003000", 0, "0x1000..0x3000", 1},
		{"A..B of symbols", "main..main+8", 0, "0x401000..0x401008", 1},
		{"right of .. a name is its end", "[heap]..[stack]", 0, "0x555555559000..0x7ffffffff000", 1},
		{"right of .. below its end", "$rsp..[stack]-0x20", 0, "0x7fffffffe000..0x7fffffffefe0", 1},
		{"right of .. a row is its end", "vma:1..vma:2", 0, "0x1000..0x6000", 1},
		{"right of .. what is read is not an end", "0x1000..*libc", 0, "0x1000..0x0", 1},
		{"empty reaches the engine", "$a..$a", 0, "0x20000000..0x20000000", 1},
		{"backwards wraps", "0x3000..0x1000", 0, "0x3000..0x1000", 1},
		{"A,LEN", "$a,4k", 0, "0x20000000..0x20001000", 1},
		{"A,+LEN", "$a,+4k", 0, "0x20000000..0x20001000", 1},
		{"A,LEN of length 0", "$a,0", 0, "0x20000000..0x20000000", 1},
		{"A,LEN wraps", "$a,-1", 0, "0x20000000..0x1fffffff", 1},
		{"A,LEN of a name", "[heap],1p", 0, "0x555555559000..0x55555555a000", 1},
		{"A,LEN of bare hexadecimal", "7ffff7fff000,4k", 0, "0x7ffff7fff000..0x7ffff8000000", 1},
		{"ADDR LEN", "$a 4k rw", 0, "0x20000000..0x20001000", 2},
		{"ADDR LEN in parentheses", "$a (1 + 3) w", 0, "0x20000000..0x20000004", 2},
		{"ADDR -1", "$a -1", 0, "0x20000000..0x1fffffff", 2},
		{"unaligned reaches the engine", "0x1 4k rw", 0, "0x1..0x1001", 2},
		{"A-B as maps prints it", "555555559000-55555557a000 rw", 0, "0x555555559000..0x55555557a000", 1},
		{"A-B of eight digits", "00400000-00401000", 0, "0x400000..0x401000", 1},
		{"A-B in another process", "00400000-00401000@3", 0, "0x400000..0x401000@3", 1},
		{"a mapping", "[heap] 128k", 0, "0x555555559000..0x55555557a000", 1},
		{"a mapping without brackets", "libc", 0, "0x7ffff7c00000..0x7ffff7e00000", 1},
		{"a quoted mapping", `"ld-linux-x86-64.so.2"`, 0, "0x7ffff7fc0000..0x7ffff7ff0000", 1},
		{"map:", "map:both", 0, "0x8000..0x9000", 1},
		{"a row", "vma:2", 0, "0x3000..0x6000", 1},
		{"a mapping of another process", "[heap]@3", 0, "0xa000..0xc000@3", 1},
		{"A..B@PID", "main..main+8@3", 0, "0x501000..0x501008@3", 1},
		{"A@PID,LEN", "main@3,8", 0, "0x501000..0x501008@3", 1},
		{"A,LEN@PID", "main,8@3", 0, "0x501000..0x501008@3", 1},
		{"lone: page", "$a+5 w", LonePage, "0x20000000..0x20001000", 1},
		{"lone: 128", "$a+5", Lone128, "0x20000005..0x20000085", 1},
		{"lone: 8", "$a+5 w", Lone8, "0x20000005..0x2000000d", 1},
		{"lone before a flag", "$a --sort rss", LonePage, "0x20000000..0x20001000", 1},
		{"lone before a moment", "$a @12", LonePage, "0x20000000..0x20001000", 1},
		{"lone before a bare flag", "$a -A 3", LonePage, "0x20000000..0x20001000", 1},
		{"a symbol is an address", "both", LonePage, "0x400000..0x401000", 1},
	} {
		words, err := SplitWords(c.src)
		if err != nil {
			t.Fatal(err)
		}
		r, used, err := ParseRange(env, words, c.lone)
		if err != nil || r.String() != c.want || used != c.used {
			t.Errorf("%s: %q is %v (%d words), %v; want %s (%d)", c.rule, c.src, r, used, err, c.want, c.used)
		}
		if err == nil && r.Text != JoinWords(words[:c.used]) {
			t.Errorf("%s: Text is %q", c.rule, r.Text)
		}
	}
}

func TestWrongRanges(t *testing.T) {
	env := newWorld()
	for _, c := range []struct{ src, want string }{
		{"", "a range is missing: write A..B, ADDR,LEN or ADDR LEN"},
		{"$a rw", "$a alone is no range: write $a..END, $a,LEN or $a LEN"},
		{"$a-0x1000", "$a-0x1000 alone is no range: write $a-0x1000..END, $a-0x1000,LEN or $a-0x1000 LEN"},
		{"555555554000 7ffff7fff000", "a length is no bare hexadecimal number: write 0x7ffff7fff000, or A..7ffff7fff000 for an end"},
		{"..4", "an expression is missing"},
		{"1..", "an expression is missing"},
		{"mian..4", "no symbol, mapping or constant is called mian (nearest: main)"},
		{"main@3..main@2", "0x501000@3 and 0x401000@2 are addresses of two processes"},
		{"vma:7", "vma:7: the last vmas had 2 rows"},
		{"[heap]@7", "there is no process 7"},
	} {
		words, _ := SplitWords(c.src)
		r, _, err := ParseRange(env, words, LoneRefused)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q is %v, %v; want %q", c.src, r, err, c.want)
		}
	}
	if _, ok := (Range{Start: 0x1000, Length: 1<<64 - 1}).AddrRange(); ok {
		t.Error("a range that wraps is said not to")
	}
}

func TestPermissions(t *testing.T) {
	for s, want := range map[string]string{
		"rw": "rw-", "r-x": "r-x", "none": "---", "---": "---", "rwx": "rwx", "x": "--x", "rx": "r-x", "w": "-w-", "-w-": "-w-",
		"PROT_READ|PROT_WRITE": "rw-", "PROT_NONE": "---", "PROT_EXEC": "--x",
	} {
		if got, err := ParsePerms(s); err != nil || got.String() != want || !IsPerms(s) {
			t.Errorf("%s is %v, %v; want %s", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "wr", "rr", "r-", "x--", "rwxp", "PROT_FOO", "MAP_SHARED", "PROT_GROWSDOWN", "rw|x"} {
		if got, err := ParsePerms(bad); err == nil || IsPerms(bad) {
			t.Errorf("%q is %v", bad, got)
		}
	}
	for _, c := range []struct {
		pattern string
		perms   memmap.AccessType
		shared  bool
		want    bool
	}{
		{"r?x", memmap.AnyAccess, false, true}, {"r?x", memmap.ReadExecute, true, true}, {"r?x", memmap.Read, false, false},
		{"?wx", memmap.AnyAccess, false, true}, {"???", memmap.NoAccess, false, true}, {"r--", memmap.ReadWrite, false, false},
		{"r?-p", memmap.Read, false, true}, {"r?-p", memmap.Read, true, false}, {"r?-s", memmap.ReadWrite, true, true},
	} {
		p, err := ParsePermPattern(c.pattern)
		if err != nil || p.Match(c.perms, c.shared) != c.want || p.String() != c.pattern {
			t.Errorf("%s against %v shared=%v: %v, %v (%v)", c.pattern, c.perms, c.shared, !c.want, err, p)
		}
	}
	for _, bad := range []string{"", "rw", "wr-", "rwxq", "rwxpp"} {
		if _, err := ParsePermPattern(bad); err == nil {
			t.Errorf("%q is a pattern", bad)
		}
	}
}

func TestMapWordsAndConstants(t *testing.T) {
	for s, want := range map[string]uint64{
		"shared": unix.MAP_SHARED, "private": unix.MAP_PRIVATE, "fixed": unix.MAP_FIXED, "noreplace": unix.MAP_FIXED_NOREPLACE,
		"populate": unix.MAP_POPULATE, "locked": unix.MAP_LOCKED, "noreserve": unix.MAP_NORESERVE, "growsdown": unix.MAP_GROWSDOWN,
		"stack": unix.MAP_STACK, "32bit": unix.MAP_32BIT, "hugetlb": unix.MAP_HUGETLB,
		"MAP_PRIVATE|MAP_FIXED": unix.MAP_PRIVATE | unix.MAP_FIXED, "MAP_ANONYMOUS": unix.MAP_ANONYMOUS,
	} {
		if got, ok := MapWord(s); !ok || got != want {
			t.Errorf("%s is %#x, %v; want %#x", s, got, ok, want)
		}
	}
	for _, bad := range []string{"", "file", "MAP_NOSUCH", "PROT_READ", "private|shared"} {
		if got, ok := MapWord(bad); ok {
			t.Errorf("%q is %#x", bad, got)
		}
	}
	if v, ok := Constant("MADV_DONTNEED"); !ok || v != 4 {
		t.Errorf("MADV_DONTNEED is %d, %v", v, ok)
	}
	if v, ok := Constant("AT_FDCWD"); !ok || int64(v) != -100 {
		t.Errorf("AT_FDCWD is %d, %v", int64(v), ok)
	}
}

func TestBytes(t *testing.T) {
	for src, want := range map[string]string{
		`"hi\n"`: "hi\n", `'a\n'`: `a\n`, "deadbeef": "\xde\xad\xbe\xef", "de ad": "\xde\xad", "hex:00ff": "\x00\xff", `"hi" 00`: "hi\x00", `""`: "",
	} {
		words, _ := SplitWords(src)
		if got, err := ParseBytes(words); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", src, got, err, want)
		}
	}
	for _, bad := range []string{"", "abc", "xy", "hex:", "de??", `"a"b`, `"\q"`, "0x41"} {
		words, _ := SplitWords(bad)
		if got, err := ParseBytes(words); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}

func TestSearchPatterns(t *testing.T) {
	env := newWorld()
	for _, c := range []struct {
		src         string
		bytes, mask []byte
	}{
		{`"hi"`, []byte("hi"), []byte{0xff, 0xff}},
		{"hex:DE??A?", []byte{0xde, 0, 0xa0}, []byte{0xff, 0, 0xf0}},
		{"u32:1", []byte{1, 0, 0, 0}, []byte{0xff, 0xff, 0xff, 0xff}},
		{"u32:-1", []byte{0xff, 0xff, 0xff, 0xff}, []byte{0xff, 0xff, 0xff, 0xff}},
		{"u64:main", []byte{0, 0x10, 0x40, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8)},
	} {
		p, err := ParsePattern(env, Word{Text: c.src})
		if err != nil || !bytes.Equal(p.Bytes, c.bytes) || !bytes.Equal(p.Mask, c.mask) || p.Pointer {
			t.Errorf("%s is %+v, %v", c.src, p, err)
		}
	}
	if p, err := ParsePattern(env, Word{Text: "ptr:[heap]"}); err != nil || !p.Pointer || p.Within.Length != 0x21000 {
		t.Errorf("ptr:[heap] is %+v, %v", p, err)
	}
	for _, bad := range []string{"hi", `""`, "hex:D", "hex:", "u32:0x100000000", "u32:0xffffffffffffffff", "u64:", "ptr:nosuch", "u16:1"} {
		if p, err := ParsePattern(env, Word{Text: bad}); err == nil {
			t.Errorf("%s is %+v", bad, p)
		}
	}
}

func TestFormats(t *testing.T) {
	last := Format{Count: 9, Letter: 'd', Unit: 8}
	for s, want := range map[string]Format{
		"": {1, 'd', 8}, "4gx": {4, 'x', 8}, "x4g": {4, 'x', 8}, "-3i": {-3, 'i', 8}, "b": {1, 'd', 1}, "20": {20, 'd', 8}, "s": {1, 's', 8},
		"2c": {2, 'c', 1}, "hd": {1, 'd', 2}, "w": {1, 'd', 4}, "ch": {1, 'c', 2},
	} {
		if got, err := ParseFormat(s, last); err != nil || got != want {
			t.Errorf("/%s is %+v, %v; want %+v", s, got, err, want)
		}
	}
	if got, _ := ParseFormat("", Format{}); got != (Format{1, 'x', 4}) {
		t.Errorf("the first x is %+v", got)
	}
	if got, _ := ParseFormat("a", Format{}); got != (Format{1, 'a', 8}) {
		t.Errorf("x/a is %+v", got)
	}
	for _, bad := range []string{"q", "xx", "gb", "4x4", "-", "99999999999", "."} {
		if got, err := ParseFormat(bad, last); err == nil {
			t.Errorf("/%s is %+v", bad, got)
		}
	}
}

func TestMoments(t *testing.T) {
	for s, want := range map[string]Moment{
		"@0": {Kind: MomentEvent}, "@12": {Kind: MomentEvent, N: 12}, "@-3": {Kind: MomentAgo, N: 3},
		"@before": {Kind: MomentName, Name: "before"}, "@fork": {Kind: MomentName, Name: "fork"},
	} {
		if got, err := ParseMoment(s); err != nil || got != want || got.String() != s || !IsMoment(s) {
			t.Errorf("%s is %+v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "@", "12", "@-", "@-x", "@12x", "@99999999999999999999", "puts@plt"} {
		if got, err := ParseMoment(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

// describe prints what a filter asks.
func describe(f *Filter) string {
	var s []string
	add := func(name string, v any) { s = append(s, fmt.Sprintf("%s=%v", name, v)) }
	if f.Kinds != nil {
		add("kinds", f.Kinds)
	}
	if f.Causes != nil {
		add("causes", f.Causes)
	}
	if f.In != nil {
		add("in", f.In)
	}
	if f.InName != "" {
		add("name", f.InName)
	}
	if f.PID != 0 {
		add("pid", f.PID)
	}
	if f.By != "" {
		add("by", f.By)
	}
	if f.Perms != nil {
		add("perms", f.Perms)
	}
	if f.Syscalls != nil {
		add("calls", f.Syscalls)
	}
	if f.Since != nil {
		add("since", f.Since)
	}
	if f.Until != nil {
		add("until", f.Until)
	}
	if f.If != nil {
		add("if", f.If.Text)
	}
	return strings.Join(s, " ")
}

func TestFilters(t *testing.T) {
	env := newWorld()
	for src, want := range map[string]string{
		"":                           "",
		"fault":                      "kinds=[fault]",
		"fault cow-copy":             "kinds=[fault] causes=[cow-copy]",
		"fault cow":                  "kinds=[fault cow]",
		"guard":                      "causes=[guard]",
		"in 0x1000..0x2000":          "in=0x1000..0x2000",
		"in $a 4k pid 3":             "in=0x20000000..0x20001000 pid=3",
		"in [heap] fault":            "kinds=[fault] in=0x555555559000..0x55555557a000 name=[heap]",
		"map in libc":                "kinds=[map] in=0x7ffff7c00000..0x7ffff7e00000 name=libc",
		"pid $child":                 "pid=3",
		"by main":                    "by=main",
		"by shell by elf":            "by=elf",
		"by 'runtime.(*mheap).grow'": "by=runtime.(*mheap).grow",
		"protect perms ?wx":          "kinds=[protect] perms=?wx",
		"syscall":                    "kinds=[syscall]",
		"syscall mmap":               "kinds=[syscall] calls=[mmap]",
		"syscall fork pid 2":         "kinds=[syscall] pid=2 calls=[fork]",
		"syscall %memory by main":    "kinds=[syscall] by=main calls=[%memory]",
		"syscall read,write":         "kinds=[syscall] calls=[read write]",
		"syscall in [heap]":          "kinds=[syscall] in=0x555555559000..0x55555557a000 name=[heap]",
		"since @12 until @-1":        "since=@12 until=@-1",
		"fault since @fork if $n == 7 && (1 < 2)": "kinds=[fault] since=@fork if=$n == 7 && (1 < 2)",
	} {
		words, err := SplitWords(src)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseFilter(env, words)
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if got := describe(f); got != want || f.Text != src {
			t.Errorf("%q asks %q, want %q", src, got, want)
		}
	}
	for src, want := range map[string]string{
		"falt":         "no kind, cause or filter word is called falt (nearest: fault)",
		"fault in":     "filter: something must follow in",
		"in $a":        "filter: in: $a alone is no range: write $a..END, $a,LEN or $a LEN",
		"pid 0":        "filter: pid: 0 is no process",
		"perms rw":     `filter: perms: "rw" is no pattern of permissions: write as in r?x, ?w- or rw-p, ? for any`,
		"since 12":     `filter: since: "12" is no moment: write @12, @-3 or @name`,
		"if 1 +":       "filter: if: 1 +: something is missing at its end",
		"syscall ,":    `filter: syscall: "," names no call`,
		"fault cow 12": "no kind, cause or filter word is called 12",
	} {
		words, _ := SplitWords(src)
		if _, err := ParseFilter(env, words); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

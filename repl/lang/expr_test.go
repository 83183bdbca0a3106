package lang

import (
	"errors"
	"strings"
	"testing"

	"mmsh.dev/mmsh/memmap"
)

func TestNumbers(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "16": 16, "0x10": 16, "0b1": 1, "0b101": 5, "0o7": 7, "0o10": 8, "4k": 4096, "1m": 1 << 20, "2g": 2 << 30,
		"1t": 1 << 40, "3p": 3 * 4096, "0x10k": 16 << 10, "132K": 132 << 10, "0xffffffffffffffff": 1<<64 - 1,
		"18446744073709551615": 1<<64 - 1, "0k": 0, "0XaB": 0xab, "0x007": 7,
	} {
		if got, err := ParseNumber(s); got != want || err != nil {
			t.Errorf("%s is %d, %v; want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"010":                  "010 has a leading zero: write 0o10 or 10",
		"00":                   "00 has a leading zero: write 0o0 or 0",
		"089":                  "089 has a leading zero: write 89",
		"010k":                 "010k has a leading zero: write 0o10k or 10k",
		"18446744073709551616": "18446744073709551616 does not fit in 64 bits",
		"16777216t":            "16777216t does not fit in 64 bits",
		"0x":                   `"0x" is not a number`,
		"0b2":                  `"0b2" is not a number: hexadecimal is written 0x0b2`,
		"12ab":                 `"12ab" is not a number: hexadecimal is written 0x12ab`,
		"12q":                  `"12q" is not a number`,
		"k":                    `"k" is not a number`,
		"":                     `"" is not a number`,
		"-1":                   `"-1" is not a number`,
		"é":                    `"é" is not a number`,
	} {
		got, err := ParseNumber(s)
		if err == nil || err.Error() != want {
			t.Errorf("%q is %d, %v; want %q", s, got, err, want)
		}
	}
	for s, want := range map[string]bool{
		"7ffff7fff000": true, "00400000": true, "12345678": true, "1234567": false, "0123456789abcdef0": false, "0x123456": false, "7ffff7ffg000": false,
	} {
		if IsBareHex(s) != want {
			t.Errorf("IsBareHex(%s) is %v", s, !want)
		}
	}
}

func TestExpressions(t *testing.T) {
	env := newWorld()
	for _, c := range []struct{ rule, src, want string }{
		{"* before +", "2+3*4", "14"},
		{"- groups left", "10-3-2", "5"},
		{"/ groups left", "100/5/2", "10"},
		{"+ before <<", "1<<2+1", "8"},
		{"<< before <", "1<2<<1", "1"},
		{"< before ==", "1==2<3", "1"},
		{"== before &", "3&1==1", "1"},
		{"& before ^", "6^3&1", "7"},
		{"^ before |", "1|2^3", "1"},
		{"| before &&", "0&&1|1", "0"},
		{"&& before ||", "1||0&&0", "1"},
		{"parentheses", "(2+3)*4", "20"},
		{"and not", "0xff&~0xf", "240"},
		{"unary binds tighter", "-2*3", "-6"},
		{"unary twice", "--5", "5"},
		{"not", "!0+!7", "1"},
		{"complement", "~0", "-1"},
		{"blanks do not matter", " ( 1 +  2 ) ", "3"},
		{"* reads 8 bytes", "*$a", "511"},
		{"{N} reads N", "{1}$a", "255"},
		{"{N} binds as unary", "{2}$a+1", "512"},
		{"* of a sum", "*($a+1)", "1"},
		{"modulo", "-7%3", "-1"},
		{"signed division", "-7/2", "-3"},
		{"signed comparison", "-1<0", "1"},
		{"unsigned if one side is", "-1<0xffffffffffffff00", "0"},
		{"a register is signed", "$rax<0", "1"},
		{"equality is of bits", "-1==0xffffffffffffffff", "1"},
		{"addresses compare unsigned", "$rsp>-1", "0"},
		{"arithmetic shift", "-8>>1", "-4"},
		{"sums wrap", "0xffffffffffffffff+1", "0"},
		{"big literals are unsigned", "0xffffffffffffffff", "18446744073709551615"},
		{"negative ones print so", "5-7", "-2"},
		{"short circuit", "0 && *0", "0"},
		{"short circuit or", "1 || *0", "1"},
		{"smallest by -1 wraps", "(-0x7fffffffffffffff-1)/-1", "-9223372036854775808"},

		{"registers", "$rip", "0x401004"},
		{"variables", "$n+1", "8"},
		{"$_", "$_", "0x20000000"},
		{"symbols", "main+4", "0x401004"},
		{"@ of a symbol", "puts@plt", "0x400100"},
		{"@@ of a symbol", "memcpy@@GLIBC_2.14", "0x400500"},
		{":: in a symbol", "std::swap", "0x400400"},
		{"mappings", "[heap]+0x10", "0x555555559010"},
		{"mappings without brackets", "libc", "0x7ffff7c00000"},
		{"dots in names", "libc.so.6+1", "0x7ffff7c00001"},
		{"below a mapping's end", "[stack]-0x20", "0x7fffffffefe0"},
		{"a distance is from the start", "$rsp-[stack]", "131072"},
		{"a distance to an address", "[stack]-$rsp", "-131072"},
		{"rows", "vma:2", "0x3000"},
		{"rows by variable", "vma:$i", "0x1000"},
		{"quoted symbol", "'runtime.(*mheap).grow'+1", "0x400301"},
		{"quoted mapping", `"ld-linux-x86-64.so.2"+0x10`, "0x7ffff7fc0010"},
		{"a symbol before a mapping", "both", "0x400200"},
		{"sym:", "sym:both", "0x400200"},
		{"map:", "map:both", "0x8000"},
		{"map: with brackets", "map:[heap]", "0x555555559000"},
		{"sym: quoted", "sym:'both'", "0x400200"},
		{"constants", "MREMAP_MAYMOVE|MREMAP_FIXED", "3"},

		{"ADDR@PID", "main@3", "0x501000@3"},
		{"ADDR@$name", "$a@$child", "0x20000000@3"},
		{"a sum @PID", "main+4@3", "0x501004@3"},
		{"a mapping @PID", "[heap]@3", "0xa000@3"},
		{"below an end @PID", "[heap]-1@3", "0xbfff@3"},
		{"* reads in that process", "*$a@3", "9"},
		{"two processes compare", "*$a@3 == *$a", "0"},
		{"distance of two processes' addresses", "main@3-main", "1048576"},
		{"address less address", "$rsp-$rip", "140737484148732"},
		{"masked addresses stay addresses", "$rip&~0xfff", "0x401000"},
	} {
		got, err := Eval(env, c.src)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %s is %v, %v; want %s", c.rule, c.src, got, err, c.want)
		}
	}
}

func TestWrongExpressions(t *testing.T) {
	env := newWorld()
	for _, c := range []struct{ src, want string }{
		{"", "an expression is missing"},
		{"1+", "1+: something is missing at its end"},
		{"(1", "(1: ( at column 1 is not closed"},
		{"1 2", `1 2: unexpected "2" at column 3`},
		{"1)", `1): unexpected ")" at column 2`},
		{"+1", `+1: unexpected "+1" at column 1`},
		{"$", "$: a name must follow $"},
		{"&main", "&main: & takes no address here: a symbol is its address"},
		{"{9}1", "{9} is no size: {N}E reads N bytes, 1 to 8"},
		{"{1", "{1: { is not closed"},
		{"010", "010 has a leading zero: write 0o10 or 10"},
		{"1/0", "division by zero"},
		{"1%($n-7)", "division by zero"},
		{"1<<64", "shift by more than 63"},
		{"1<<-1", "shift by more than 63"},
		{"*0", "cannot read 8 bytes at 0x0: 0x0 is not mapped"},
		{"{4}16", "cannot read 4 bytes at 0x10: 0x10 is not mapped"},
		{"mian", "no symbol, mapping or constant is called mian (nearest: main)"},
		{"[haep]", "no mapping is called [haep] (nearest: [heap])"},
		{"sym:libc", "no symbol is called libc"},
		{"map:main", "no mapping is called main"},
		{"$riip", "no register or variable is called $riip (nearest: $rip)"},
		{"rip", "no symbol, mapping or constant is called rip (nearest: $rip)"},
		{"cafe", "no symbol, mapping or constant is called cafe (nearest: 0xcafe)"},
		{"MREMAP_MAYMOV", "no symbol, mapping or constant is called MREMAP_MAYMOV (nearest: MREMAP_MAYMOVE)"},
		{"zzzzzzzzzzzz", "no symbol, mapping or constant is called zzzzzzzzzzzz"},
		{"$xmm0", "$xmm0: the process has exited"},
		{"vma:9", "vma:9: the last vmas had 2 rows"},
		{"main@9", "there is no process 9"},
		{"main@0", "@0 is no process"},
		{"main@3+main@2", "0x501000@3 and 0x401000@2 are addresses of two processes"},
	} {
		got, err := Eval(env, c.src)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q is %v, %v; want %q", c.src, got, err, c.want)
		}
	}
	var unknown *UnknownError
	if _, err := Eval(env, "mian"); !errors.As(err, &unknown) || unknown.Nearest != "main" {
		t.Errorf("no UnknownError: %+v", unknown)
	}
	var read *ReadError
	if _, err := Eval(env, "*16"); !errors.As(err, &read) || read.Addr != 16 || read.Size != 8 {
		t.Errorf("no ReadError: %+v", read)
	}
}

func TestBareHexWhereAnAddressIsAsked(t *testing.T) {
	env := newWorld()
	for s, want := range map[string]string{
		"555555554000": "0x555555554000", "00400000": "0x400000", "12345678": "0x12345678", "deadbeef": "0xdeadbeef",
		"7ffff7fff000@3": "0x7ffff7fff000@3", "1234567": "1234567", "main": "0x401000", "sym:deadbeef": "0x1", " 12345678 ": "0x12345678",
		"12345678+0": "12345678",
	} {
		if got, err := EvalAddr(env, s); err != nil || got.String() != want {
			t.Errorf("%s is %v, %v; want %s", s, got, err, want)
		}
	}
	if got, err := Eval(env, "12345678"); err != nil || got.String() != "12345678" {
		t.Errorf("where no address is asked: %v, %v", got, err)
	}
}

func TestExprIsEvaluatedAnew(t *testing.T) {
	env := newWorld()
	e, err := ParseExpr("$n * 2")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 5} {
		env.variables["n"] = Int(n)
		if v, err := e.Eval(env); err != nil || v.Int() != 2*n {
			t.Errorf("$n=%d: %v, %v", n, v, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	env := newWorld()
	for s, want := range map[string]struct {
		reg  string
		size int
		addr memmap.Addr
	}{
		"$rip": {"rip", 0, 0}, "{4}$a": {"", 4, 0x20000000}, "*main": {"", 8, 0x401000}, "{1}($a+3)": {"", 1, 0x20000003},
	} {
		p, err := ParsePlace(s)
		if err != nil || p.Register != want.reg || p.Size != want.size {
			t.Errorf("%s: %+v, %v", s, p, err)
			continue
		}
		if p.Addr != nil {
			if a, err := p.Addr.Eval(env); err != nil || a.Addr() != want.addr {
				t.Errorf("%s: address %v, %v", s, a, err)
			}
		}
	}
	if _, err := ParsePlace("main+1"); err == nil || !strings.Contains(err.Error(), "{SIZE}ADDR") {
		t.Errorf("main+1: %v", err)
	}
}

func TestSplitting(t *testing.T) {
	for _, c := range []struct{ src, left, right string }{
		{"{8}$a = 3", "{8}$a", "3"}, {"n=4", "n", "4"}, {"b = $a == 3", "b", "$a == 3"}, {"q = '='", "q", "'='"},
	} {
		if l, r, ok := SplitAssign(c.src); !ok || l != c.left || r != c.right {
			t.Errorf("%q: %q, %q, %v", c.src, l, r, ok)
		}
	}
	for _, s := range []string{"a == b", "a <= b", "a >= b", "a != b", "'='", "(a=b)"} {
		if l, r, ok := SplitAssign(s); ok {
			t.Errorf("%q is split into %q and %q", s, l, r)
		}
	}
	for _, c := range []struct{ src, left, op, right string }{
		{"rss <= 4k", "rss", "<=", "4k"}, {"refs==1", "refs", "==", "1"}, {"count cow-copy in [heap] > 3", "count cow-copy in [heap]", ">", "3"},
		{"a<<2 < b", "a<<2", "<", "b"}, {"a>=b", "a", ">=", "b"}, {"a!=b", "a", "!=", "b"}, {"(a<b)==1", "(a<b)", "==", "1"},
		{"x < 3 == 1", "x < 3", "==", "1"},
	} {
		if l, op, r, ok := SplitComparison(c.src); !ok || l != c.left || op != c.op || r != c.right {
			t.Errorf("%q: %q %q %q %v", c.src, l, op, r, ok)
		}
	}
	for _, s := range []string{"a << 2", "a >> 2", "$a w -> zero-fill", "'<'", "(a<b)", "a=b", "a ! b"} {
		if l, op, r, ok := SplitComparison(s); ok {
			t.Errorf("%q is split into %q %q %q", s, l, op, r)
		}
	}
	for op, want := range map[string]bool{"==": false, "!=": true, "<": true, "<=": true, ">": false, ">=": false} {
		if got, err := Compare(Int(-1), op, Int(2)); err != nil || got != want {
			t.Errorf("-1 %s 2 is %v, %v", op, got, err)
		}
	}
	if _, err := Compare(Int(1), "=", Int(1)); err == nil {
		t.Error("= compares")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"vmas", "pmas", "pages", "maps", "map", "mmap", "munmap", "mremap"}
	for word, want := range map[string]string{
		"vams": "vmas", "mmpa": "mmap", "munmp": "munmap", "page": "pages", "qqqq": "", "": "", "mrenap": "mremap", "z": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) is %q, want %q", word, got, want)
		}
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance of kitten and sitting is %d", d)
	}
	if d := distance("ab", "ba"); d != 1 {
		t.Errorf("a swap costs %d", d)
	}
}

package view

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func text(v Value, width int) string {
	p := &Printer{Width: width}
	v.Text(p)
	return p.String()
}

func TestSizesAreShort(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 512: "512", 4096: "4K", 132 << 10: "132K", 2200000: "2.1M", 46 << 40: "46T", 1536: "1.5K", 1<<20 - 1: "1M"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func sample() VMAs {
	offset := uint64(0x1000)
	return VMAs{PID: 2, Rows: []VMA{
		{Row: 1, Start: 0x555555555000, End: 0x555555556000, Perms: "r-xp", MaxPerms: "rwx", Size: 4096, RSS: 4096, Offset: &offset, Name: "/usr/bin/true",
			Origin: Origin{By: "elf", Op: "PT_LOAD[1]", Event: 1}, Here: "$rip+0x142"},
		{Row: 2, Start: 0x555555559000, End: 0x55555557a000, Perms: "rw-p", MaxPerms: "rwx", Size: 132 << 10, RSS: 8192, COW: 4096, Name: "[heap]",
			Origin: Origin{By: "guest", Op: "brk", PC: 1, Symbol: "malloc+0x5e", Event: 19}},
	}, Totals: Totals{Mappings: 2, Virtual: 136 << 10, Resident: 12 << 10, COWWaiting: 4096, LargestGap: 46 << 40}}
}

func TestVMAsAreATable(t *testing.T) {
	want := ` #  START         END           PERM  MAX  SIZE  RSS  COW  OFFSET  NAME           ORIGIN
►1  555555555000  555555556000  r-xp  rwx    4K   4K    -  0x1000  /usr/bin/true  ELF PT_LOAD[1] @1  $rip+0x142
 2  555555559000  55555557a000  rw-p  rwx  132K   8K   1p       -  [heap]         brk from malloc+0x5e @19
    2 mappings · 136K virtual · 12K resident · 1 page waits for COW · largest gap 46T
`
	if got := text(sample(), 0); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTablesFitTheWidth(t *testing.T) {
	for _, line := range strings.Split(text(sample(), 90), "\n")[:3] {
		if n := utf8.RuneCountInString(line); n > 90 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestColourAddsNoWord(t *testing.T) {
	p := &Printer{Color: true}
	sample().Text(p)
	var bare strings.Builder
	for rest := p.String(); rest != ""; {
		if strings.HasPrefix(rest, "\x1b[") {
			rest = rest[strings.IndexByte(rest, 'm')+1:]
			continue
		}
		bare.WriteByte(rest[0])
		rest = rest[1:]
	}
	if bare.String() != text(sample(), 0) || bare.Len() == p.text.Len() {
		t.Errorf("coloured text without its colour:\n%s", bare.String())
	}
}

func TestPagesAreRowsOf64WithALegendOfTheLettersUsed(t *testing.T) {
	got := text(Pages{Start: 0x10000, Letters: strings.Repeat("W", 64) + ".c"}, 0)
	want := "00010000  " + strings.Repeat("W", 64) + "\n00050000  .c\n66 pages · W private, written · c waits for COW · . never faulted\n"
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestTouchedPagesAreToldInRuns(t *testing.T) {
	got := text(Touched{Access: "w", Start: 0x1000, End: 0x4000, Causes: []string{"zero-fill", "zero-fill", "none"}}, 0)
	if got != "w 0x1000..0x3000: zero-fill (2 pages)\nw 0x3000..0x4000: no fault (1 page)\n" {
		t.Errorf("got:\n%s", got)
	}
}

func TestStopsAreOneLine(t *testing.T) {
	exit, fault := 3, Addr(0x10)
	for want, s := range map[string]Stop{
		"stopped: exited with status 3 · pid 2 tid 2 · main+0x4 · @42\n": {Reason: "exit", PID: 2, TID: 2, Symbol: "main+0x4", Event: 42, Exit: &exit},
		"stopped: SIGSEGV SEGV_MAPERR: write at 0x10 refused, no-mapping · pid 2 tid 2 · 0x401000 · @7\n  0x10 is not mapped\n": {Reason: "fault", PID: 2, TID: 2,
			Addr: 0x401000, Event: 7, Signal: "SIGSEGV", Code: "SEGV_MAPERR", Fault: &fault, Access: "write", Cause: "no-mapping", Why: "0x10 is not mapped"},
		"stopped: brk(0) = 0x555555559000 · pid 2 tid 2 · _start · @9\n": {Reason: "syscall", PID: 2, TID: 2, Symbol: "_start", Event: 9,
			Call: &Call{Name: "brk", Args: []Addr{0}, Result: 0x555555559000}},
	} {
		if got := text(s, 0); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	}
}

func TestEventsAreOneLine(t *testing.T) {
	a := Addr(0x555555559010)
	e := Event{Seq: 20, Kind: "fault", PID: 2, Cause: "zero-fill", Access: "w", Addr: &a, Place: "[heap]+0x10", Origin: Origin{By: "guest", PC: 1, Symbol: "main+0x1d"}}
	if got := text(Events{Events: []Event{e}}, 0); got != "@20 fault w 0x555555559010 [heap]+0x10 zero-fill  main+0x1d\n" {
		t.Errorf("got: %s", got)
	}
}

func TestOutputThatIsNoTextIsBase64(t *testing.T) {
	if o := OutputOf(2, 1, []byte("a\n")); o.Text != "a\n" || o.Base64 != "" {
		t.Errorf("%+v", o)
	}
	if o := OutputOf(2, 1, []byte{0xff, 0}); o.Text != "" || o.Base64 != "/wA=" {
		t.Errorf("%+v", o)
	}
}

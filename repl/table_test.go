package repl

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEveryCommandIsDescribed(t *testing.T) {
	for _, c := range Commands() {
		if c.Summary == "" || c.Run == nil || len(c.Examples) == 0 {
			t.Errorf("%s lacks a summary, a function or an example", c.Name)
		}
		if !slices.Contains(Groups, c.Group) {
			t.Errorf("%s is in the unknown group %q", c.Name, c.Group)
		}
		for _, x := range c.Examples {
			if !strings.Contains(x.Line, c.Name) {
				t.Errorf("%s: the example %q is of something else", c.Name, x.Line)
			}
		}
	}
}

func TestThePagesAreMadeFromTheTable(t *testing.T) {
	for file, want := range map[string]string{
		"../docs/commands.md": CommandsPage(), "../docs/json.md": JSONPage(), "../docs/mmsh-1.schema.json": JSONSchema(),
	} {
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s is not what the table says: `make docs` writes it anew", file)
		}
	}
}

func TestPrefixesAreForThePromptOnly(t *testing.T) {
	table := newTable()
	if c, err := table.find("hexd", true); err != nil || c.Name != "hexdump" {
		t.Errorf("hexd at the prompt: %v, %v", c, err)
	}
	if _, err := table.find("hexd", false); err == nil {
		t.Error("hexd is a command in a script")
	}
	if _, err := table.find("m", true); err == nil || !strings.Contains(err.Error(), "mmap") || !strings.Contains(err.Error(), "mprotect") {
		t.Errorf("an ambiguous prefix lists its candidates: %v", err)
	}
	if _, err := table.find("vmsa", false); err == nil || !strings.Contains(err.Error(), `"vmas"`) {
		t.Errorf("a mistyped name is told the nearest: %v", err)
	}
}

func TestUnitsArePrintedAsGdbDoes(t *testing.T) {
	for _, c := range []struct {
		v      uint64
		letter byte
		unit   int
		want   string
	}{
		{0x2a, 'x', 4, "0x0000002a"}, {0x2a, 'x', 8, "0x2a"}, {0x2a, 'z', 8, "0x000000000000002a"},
		{0xffffffff, 'd', 4, "-1"}, {0xffffffff, 'u', 4, "4294967295"}, {8, 'o', 1, "010"}, {0, 'o', 1, "0"},
		{5, 't', 1, "101"}, {'A', 'c', 1, "65 'A'"}, {0x3ff0000000000000, 'f', 8, "1"}, {0x3f800000, 'f', 4, "1"},
		{0x1ff, 'x', 1, "0xff"},
	} {
		if got := formatBits(c.v, c.letter, c.unit); got != c.want {
			t.Errorf("%#x as %c%d: %s, want %s", c.v, c.letter, c.unit, got, c.want)
		}
	}
}

func TestComparisonsAreSplitOffWords(t *testing.T) {
	for word, want := range map[string][]string{
		"refs==1": {"refs", "==", "1"}, "size": {"size"}, "<=4k": {"<=", "4k"}, ">": {">"}, "rss!=": {"rss", "!="},
	} {
		if got := splitComparison(word); !slices.Equal(got, want) {
			t.Errorf("%s: %q", word, got)
		}
	}
}

func TestPagePatternsFit(t *testing.T) {
	for _, c := range []struct {
		letters, pattern string
		want             bool
	}{{"WW.c", "WW.?", true}, {"WW.c", "WW.", false}, {"W-", "W ", true}, {"Wz", "WW", false}} {
		if fits(c.letters, c.pattern) != c.want {
			t.Errorf("%q fits %q: %v", c.letters, c.pattern, !c.want)
		}
	}
}

func TestStarlarkSeesNamesWithoutTheirSigil(t *testing.T) {
	for text, want := range map[string]string{
		`$a == 4`: `a == 4`, `"$a" == $a`: `"$a" == a`, `$rip > 0`: `reg("rip") > 0`, `mem($a, 2) == b'$x'`: `mem(a, 2) == b'$x'`,
	} {
		if got := plainNames(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

package lang

import (
	"errors"
	"strings"
	"testing"
)

// FuzzScript: whatever the text, the parser ends; what it accepts is a tree whose
// words are the text's, and each command's source is that command again.
func FuzzScript(f *testing.F) {
	for _, s := range []string{
		"vmas; maps # c\n", "repeat 3 { a; b }\n", "if $a == (1 + 2) { x/4gx $rsp } else if b { } else { c }", "echo 'a' \"b\\n\" \\\n c", "!ls",
		"time goal g { expect rss < 4k }", "set {8}$a = 3", "a }", "{", "\\", "x \\\r\n y\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		cmds, err := ParseScript("f", src)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > 1+strings.Count(src, "\n") || syntax.Col < 1 {
				t.Fatalf("%q: %#v", src, err)
			}
			return
		}
		_ = Walk(cmds, func(c *Command) error {
			for i, w := range c.Words {
				if w.Text == "" || !strings.HasPrefix(c.Rest(i), w.Text) {
					t.Fatalf("%q: word %d is %q, Rest %q", src, i, w.Text, c.Rest(i))
				}
			}
			again, err := ParseScript("f", c.Source+" ")
			if err != nil || show(again) != show([]*Command{c}) {
				t.Fatalf("%q: source %q parses as %q, %v; want %q", src, c.Source, show(again), err, show([]*Command{c}))
			}
			return nil
		})
	})
}

// FuzzExpr: parsing and evaluating end in a value or an error.
func FuzzExpr(f *testing.F) {
	for _, s := range []string{
		"1+2*3", "*$a", "{4}($a+1)", "[heap]-0x20", "main+4@3", "puts@plt", "vma:$i", "sym:'a b'", "~-!1", "1<<2>>1", "a&&b||c", "4k&~0xfff", "$rip..", "\"x\\n\"", "map:[x", "..", ".@1",
	} {
		f.Add(s)
	}
	env := newWorld()
	f.Fuzz(func(t *testing.T, src string) {
		for _, parse := range []func(string) (*Expr, error){ParseExpr, ParseAddr} {
			e, err := parse(src)
			if err != nil {
				continue
			}
			first, errFirst := e.Eval(env)
			second, errSecond := e.Eval(env)
			if first != second || (errFirst == nil) != (errSecond == nil) {
				t.Fatalf("%q is %v, %v and then %v, %v", src, first, errFirst, second, errSecond)
			}
		}
	})
}

// FuzzRange: a range is read from one or two words that were there.
func FuzzRange(f *testing.F) {
	for _, s := range []string{
		"1..2", "$a,4k", "$a,+4k", "$a 4k", "555555559000-55555557a000", "[heap]", "vma:2", "[heap]..[stack]-1", "main..main+8@3", "a,b,c", "..", "1....2", "in $a 4k pid 3", "map:a 1 2", "- -", "$a -",
	} {
		f.Add(s)
	}
	env := newWorld()
	f.Fuzz(func(t *testing.T, src string) {
		words, err := SplitWords(src)
		if err != nil {
			return
		}
		for lone := LoneRefused; lone <= Lone8; lone++ {
			r, used, err := ParseRange(env, words, lone)
			if err == nil && (used < 1 || used > 2 || used > len(words) || r.Text != JoinWords(words[:used])) {
				t.Fatalf("%q: %+v from %d words", src, r, used)
			}
		}
		_, _ = ParseFilter(env, words)
		_, _ = ParseBytes(words)
		for _, w := range words {
			_, _ = Expand(env, w)
			_, _ = ParsePattern(env, w)
			_, _ = ParseFormat(w.Text, Format{})
			_, _ = ParseMoment(w.Text)
			_, _ = ParsePlace(w.Text)
		}
	})
}

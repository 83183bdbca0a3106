package lang

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// show prints a tree as one line: words joined by |, blocks in <>.
func show(cmds []*Command) string {
	var parts []string
	for _, c := range cmds {
		var words []string
		for _, w := range c.Words {
			words = append(words, w.Text)
		}
		s := strings.Join(words, "|")
		if c.Host != "" {
			s += "$" + c.Host
		}
		for _, b := range c.Blocks {
			s += "<" + show(b) + ">"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ; ")
}

func TestLinesBecomeCommands(t *testing.T) {
	for _, c := range []struct{ rule, src, want string }{
		{"newline separates", "vmas\nmaps", "vmas ; maps"},
		{"semicolon separates", "vmas;maps ; ps", "vmas ; maps ; ps"},
		{"a blank line does nothing", "\n  \n;;\nvmas\n\n", "vmas"},
		{"CRLF is a newline", "vmas\r\nmaps\r\n", "vmas ; maps"},
		{"# comments at a word's start", "vmas # all; of them\nmaps", "vmas ; maps"},
		{"# inside a word is the word's", "echo a#b", "echo|a#b"},
		{"# in quotes is text", "echo '# no' \"# no\"", "echo|'# no'|\"# no\""},
		{"# in brackets is text", "print (1 # 2)", "print|(1 # 2)"},
		{"backslash joins lines", "mmap 4k \\\n rw", "mmap|4k|rw"},
		{"backslash joins inside a word", "mm\\\nap 4k", "mmap|4k"},
		{"backslash elsewhere is itself", `echo a\b \c`, `echo|a\b|\c`},
		{"backslash in quotes does not join", "echo 'a\\\nb'", "echo|'a\\\nb'"},
		{"single quotes are literal", `echo 'a "b; c' d`, `echo|'a "b; c'|d`},
		{"double quotes know escaped quotes", `echo "a \"; b" c`, `echo|"a \"; b"|c`},
		{"quotes inside a word", `x "ld-linux.so.2"+0x10`, `x|"ld-linux.so.2"+0x10`},
		{"parentheses protect blanks", "print (1 + 2) * 3", "print|(1 + 2)|*|3"},
		{"brackets protect newlines", "print (1 +\n2)\nvmas", "print|(1 +\n2) ; vmas"},
		{"square brackets protect", "vmas [anon: a b]", "vmas|[anon: a b]"},
		{"brackets nest", "print ((1 + 2) * [a b])", "print|((1 + 2) * [a b])"},
		{"a quote protects a bracket", `print (")" 1)`, `print|(")" 1)`},
		{"{ before a digit is no block", "set {8}$a = 3", "set|{8}$a|=|3"},
		{"a { alone is a block", "repeat 3 { vmas; maps }", "repeat|3<vmas ; maps>"},
		{"blocks span lines", "repeat 3 {\n vmas\n # c\n maps\n}\nps", "repeat|3<vmas ; maps> ; ps"},
		{"blocks nest", "repeat 3 { if 1 { a } else { b } ; c }", "repeat|3<if|1<a><b> ; c>"},
		{"a block may be empty", "repeat 3 { }", "repeat|3<>"},
		{"if keeps blanks of its expression", "if $a == 3 && ($b < 2) { x $a }", "if|$a|==|3|&&|($b < 2)<x|$a>"},
		{"else if", "if a { b } else if c { d } else { e }", "if|a<b><if|c<d><e>>"},
		{"commands and goal have blocks", "commands 1 { bt }\ngoal g points 2 { expect rss < 4k }", "commands|1<bt> ; goal|g|points|2<expect|rss|<|4k>"},
		{"a prefix before a block command", "time repeat 3 { vmas }", "time|repeat|3<vmas>"},
		{"a comment may follow a block", "repeat 3 { a } # c\nb", "repeat|3<a> ; b"},
		{"! gives the line to the host", "!ls | wc; echo 'x\nvmas", "!$ls | wc; echo 'x ; vmas"},
		{"! in a block's own line", "repeat 2 {\n  ! date\n}", "repeat|2<!$date>"},
		{"! later in a command is a word", "print !1", "print|!1"},
		{"no command at all", " # only a comment", ""},
		{"closing brackets alone are text", "echo :) a]", "echo|:)|a]"},
	} {
		cmds, err := ParseScript("f", c.src)
		if got := show(cmds); err != nil || got != c.want {
			t.Errorf("%s: %q gives %q, %v; want %q", c.rule, c.src, got, err, c.want)
		}
	}
}

func TestSyntaxErrorsNameTheirPlace(t *testing.T) {
	for _, c := range []struct {
		src, want string
		more      bool
	}{
		{"vmas\necho 'abc", "f:2: quote ' is not closed", true},
		{"echo \"abc\\\"", "f:1: quote \" is not closed", true},
		{"print (1 +", "f:1: bracket is not closed: ) is missing", true},
		{"vmas\n\nrepeat 3 {\nvmas\n", "f:3: block { is not closed", true},
		{"vmas \\", "f:1: nothing follows the \\ that joins lines", true},
		{"vmas }", "f:1: } without {", false},
		{"}", "f:1: } without {", false},
		{"{ vmas }", "f:1: a block needs a command before its {", false},
		{"repeat 3 { vmas }x", "f:1: block { is not closed", true},
		{"repeat 3 { vmas\n}x", "f:2: } must be a word of its own", false},
		{"repeat 3 { vmas } maps", "f:1: a new line or ; must follow }", false},
		{"repeat 3", "f:1: repeat wants a block: repeat N { … }", false},
		{"if 1", "f:1: if wants a block: if E { … } else { … }", false},
		{"vmas\nmaps { ps }", "f:2: maps takes no block", false},
		{"if 1 { a }\nelse { b }", "f:2: else must stand on the line of the } before it", false},
		{"repeat 1 { a } else { b }", "f:1: else without if", false},
		{"if 1 { a } else", "f:1: else wants { … } or if", true},
		{"if 1 { a } else b", "f:1: else wants { … } or if", false},
		{"vmas; !ls", "f:1: ! gives a line to the host's shell only where it is first on the line", false},
		{`"\q" x`, `f:1: unknown escape \q`, false},
	} {
		cmds, err := ParseScript("f", c.src)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != c.want || syntax.More != c.more || cmds != nil {
			t.Errorf("%q: %v (%+v), want %q more=%v", c.src, err, syntax, c.want, c.more)
		}
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	_, err := ParseScript("f", strings.Repeat("repeat 1 { ", 100000))
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("blocks: %v", err)
	}
	_, err = ParseScript("f", "if 1 { a }"+strings.Repeat(" else if 1 { a }", 100000))
	if err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("else if: %v", err)
	}
	for _, s := range []string{strings.Repeat("(", 100000), strings.Repeat("-", 100000), strings.Repeat("{1}", 100000)} {
		if _, err := ParseExpr(s); err == nil || !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%.8s…: %v", s, err)
		}
	}
}

func TestEndlessSumsAreRefused(t *testing.T) {
	for _, op := range []string{"+", "*", "&&", "||"} {
		if _, err := ParseExpr("1" + strings.Repeat(op+"1", 1000000)); err == nil || !strings.Contains(err.Error(), "operators") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestCommandsKnowTheirTextAndPlace(t *testing.T) {
	cmds, err := ParseScript("lab.mmsh", "vmas\n  quiet  assert  a \\\n ==  \"b  c\" # no\ntime repeat 2 { ps }\nx/4gx $rsp; \"x/4\" 1\n")
	if err != nil {
		t.Fatal(err)
	}
	q := cmds[1]
	if q.Where() != "lab.mmsh:2" || q.Col != 3 || q.Words[2].Line != 2 || q.Words[3].Line != 3 || q.Words[3].Col != 2 {
		t.Errorf("places: %+v", q)
	}
	if got := q.Rest(2); got != `a  ==  "b  c"` {
		t.Errorf("Rest(2) is %q", got)
	}
	if got := q.Text(1, 4); got != "assert  a  ==" || q.Text(3, 3) != "" || q.Text(3, 9) != "" {
		t.Errorf("Text(1, 4) is %q", got)
	}
	if q.Rest(5) != "" || q.Rest(-1) != "" {
		t.Error("Rest outside the words is not empty")
	}
	inner := q.From(1)
	if inner.Name != "assert" || inner.Rest(1) != `a  ==  "b  c"` || inner.Source != `assert  a  ==  "b  c"` {
		t.Errorf("From(1): %+v", inner)
	}
	if r := cmds[2].From(1); r.Name != "repeat" || len(r.Blocks) != 1 || r.Source != "repeat 2 { ps }" {
		t.Errorf("From keeps no blocks: %+v", r)
	}
	if cmds[2].From(3) != nil {
		t.Error("From beyond the words is not nil")
	}
	if q.Source != "quiet  assert  a \\\n ==  \"b  c\"" {
		t.Errorf("Source is %q", q.Source)
	}
	if x := cmds[3]; x.Name != "x" || x.Slash != "4gx" || x.Source != "x/4gx $rsp" || len(x.Args()) != 1 {
		t.Errorf("x/4gx: %+v", x)
	}
	if x := cmds[4]; x.Name != "x/4" || x.Slash != "" {
		t.Errorf("a quoted name was split: %+v", x)
	}
	if i := cmds[1].Index("==", 0); i != 3 {
		t.Errorf("Index of == is %d", i)
	}
	var names []string
	_ = Walk(cmds, func(c *Command) error { names = append(names, c.Name); return nil })
	if got := strings.Join(names, " "); got != "vmas quiet time ps x x/4" {
		t.Errorf("Walk: %s", got)
	}
	stop := errors.New("stop")
	if err := Walk(cmds, func(c *Command) error {
		if c.Name == "ps" {
			return stop
		}
		return nil
	}); err != stop {
		t.Errorf("Walk does not stop: %v", err)
	}
}

func TestInputAsksForMoreLines(t *testing.T) {
	in := Input{File: "<stdin>"}
	steps := []struct {
		line, want string
		more       bool
	}{
		{"vmas", "vmas", false},
		{"", "", false},
		{"repeat 2 {", "", true},
		{"  maps", "", true},
		{"}", "repeat|2<maps>", false},
		{"echo 'a", "", true},
		{"b' c", "echo|'a\nb'|c", false},
		{"mmap \\", "", true},
		{"4k rw", "mmap|4k|rw", false},
		{"print (1 +", "", true},
		{"2)", "print|(1 +\n2)", false},
	}
	for _, s := range steps {
		cmds, more, err := in.Add(s.line)
		if got := show(cmds); got != s.want || more != s.more || err != nil || in.Pending() != more {
			t.Errorf("%q: %q more=%v %v, want %q more=%v", s.line, got, more, err, s.want, s.more)
		}
	}
	_, _, err := in.Add("vmas }")
	if want := fmt.Sprintf("<stdin>:%d: } without {", len(steps)+1); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	in.Add("repeat 2 {")
	in.Drop()
	if cmds, _, _ := in.Add("ps"); show(cmds) != "ps" || cmds[0].Line != len(steps)+3 {
		t.Errorf("after Drop: %v", cmds)
	}
	in.Add("echo '")
	if err := in.End(); err == nil || !strings.Contains(err.Error(), "quote") {
		t.Errorf("End of an open quote: %v", err)
	}
	if err := in.End(); err != nil {
		t.Errorf("second End: %v", err)
	}
}

func TestQuotesAndEscapes(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{`plain`, "plain"},
		{`'a\n"b'`, `a\n"b`},
		{`"a\n\t\0\x41\"\\"`, "a\n\t\x00A\"\\"},
		{`"\101\e[0m"`, "A\x1b[0m"},
		{`"é\u00e9\U0001F600"`, "éé😀"},
		{`"\xff"`, "\xff"},
		{`a'b c'"d"e`, "ab cde"},
		{`"$name ${1}"`, "$name ${1}"},
		{`""`, ""},
	} {
		got, err := Word{Text: c.word}.Value()
		if got != c.want || err != nil {
			t.Errorf("%s gives %q, %v; want %q", c.word, got, err, c.want)
		}
	}
	for _, bad := range []string{`"\q"`, `"\x"`, `"\u12"`, `"\777"`, `"\UFFFFFFFF"`} {
		if got, err := (Word{Text: bad}).Value(); err == nil {
			t.Errorf("%s gives %q, want an error", bad, got)
		}
	}
	if !(Word{Text: `"a"`}).Quoted() || (Word{Text: `"a"b`}).Quoted() || (Word{Text: "a"}).Quoted() {
		t.Error("Quoted is wrong")
	}
}

func TestEchoExpandsOutsideQuotes(t *testing.T) {
	env := newWorld()
	for _, c := range []struct{ word, want string }{
		{`$n`, "7"}, {`a=$a;`, "a=0x20000000;"}, {`${$n + 1}th`, "8th"}, {`"$n"`, "$n"}, {`'${n}'$n`, "${n}7"},
		{`$`, "$"}, {`5$`, "5$"}, {`$5`, "$5"}, {`$rax`, "-14"}, {`${*($a)}`, "511"},
	} {
		got, err := Expand(env, Word{Text: c.word})
		if got != c.want || err != nil {
			t.Errorf("%s gives %q, %v; want %q", c.word, got, err, c.want)
		}
	}
	for _, bad := range []string{"$nosuch", "${1 +}", "${1"} {
		if _, err := Expand(env, Word{Text: bad}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestSplitWords(t *testing.T) {
	words, err := SplitWords("a  'b c' (d e)")
	if err != nil || JoinWords(words) != "a 'b c' (d e)" || len(words) != 3 {
		t.Errorf("%v, %v", words, err)
	}
	for _, bad := range []string{"a; b", "repeat 1 { a }", "'a"} {
		if _, err := SplitWords(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

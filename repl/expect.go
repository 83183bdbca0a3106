package repl

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/journal"
)

// expectCommand is the entry of `expect`.
func expectCommand() *Command {
	return &Command{
		Name: "expect", Group: "check",
		Synopsis: "[not] vma|pma|fault|same-frame|mem|file|pages|stop|signal|exit|output|count|event|error … | EXPR OP N",
		Summary:  "fail if something does not hold",
		Help: strings.Join([]string{
			"vma ADDR [perms r?-p] [size|rss|offset OP N] [name T] [file PATH] [origin T]",
			"pma ADDR [cow|no-cow] [private|shared|file] [refs OP N]",
			"fault ADDR r|w|x -> CAUSE [SIGNAL CODE]     what `why` says would happen; nothing is touched",
			"same-frame A B · mem ADDR \"text\"|hex · file PATH [OFF] \"text\"|hex · pages RANGE \"WW.c?\"",
			"rss OP N · EXPR OP N · stop KIND [at ADDR] · signal SIG [CODE] [ADDR] · exit N|SIG [pid P] · output [stdout|stderr] 'RE2'",
			"count CAUSE [FILTER] OP N · count pages CAUSE [FILTER] OP N · event FILTER",
			"error ERRNO CMD…     CMD must fail so; if it succeeds its effect stays",
			"`not` or `no` before any of them turns it round.",
		}, "\n"),
		Examples: []Example{
			{Setup: "mmap 64k rw; let a = $_; touch $a,4k w", Line: "expect pma $a private refs==1", Shows: "one owner"},
			{Setup: "mmap 64k rw", Line: "expect fault $_ w -> zero-fill", Shows: "what a store would do"},
			{Setup: "mmap 64k rw; let a = $_; touch $a,8k w", Line: `expect pages $a,16k "WW.."`, Shows: "two pages written"},
			{Line: "expect error EINVAL mprotect 0x1 4k rw", Shows: "a refusal"},
		},
		Data: []view.Value{view.Expected{}}, Complete: []hint{hintExpect, hintAddr}, Run: runExpect,
	}
}

// verdict is what an expectation found.
type verdict struct {
	ok    bool
	found string
}

func runExpect(c *call) (view.Value, error) {
	i := 0
	negated := false
	if len(c.args) > 0 && (c.args[0].Text == "not" || c.args[0].Text == "no") {
		negated, i = true, 1
	}
	if i >= len(c.args) {
		return nil, c.usage()
	}
	asked := strings.TrimSpace(c.cmd.Rest(1))
	v, err := c.judge(i)
	if err != nil {
		return nil, err
	}
	if v.ok == negated {
		reason := fmt.Sprintf("asked: %s; found: %s", asked, v.found)
		return nil, &Failure{Kind: view.KindExpect, Reason: reason, Asked: asked, Found: v.found}
	}
	return view.Expected{Asked: asked, Found: v.found}, nil
}

// judge finds out about the expectation that begins with argument i.
func (c *call) judge(i int) (verdict, error) {
	rest := c.args[i+1:]
	judges := map[string]func([]lang.Word) (verdict, error){
		"vma": c.judgeVMA, "pma": c.judgePMA, "fault": c.judgeFault, "same-frame": c.judgeSameFrame, "mem": c.judgeMem,
		"file": c.judgeFile, "pages": c.judgePages, "stop": c.judgeStop, "signal": c.judgeSignal, "exit": c.judgeExit,
		"output": c.judgeOutput, "event": c.judgeEvent,
	}
	switch word := c.args[i].Text; {
	case judges[word] != nil:
		return judges[word](rest)
	case word == "count":
		return c.judgeCount(i + 1)
	case word == "error":
		return c.judgeError(i + 1)
	}
	return c.judgeNumber(i)
}

// judgeNumber is `rss OP N` and `EXPR OP N`.
func (c *call) judgeNumber(i int) (verdict, error) {
	left, op, right, ok := lang.SplitComparison(c.cmd.Rest(i + 1))
	if !ok {
		return verdict{}, c.usage()
	}
	a, err := c.quantity(strings.TrimSpace(left))
	if err != nil {
		return verdict{}, err
	}
	b, err := lang.Eval(c.env, strings.TrimSpace(right))
	if err != nil {
		return verdict{}, err
	}
	ok, err = lang.Compare(a, op, b)
	return verdict{ok, fmt.Sprintf("%s is %v", strings.TrimSpace(left), a)}, err
}

func (c *call) quantity(text string) (lang.Number, error) {
	if text != "rss" {
		return lang.Eval(c.env, text)
	}
	t, err := c.target(0)
	if err != nil {
		return lang.Number{}, err
	}
	return lang.Int(int64(statsOf(t).RSS)), nil
}

// judgeCount is `count [pages] CAUSE [FILTER] OP N`.
func (c *call) judgeCount(i int) (verdict, error) {
	left, op, right, ok := lang.SplitComparison(c.cmd.Rest(i + 1))
	if !ok {
		return verdict{}, c.usage()
	}
	words, err := lang.SplitWords(strings.TrimSpace(left))
	if err != nil {
		return verdict{}, err
	}
	pages := len(words) > 0 && words[0].Text == "pages"
	if pages {
		words = words[1:]
	}
	found, err := c.selected(words)
	if err != nil {
		return verdict{}, err
	}
	n, what := int64(len(found)), "events"
	if pages {
		n, what = 0, "pages"
		for k := range found {
			n += int64(journal.PagesOf(&found[k]))
		}
	}
	want, err := lang.Eval(c.env, strings.TrimSpace(right))
	if err != nil {
		return verdict{}, err
	}
	ok, err = lang.Compare(lang.Int(n), op, want)
	return verdict{ok, fmt.Sprintf("%d %s%s", n, what, c.newest(found))}, err
}

func (c *call) selected(words []lang.Word) ([]mm.Event, error) {
	j, err := c.s.needJournal()
	if err != nil {
		return nil, err
	}
	match, err := c.filter(words)
	if err != nil {
		return nil, err
	}
	return j.Select(match)
}

// newest names the newest of the events.
func (c *call) newest(found []mm.Event) string {
	if len(found) == 0 {
		return ""
	}
	return ", the newest " + c.s.viewEvent(&found[len(found)-1]).Line(true)
}

func (c *call) judgeEvent(words []lang.Word) (verdict, error) {
	found, err := c.selected(words)
	return verdict{len(found) > 0, fmt.Sprintf("%d events%s", len(found), c.newest(found))}, err
}

// judgeError is `error ERRNO CMD…`.
func (c *call) judgeError(i int) (verdict, error) {
	inner := c.cmd.From(i + 2)
	if i >= len(c.args) || inner == nil {
		return verdict{}, c.usage()
	}
	want := c.args[i].Text
	entry, _, _, err := c.s.run(c.ctx, inner)
	f := failureOf(err, commandName(entry, inner))
	switch {
	case f == nil:
		return verdict{false, inner.Name + " succeeded"}, nil
	case f.Kind == view.KindInternal:
		return verdict{}, err
	case f.Errno == "":
		return verdict{false, inner.Name + ": " + f.Reason}, nil
	}
	return verdict{f.Errno == want, fmt.Sprintf("%s: %s: %s", inner.Name, f.Errno, f.Reason)}, nil
}

// judgeOutput is `output [stdout|stderr] 'RE2'`.
func (c *call) judgeOutput(words []lang.Word) (verdict, error) {
	fds := []int{1, 2}
	if len(words) == 2 {
		fd, ok := map[string]int{"stdout": 1, "stderr": 2}[words[0].Text]
		if !ok {
			return verdict{}, fmt.Errorf("output is of stdout or stderr, not %q", words[0].Text)
		}
		fds, words = []int{fd}, words[1:]
	}
	if len(words) != 1 || c.s.config.Sink == nil {
		return verdict{}, c.usage()
	}
	pattern, err := words[0].Value()
	if err != nil {
		return verdict{}, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return verdict{}, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	var all []byte
	for _, fd := range fds {
		text := c.s.config.Sink.All(fd)
		if re.Match(text) {
			return verdict{true, fmt.Sprintf("%q", re.Find(text))}, nil
		}
		all = append(all, text...)
	}
	if len(all) > 200 {
		all = append(all[:200:200], "…"...)
	}
	return verdict{false, fmt.Sprintf("%q", all)}, nil
}

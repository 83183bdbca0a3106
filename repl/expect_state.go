package repl

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
	"mmsh.dev/mmsh/sentry/vfs"
)

func statsOf(t target) mm.Stats { return debugger.Stats(t.proc) }

// clauses are words of an expectation that are read one after the other, with
// comparisons split off: refs==1 is three of them.
type clauses struct {
	words []string
	c     *call
}

var comparison = regexp.MustCompile(`==|!=|<=|>=|<|>`)

func (c *call) clauses(words []lang.Word) (*clauses, error) {
	cl := &clauses{c: c}
	for _, w := range words {
		if w.Quoted() {
			text, err := w.Value()
			if err != nil {
				return nil, err
			}
			cl.words = append(cl.words, text)
			continue
		}
		cl.words = append(cl.words, splitComparison(w.Text)...)
	}
	return cl, nil
}

func splitComparison(word string) []string {
	at := comparison.FindStringIndex(word)
	if at == nil {
		return []string{word}
	}
	var parts []string
	for _, part := range []string{word[:at[0]], word[at[0]:at[1]], word[at[1]:]} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func (cl *clauses) more() bool { return len(cl.words) > 0 }

func (cl *clauses) next() (string, error) {
	if len(cl.words) == 0 {
		return "", cl.c.usage()
	}
	word := cl.words[0]
	cl.words = cl.words[1:]
	return word, nil
}

// compare reads OP N and applies it to have.
func (cl *clauses) compare(have uint64) (bool, error) {
	op, err := cl.next()
	if err != nil {
		return false, err
	}
	text, err := cl.next()
	if err != nil {
		return false, err
	}
	want, err := lang.Eval(cl.c.env, text)
	if err != nil {
		return false, err
	}
	return lang.Compare(lang.Int(int64(have)), op, want)
}

func (c *call) judgeVMA(words []lang.Word) (verdict, error) {
	if len(words) == 0 {
		return verdict{}, c.usage()
	}
	at, err := c.placeOf(words[0].Text)
	if err != nil {
		return verdict{}, err
	}
	cl, err := c.clauses(words[1:])
	if err != nil {
		return verdict{}, err
	}
	vma, ok := findVMA(at.proc, at.addr)
	if !ok {
		return verdict{false, fmt.Sprintf("%v is not mapped", at.addr)}, nil
	}
	shown := c.s.viewVMA(at.proc, vma)
	found := fmt.Sprintf("%v..%v %s, %d bytes, %d resident, %s, %s", shown.Start, shown.End, shown.Perms, shown.Size, shown.RSS,
		orNone(shown.Name), shown.Origin)
	for ok && cl.more() {
		if ok, err = cl.vmaHolds(vma, shown.Origin.String()); err != nil {
			return verdict{}, err
		}
	}
	return verdict{ok, found}, nil
}

func orNone(name string) string {
	if name == "" {
		return "no name"
	}
	return name
}

func (cl *clauses) vmaHolds(v mm.VMAInfo, origin string) (bool, error) {
	word, err := cl.next()
	if err != nil {
		return false, err
	}
	switch word {
	case "size":
		return cl.compare(v.AR.Length())
	case "rss":
		return cl.compare(v.RSS)
	case "offset":
		return cl.compare(uint64(v.Offset))
	}
	value, err := cl.next()
	if err != nil {
		return false, err
	}
	switch word {
	case "perms":
		pattern, err := lang.ParsePermPattern(value)
		return err == nil && pattern.Match(v.Perms, !v.Private), err
	case "name":
		return v.Name == value || named(v, value), nil
	case "file":
		return v.Name == value || path.Base(v.Name) == value, nil
	case "origin":
		return strings.Contains(origin, value) || v.Origin.By.String() == value, nil
	}
	return false, fmt.Errorf("%q is nothing that a vma has: perms size rss offset name file origin", word)
}

func (c *call) judgePMA(words []lang.Word) (verdict, error) {
	if len(words) == 0 {
		return verdict{}, c.usage()
	}
	at, err := c.placeOf(words[0].Text)
	if err != nil {
		return verdict{}, err
	}
	cl, err := c.clauses(words[1:])
	if err != nil {
		return verdict{}, err
	}
	pmas := debugger.PMAs(at.proc, at.addr.Page())
	if len(pmas) == 0 {
		return verdict{false, fmt.Sprintf("no page is held at %v", at.addr)}, nil
	}
	p := pmas[0]
	refs := uint32(1)
	if len(p.Refs) > 0 {
		refs = p.Refs[0].Refs
	}
	found := describePMA(p, refs) + reasonSuffix(c.s.whyPMA(p))
	for cl.more() {
		ok, err := cl.pmaHolds(p, refs)
		if err != nil || !ok {
			return verdict{false, found}, err
		}
	}
	return verdict{true, found}, nil
}

func describePMA(p mm.PMAInfo, refs uint32) string {
	words := []string{"shared"}
	switch {
	case p.Zero:
		words[0] = "the zero page"
	case p.Private:
		words[0] = "private"
	case !p.InMemory || p.FileName != "":
		words[0] = "a file's page"
	}
	if p.NeedCOW {
		words = append(words, "waits for COW")
	}
	if p.InMemory {
		words = append(words, fmt.Sprintf("%d references", refs))
	}
	return strings.Join(words, ", ")
}

func reasonSuffix(why string) string {
	if why == "" {
		return ""
	}
	return ", " + why
}

func (cl *clauses) pmaHolds(p mm.PMAInfo, refs uint32) (bool, error) {
	word, err := cl.next()
	if err != nil {
		return false, err
	}
	switch word {
	case "cow":
		return p.NeedCOW, nil
	case "no-cow":
		return !p.NeedCOW, nil
	case "private":
		return p.Private, nil
	case "shared":
		return !p.Private, nil
	case "file":
		return !p.Private && p.FileName != "", nil
	case "zero":
		return p.Zero, nil
	case "refs":
		return cl.compare(uint64(refs))
	}
	return false, fmt.Errorf("%q is nothing that a pma is: cow no-cow private shared file zero refs", word)
}

func (c *call) judgeFault(words []lang.Word) (verdict, error) {
	if len(words) < 4 || words[2].Text != "->" {
		return verdict{}, c.usage()
	}
	at, err := c.placeOf(words[0].Text)
	if err != nil {
		return verdict{}, err
	}
	access, err := accessWord(words[1])
	if err != nil {
		return verdict{}, err
	}
	x, err := c.s.d.Explain(at.pid, at.addr, access)
	if err != nil {
		return verdict{}, err
	}
	cause := x.Cause.String()
	if x.Mapped {
		cause = "none"
	}
	got := []string{cause}
	if x.Signal != 0 {
		got = append(got, signalName(x.Signal), debugger.SignalCode(x.Signal, x.Code))
	}
	ok := len(words)-3 <= len(got)
	for i, w := range words[3:] {
		ok = ok && got[i] == w.Text
	}
	return verdict{ok, strings.Join(got, " ") + failedRule(x)}, nil
}

// failedRule names the rule that refused an access.
func failedRule(x mm.Explanation) string {
	for _, r := range x.Rules {
		if !r.OK {
			return " (" + r.Text + ")"
		}
	}
	return ""
}

func (c *call) judgeSameFrame(words []lang.Word) (verdict, error) {
	if len(words) != 2 {
		return verdict{}, c.usage()
	}
	var walks [2]mm.Walk
	var frames [2]string
	for i, w := range words {
		at, err := c.placeOf(w.Text)
		if err != nil {
			return verdict{}, err
		}
		m, err := at.memory()
		if err != nil {
			return verdict{}, err
		}
		walks[i] = m.Walk(at.addr)
		frames[i] = frameName(walks[i])
	}
	ok := frames[0] == frames[1] && walks[0].PMA != nil && walks[0].PMA.File == walks[1].PMA.File
	return verdict{ok, fmt.Sprintf("%s is %s, %s is %s", words[0].Text, frames[0], words[1].Text, frames[1])}, nil
}

func frameName(w mm.Walk) string {
	switch {
	case w.PMA == nil:
		return "no page"
	case w.PMA.Zero:
		return "the zero page"
	case w.PMA.InMemory:
		return fmt.Sprintf("memfile %#x", uint64(w.MemOffset)&^(memmap.PageSize-1))
	}
	return fmt.Sprintf("%s+%#x", w.PMA.FileName, uint64(w.MemOffset)&^(memmap.PageSize-1))
}

func (c *call) judgeMem(words []lang.Word) (verdict, error) {
	if len(words) < 2 {
		return verdict{}, c.usage()
	}
	at, err := c.placeOf(words[0].Text)
	if err != nil {
		return verdict{}, err
	}
	want, err := lang.ParseBytes(words[1:])
	if err != nil {
		return verdict{}, err
	}
	have := make([]byte, len(want))
	if n, err := c.s.d.Peek(at.pid, at.addr, have); err != nil {
		return verdict{false, cannotRead(at.addr+memmap.Addr(n), err).Error()}, nil
	}
	return verdict{bytes.Equal(have, want), quoteBytes(have) + reasonSuffix(c.s.whyPage(at))}, nil
}

// whyPage says what made the page at an address what it is.
func (s *Session) whyPage(at place) string {
	pmas := debugger.PMAs(at.proc, at.addr.Page())
	if len(pmas) == 0 {
		return "never faulted"
	}
	return s.whyPMA(pmas[0])
}

func quoteBytes(b []byte) string {
	if view.Printable(b) == string(b) {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("% x", b)
}

// judgeFile is `file PATH [OFF] "text"|hex`.
func (c *call) judgeFile(words []lang.Word) (verdict, error) {
	if len(words) < 2 {
		return verdict{}, c.usage()
	}
	t, err := c.target(0)
	if err != nil {
		return verdict{}, err
	}
	name, err := words[0].Value()
	if err != nil {
		return verdict{}, err
	}
	var offset int64
	content := words[1:]
	if len(words) > 2 {
		if n, err := lang.ParseNumber(words[1].Text); err == nil {
			offset, content = int64(n), words[2:]
		}
	}
	want, err := lang.ParseBytes(content)
	if err != nil {
		return verdict{}, err
	}
	d, err := t.proc.Context().Open(vfs.Where{Path: name, Caller: vfs.Caller{PID: t.pid, TID: t.pid}}, unix.O_RDONLY, 0)
	if err != nil {
		return verdict{false, err.Error()}, nil
	}
	defer func() { _ = d.DecRef() }()
	have := make([]byte, len(want))
	n, err := d.PRead(have, offset)
	if err != nil {
		return verdict{false, err.Error()}, nil
	}
	return verdict{bytes.Equal(have[:n], want), quoteBytes(have[:n])}, nil
}

// judgePages is `pages RANGE "WW.c?"`, where ? fits every letter.
func (c *call) judgePages(words []lang.Word) (verdict, error) {
	if len(words) < 2 {
		return verdict{}, c.usage()
	}
	pattern, err := words[len(words)-1].Value()
	if err != nil {
		return verdict{}, err
	}
	r, used, err := lang.ParseRange(c.env, words[:len(words)-1], lang.LonePage)
	if err != nil {
		return verdict{}, err
	}
	if used != len(words)-1 {
		return verdict{}, c.usage()
	}
	t, err := c.target(r.PID)
	if err != nil {
		return verdict{}, err
	}
	ar, err := span{t, r}.ends("pages")
	if err != nil {
		return verdict{}, err
	}
	letters, err := c.s.pageLetters(t, ar)
	if err != nil {
		return verdict{}, err
	}
	return verdict{fits(letters, pattern), fmt.Sprintf("%q", letters)}, nil
}

// fits reports whether letters are the pattern's; ? fits all, a blank is -.
func fits(letters, pattern string) bool {
	if len(letters) != len(pattern) {
		return false
	}
	for i := range pattern {
		want := pattern[i]
		if want == ' ' {
			want = '-'
		}
		if want != '?' && want != letters[i] {
			return false
		}
	}
	return true
}

func (c *call) judgeStop(words []lang.Word) (verdict, error) {
	if len(words) != 1 && (len(words) != 3 || words[1].Text != "at") {
		return verdict{}, c.usage()
	}
	stop := c.s.d.LastStop()
	if stop == nil {
		return verdict{false, "nothing has stopped yet"}, nil
	}
	found := fmt.Sprintf("%s at %v", stop.Reason, stop.Addr)
	if stop.Symbol != "" {
		found += " (" + stop.Symbol + ")"
	}
	found += fmt.Sprintf(" @%d", stop.Event)
	ok := string(stop.Reason) == words[0].Text
	if len(words) == 3 {
		at, err := c.placeOf(words[2].Text)
		if err != nil {
			return verdict{}, err
		}
		ok = ok && at.addr == stop.Addr
	}
	return verdict{ok, found}, nil
}

// gotSignal is a signal that a guest got or is about to get.
type gotSignal struct {
	sig  unix.Signal
	code int32
	addr memmap.Addr
}

func (g gotSignal) String() string {
	return fmt.Sprintf("%s %s at %v", signalName(g.sig), debugger.SignalCode(g.sig, g.code), g.addr)
}

// lastSignals returns the signal of the last stop and the newest one in the log.
func (c *call) lastSignals() []gotSignal {
	var got []gotSignal
	if stop := c.s.d.LastStop(); stop != nil && stop.Signal != 0 {
		got = append(got, gotSignal{stop.Signal, stop.Code, stop.Fault})
	}
	events := c.s.d.Journal().After(0)
	for i := len(events) - 1; i >= 0; i-- {
		if e := &events[i]; e.Kind == mm.EventSignal {
			return append(got, gotSignal{unix.Signal(e.Number), e.Code, e.Addr})
		}
	}
	return got
}

// judgeSignal is `signal SIG [CODE] [ADDR]`.
func (c *call) judgeSignal(words []lang.Word) (verdict, error) {
	if len(words) < 1 || len(words) > 3 {
		return verdict{}, c.usage()
	}
	sig := unix.SignalNum(words[0].Text)
	if sig == 0 {
		return verdict{}, fmt.Errorf("%q is no signal", words[0].Text)
	}
	var code *int32
	rest := words[1:]
	if len(rest) > 0 {
		if n, ok := debugger.SignalNumber(sig, rest[0].Text); ok {
			code, rest = &n, rest[1:]
		}
	}
	var addr *memmap.Addr
	if len(rest) > 0 {
		at, err := c.placeOf(rest[0].Text)
		if err != nil {
			return verdict{}, err
		}
		addr = &at.addr
	}
	if c.s.d.Kernel() == nil {
		return verdict{}, debugger.ErrNoProcess
	}
	got := c.lastSignals()
	if len(got) == 0 {
		return verdict{false, "no signal"}, nil
	}
	for _, g := range got {
		if g.sig == sig && (code == nil || *code == g.code) && (addr == nil || *addr == g.addr) {
			return verdict{true, g.String()}, nil
		}
	}
	return verdict{false, got[0].String()}, nil
}

// judgeExit is `exit N|SIG [pid P]`.
func (c *call) judgeExit(words []lang.Word) (verdict, error) {
	if len(words) != 1 && (len(words) != 3 || words[1].Text != "pid") {
		return verdict{}, c.usage()
	}
	pid := 0
	if len(words) == 3 {
		n, err := lang.Eval(c.env, words[2].Text)
		if err != nil {
			return verdict{}, err
		}
		pid = int(n.Int())
	}
	t, err := c.target(pid)
	if err != nil {
		return verdict{}, err
	}
	status, ended := c.s.waitStatus(t.proc)
	if !ended {
		return verdict{false, fmt.Sprintf("process %d has not ended", t.pid)}, nil
	}
	found := fmt.Sprintf("process %d: %s", t.pid, statusName(status))
	w := unix.WaitStatus(status)
	if sig := unix.SignalNum(words[0].Text); sig != 0 {
		return verdict{w.Signaled() && w.Signal() == sig, found}, nil
	}
	n, err := lang.Eval(c.env, words[0].Text)
	return verdict{w.Exited() && int64(w.ExitStatus()) == n.Int(), found}, err
}

// waitStatus returns how a process ended, also if it stands just before its end.
func (s *Session) waitStatus(p *sentry.Process) (status uint32, ended bool) {
	if state, status := p.State(); state != sentry.Alive {
		return status, true
	}
	stop := s.d.LastStop()
	if stop == nil || !stop.Ended() || stop.PID != p.PID() {
		return 0, false
	}
	if stop.Reason == debugger.Exit {
		return uint32(stop.Exit&0xff) << 8, true
	}
	if stop.Signal == 0 {
		return uint32(unix.SIGKILL), true
	}
	return uint32(stop.Signal), true
}

package line

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	prompt "github.com/c-bata/go-prompt"
)

// Suggestion is one completion.
type Suggestion struct {
	Text        string // replaces the word (up to a blank) before the cursor
	Description string
}

// Config says how a terminal is read.
type Config struct {
	// Complete returns what may stand in place of the word that ends at byte pos of
	// line. It is called once for a line and position, not at every key, and never for
	// an empty line. May be nil.
	Complete func(line string, pos int) []Suggestion
	// Color draws the prompt and the suggestions in colour.
	Color bool
	// History keeps lines over sessions. May be nil: this session only.
	History *History
	// Exit is called with 143 or 129 if SIGTERM or SIGHUP comes while a line is edited,
	// after the terminal was restored. It must not return. nil means os.Exit.
	Exit func(code int)
}

// Terminal is the Reader of an interactive terminal, on go-prompt v0.2.6.
//
// Of go-prompt only New (once) and Input are called. Run would leave the terminal raw
// while commands run, lose signals then, deadlock on a resize followed by Enter, and
// exit on SIGINT. Input starts no signal goroutine; signals are ours, and exist only
// while a line is read. What Input cannot do is done by leaving and calling it again:
// it keeps its text and cursor when it is left by the exit checker. So a resize (Input
// asks for the size only when it begins), Ctrl-Z and a hangup send a key that is
// bound to leaving.
type Terminal struct {
	config Config
	tty    *tty
	parser *parser
	prompt *prompt.Prompt
	closed bool

	// Used by the goroutine that runs Input.
	prefix   string
	leave    bool   // the exit checker is to end Input
	text     string // the line when Input was left
	panicked any    // what the completer panicked with
	cache    completions
}

// NewTerminal returns a Reader of the controlling terminal. The error says what is
// missing: standard input or output is no terminal, or there is no /dev/tty.
//
// While a line is edited SIGTERM and SIGHUP restore the terminal and exit (see
// Config.Exit), and SIGINT drops the line; at other times signals are the caller's.
func NewTerminal(c Config) (*Terminal, error) {
	dev, err := openTTY()
	if err != nil {
		return nil, err
	}
	if c.History == nil {
		c.History = &History{}
	}
	if c.Exit == nil {
		c.Exit = os.Exit
	}
	t := &Terminal{config: c, tty: dev, parser: &parser{tty: dev}}
	t.prompt = prompt.New(func(string) {}, t.complete, append(t.colors(),
		prompt.OptionParser(t.parser),
		prompt.OptionAddKeyBind(
			prompt.KeyBind{Key: prompt.ControlD, Fn: func(*prompt.Buffer) { t.parser.release() }},
			prompt.KeyBind{Key: prompt.Ignore, Fn: func(*prompt.Buffer) { t.leave = true }},
		),
		prompt.OptionSetExitCheckerOnInput(t.checkExit),
	)...)
	hideInherited()
	return t, nil
}

// colors returns the options of our colours: a prefix cannot hold escape codes.
func (t *Terminal) colors() []prompt.Option {
	if t.config.Color {
		return []prompt.Option{
			prompt.OptionPrefixTextColor(prompt.Green),
			prompt.OptionSuggestionBGColor(prompt.DarkGray),
			prompt.OptionDescriptionBGColor(prompt.LightGray),
			prompt.OptionSelectedSuggestionBGColor(prompt.Green),
			prompt.OptionSelectedDescriptionBGColor(prompt.LightGray),
			prompt.OptionSelectedDescriptionTextColor(prompt.Black),
		}
	}
	var options []prompt.Option
	for _, set := range []func(prompt.Color) prompt.Option{
		prompt.OptionPrefixTextColor, prompt.OptionPreviewSuggestionTextColor,
		prompt.OptionSuggestionTextColor, prompt.OptionSuggestionBGColor,
		prompt.OptionSelectedSuggestionTextColor, prompt.OptionSelectedSuggestionBGColor,
		prompt.OptionDescriptionTextColor, prompt.OptionDescriptionBGColor,
		prompt.OptionSelectedDescriptionTextColor, prompt.OptionSelectedDescriptionBGColor,
		prompt.OptionScrollbarThumbColor, prompt.OptionScrollbarBGColor,
	} {
		options = append(options, set(prompt.DefaultColor))
	}
	return options
}

// ReadLine edits one line. Lines are added to the history.
func (t *Terminal) ReadLine(text string) (string, error) {
	if t.closed {
		return "", io.EOF
	}
	t.prefix = strings.ReplaceAll(text, "\x1b", "")
	t.cache = completions{}
	t.set(prompt.OptionPrefix(t.prefix))
	t.set(prompt.OptionHistory(t.config.History.Lines()))
	t.tty.unlock()
	t.parser.forget()
	defer t.tty.restore() // of a panic in go-prompt
	defer t.watch()()
	for {
		line := t.input()
		switch end := t.parser.ended(); end {
		case endLine:
			t.config.History.Add(line)
			return line, nil
		case endInterrupt:
			return "", ErrInterrupt
		case endSuspend:
			t.suspend()
		case endRedraw:
			t.erase()
		case endPanic:
			v := t.panicked
			t.panicked = nil
			panic(v)
		default:
			t.closed = end == endHangup
			return "", io.EOF
		}
	}
}

// input calls Input once, for the window's present size.
func (t *Terminal) input() string {
	rows, _ := t.tty.size()
	t.set(prompt.OptionMaxSuggestion(min(6, max(rows, 3)-3)))
	t.leave = false
	t.parser.begin()
	return t.prompt.Input()
}

// set applies an option after New. Ours never fail.
func (t *Terminal) set(o prompt.Option) {
	if err := o(t.prompt); err != nil {
		panic(fmt.Sprintf("line: go-prompt option: %v", err))
	}
}

// checkExit is go-prompt's exit checker: it runs after each key's bindings.
func (t *Terminal) checkExit(text string, _ bool) bool {
	t.text = text
	return t.leave
}

// erase takes back the line that go-prompt printed when it was left, so that the
// next Input draws it in its place.
func (t *Terminal) erase() {
	_, cols := t.tty.size()
	width := utf8.RuneCountInString(t.prefix + t.text)
	rows := max(1, (width+int(cols)-1)/int(cols))
	fmt.Fprintf(os.Stdout, "\x1b[%dA\r\x1b[J", rows)
}

// watch handles signals until the returned function is called, which waits until
// those that came before are dealt with.
func (t *Terminal) watch() (stop func()) {
	signals := make(chan os.Signal, 8)
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			t.handle(s)
		}
		close(done)
	}()
	return func() {
		signal.Stop(signals) // nothing is sent after this
		close(signals)
		<-done
	}
}

func (t *Terminal) handle(s os.Signal) {
	switch s {
	case syscall.SIGWINCH, syscall.SIGCONT:
		t.parser.ask(endRedraw)
	case syscall.SIGINT:
		t.parser.ask(endInterrupt)
	case syscall.SIGTERM, syscall.SIGHUP:
		Restore()
		fmt.Fprintln(os.Stdout)
		t.config.Exit(128 + int(s.(syscall.Signal)))
	}
}

// Close restores the terminal and writes the history.
func (t *Terminal) Close() error {
	if t.closed && t.tty.fd < 0 {
		return nil
	}
	t.closed = true
	err := t.tty.close()
	t.tty.fd = -1
	if saved := t.config.History.Save(); saved != nil {
		err = saved
	}
	return err
}

// completions is what the completer last said.
type completions struct {
	line  string
	pos   int
	valid bool
	list  []prompt.Suggest
}

// leastColumns is the room right of the prompt below which go-prompt cannot draw
// suggestions (and fails on a scrolled list).
const leastColumns = 12

// complete is go-prompt's completer, called several times a key: the answer is kept.
func (t *Terminal) complete(d prompt.Document) []prompt.Suggest {
	line, pos := d.Text, len(d.TextBeforeCursor())
	rows, cols := t.tty.size()
	room := int(cols) - utf8.RuneCountInString(t.prefix)
	if t.config.Complete == nil || line == "" || t.panicked != nil || rows < 4 || room < leastColumns {
		return nil
	}
	if !t.cache.valid || t.cache.line != line || t.cache.pos != pos {
		t.cache = completions{line: line, pos: pos, valid: true, list: t.ask(line, pos)}
	}
	return t.cache.list
}

// ask asks the caller's completer. If it panics Input is left first: go-prompt's
// reader must not outlive it.
func (t *Terminal) ask(line string, pos int) (list []prompt.Suggest) {
	defer func() {
		if v := recover(); v != nil {
			t.panicked, list = v, nil
			t.parser.ask(endPanic)
		}
	}()
	for _, s := range t.config.Complete(line, pos) {
		if s.Text != "" {
			list = append(list, prompt.Suggest{Text: s.Text, Description: s.Description})
		}
	}
	return list
}

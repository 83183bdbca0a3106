// Package view draws what commands answer: as text for people, and as JSON. Each
// answer is a plain struct whose json tags are its shape for programs and whose
// Text method is its shape for people.
//
// view.go is the contract and the Printer, table.go columns, format.go numbers and
// sizes, json.go the envelope; the other files hold the answers, by subject.
package view

import (
	"fmt"
	"strings"

	"github.com/fatih/color"
)

// Value is what a command answers.
type Value interface {
	// Text draws the value for people.
	Text(p *Printer)
}

// Style is a colour that never carries a fact alone.
type Style uint8

// The styles.
const (
	Plain   Style = iota
	Title         // column heads
	Quiet         // legends, footers
	Changed       // what changed since the last stop
	Good          // held
	Bad           // failed
	Code          // executable mappings, code addresses
	Data          // writable mappings
	Heap
	Stack
	Number
)

var styles = [...][]color.Attribute{
	Plain: nil, Title: {color.Bold}, Quiet: {color.Faint}, Changed: {color.FgRed, color.Bold},
	Good: {color.FgGreen}, Bad: {color.FgRed}, Code: {color.FgRed}, Data: {color.FgMagenta},
	Heap: {color.FgBlue}, Stack: {color.FgYellow}, Number: {color.FgCyan},
}

// Printer collects text. The zero Printer prints without colour and without a width.
type Printer struct {
	Color bool
	Width int // columns of the terminal; 0: no limit

	text strings.Builder
}

// String returns what was printed.
func (p *Printer) String() string { return p.text.String() }

// Printf prints formatted text.
func (p *Printer) Printf(format string, args ...any) { fmt.Fprintf(&p.text, format, args...) }

// Print prints text as it is.
func (p *Printer) Print(text string) { p.text.WriteString(text) }

// Line prints a formatted line.
func (p *Printer) Line(format string, args ...any) {
	p.Printf(format, args...)
	p.text.WriteByte('\n')
}

// Paint returns text in style s, if there is colour.
func (p *Printer) Paint(s Style, text string) string {
	if !p.Color || s == Plain || text == "" {
		return text
	}
	c := color.New(styles[s]...)
	c.EnableColor()
	return c.Sprint(text)
}

// Note prints a line that explains: legends, sums.
func (p *Printer) Note(format string, args ...any) {
	p.Line("%s", p.Paint(Quiet, fmt.Sprintf(format, args...)))
}

// Text is an answer of words.
type Text struct {
	Words string `json:"text"`
}

// Text prints the words, which end with a newline if there are any.
func (t Text) Text(p *Printer) {
	p.Print(t.Words)
	if t.Words != "" && !strings.HasSuffix(t.Words, "\n") {
		p.Print("\n")
	}
}

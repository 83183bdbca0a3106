package view

import (
	"fmt"
	"strings"
)

// Examined is memory in units.
type Examined struct {
	PID    int32  `json:"pid"`
	Format string `json:"format"` // COUNT LETTER UNIT, as in x/4gx
	Rows   []Unit `json:"rows"`
}

// Unit is a line of Examined.
type Unit struct {
	Addr   Addr     `json:"addr"`
	Symbol string   `json:"symbol,omitempty"`
	Values []string `json:"values"`
}

// Text prints gdb's lines.
func (v Examined) Text(p *Printer) {
	for _, r := range v.Rows {
		place := r.Addr.String()
		if r.Symbol != "" {
			place += " <" + r.Symbol + ">"
		}
		p.Line("%s:\t%s", place, strings.Join(r.Values, "\t"))
	}
}

// Printed is the value of an expression.
type Printed struct {
	Expr  string `json:"expr"`
	Value string `json:"value"` // as printed
	Bits  Addr   `json:"bits"`
}

// Text prints the value.
func (v Printed) Text(p *Printer) { p.Line("%s", v.Value) }

// Bytes is a piece of memory.
type Bytes struct {
	PID   int32  `json:"pid"`
	Addr  Addr   `json:"addr"`
	Hex   string `json:"hex"`
	ASCII string `json:"ascii"` // with . for what cannot be printed

	Raw []byte `json:"-"`
}

// Text prints 16 bytes a line.
func (v Bytes) Text(p *Printer) {
	for i := 0; i < len(v.Raw); i += 16 {
		line := v.Raw[i:min(i+16, len(v.Raw))]
		var hex strings.Builder
		for k, b := range line {
			if k == 8 {
				hex.WriteByte(' ')
			}
			fmt.Fprintf(&hex, "%02x ", b)
		}
		p.Line("%s  %-49s |%s|", (v.Addr + Addr(i)).Bare(), hex.String(), Printable(line))
	}
}

// Printable returns b with a point for every byte that is no printable ASCII.
func Printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}

// CString is a string in memory.
type CString struct {
	PID    int32  `json:"pid"`
	Addr   Addr   `json:"addr"`
	String string `json:"string"`
	Cut    bool   `json:"cut,omitempty"` // longer than was read
}

// Text prints it quoted.
func (v CString) Text(p *Printer) { p.Line("%v: %q%s", v.Addr, v.String, pick(v.Cut, "…", "")) }

// Reg is a register.
type Reg struct {
	Name    string `json:"name"`
	Value   Addr   `json:"value"`
	Points  string `json:"points,omitempty"` // to what
	Changed bool   `json:"changed"`          // since the last stop
}

// Regs are a thread's registers.
type Regs struct {
	PID  int32 `json:"pid"`
	TID  int32 `json:"tid"`
	Regs []Reg `json:"regs"`
}

// Text prints one a line.
func (v Regs) Text(p *Printer) {
	for _, r := range v.Regs {
		s := Plain
		if r.Changed {
			s = Changed
		}
		if r.Points == "" {
			p.Line("%-8s %s", r.Name, p.Paint(s, r.Value.String()))
			continue
		}
		p.Line("%-8s %s  %s", r.Name, p.Paint(s, fmt.Sprintf("%-18s", r.Value)), r.Points)
	}
}

// Aux is an entry of the auxiliary vector.
type Aux struct {
	Type  uint64 `json:"type"`
	Name  string `json:"name"`
	Value Addr   `json:"value"`
	Text  string `json:"text,omitempty"` // of those that point to a string
}

// Auxv is the auxiliary vector.
type Auxv struct {
	PID     int32 `json:"pid"`
	Entries []Aux `json:"auxv"`
}

// Text prints one entry a line.
func (v Auxv) Text(p *Printer) {
	for _, e := range v.Entries {
		text := ""
		if e.Text != "" {
			text = fmt.Sprintf("  %q", e.Text)
		}
		p.Line("%-20s %v%s", e.Name, e.Value, text)
	}
}

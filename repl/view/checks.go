package view

// Check is what `check` verified.
type Check struct {
	Processes []int32  `json:"processes"`
	VMAs      int      `json:"vmas"`
	PMAs      int      `json:"pmas"`
	Problems  []string `json:"problems"`
}

// Text prints what is wrong, or that nothing is.
func (v Check) Text(p *Printer) {
	for _, problem := range v.Problems {
		p.Line("%s %s", p.Paint(Bad, "✗"), problem)
	}
	if len(v.Problems) == 0 {
		p.Line("%s invariants hold and the host agrees: %s, %s, %s", p.Paint(Good, "✓"),
			plural(len(v.Processes), "process"), plural(v.VMAs, "vma"), plural(v.PMAs, "pma"))
	}
}

// Expected is an expectation that held.
type Expected struct {
	Asked string `json:"asked"`
	Found string `json:"found,omitempty"`
}

// Text prints nothing: what holds needs no word.
func (v Expected) Text(*Printer) {}

// Timed is how long a command took.
type Timed struct {
	Line  string  `json:"line"`
	Took  float64 `json:"seconds"`
	Value Value   `json:"data,omitempty"`
}

// Text prints the command's answer and the time.
func (v Timed) Text(p *Printer) {
	if v.Value != nil {
		v.Value.Text(p)
	}
	p.Note("%.6f s", v.Took)
}

// List is the answers of several commands, in order.
type List struct {
	Values []Value `json:"answers"`
}

// Text prints them in order.
func (v List) Text(p *Printer) {
	for _, one := range v.Values {
		one.Text(p)
	}
}

// Names is a list of words: history, aliases, settings.
type Names struct {
	Names []string `json:"names"`
}

// Text prints one a line.
func (v Names) Text(p *Printer) {
	for _, n := range v.Names {
		p.Line("%s", n)
	}
}

// Setting is a name and its value.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Help  string `json:"help,omitempty"`
}

// Settings are several.
type Settings struct {
	Rows []Setting `json:"settings"`
}

// Text prints one a line.
func (v Settings) Text(p *Printer) {
	t := newTable("NAME", "VALUE", "")
	for _, r := range v.Rows {
		t.add(plain(r.Name), plain(r.Value), plain(r.Help))
	}
	t.print(p)
}

// Text prints $name = value.
func (v Setting) Text(p *Printer) { p.Line("%s = %s", v.Name, v.Value) }

// Let is a value that was kept under a name.
type Let struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Bits  Addr   `json:"bits"`
	Data  Value  `json:"data,omitempty"` // of the command that gave it
}

// Text prints $name = value.
func (v Let) Text(p *Printer) { p.Line("$%s = %s", v.Name, v.Value) }

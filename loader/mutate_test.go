package loader

import (
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// update rewrites testdata/mutations.txt.
var update = flag.Bool("update", false, "rewrite testdata/mutations.txt")

const mutationsFile = "testdata/mutations.txt"

// A mutation is a line of that file: what is done to a tiny program, and how
// loading it ends.
//
//	exec 54=ff 32..39=8000000000000000 cut=4096 => load: m: ELF header: …
type mutation struct {
	kind   string // exec or pie
	edits  []string
	result string
}

// apply returns the program with the edits made.
func (m *mutation) apply(t testing.TB) []byte {
	kind := elf.ET_EXEC
	if m.kind == "pie" {
		kind = elf.ET_DYN
	}
	b := newTiny(kind).bytes()
	for _, edit := range m.edits {
		where, what, _ := strings.Cut(edit, "=")
		if where == "cut" {
			n, err := strconv.Atoi(what)
			if err != nil {
				t.Fatal(err)
			}
			b = b[:min(n, len(b))]
			continue
		}
		at, err := strconv.Atoi(where)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+2 <= len(what) && at+i/2 < len(b); i += 2 {
			v, err := strconv.ParseUint(what[i:i+2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			b[at+i/2] = byte(v)
		}
	}
	return b
}

// load returns how loading ends.
func (m *mutation) load(t testing.TB) string {
	img, start, err := newProcess(t).load(m.apply(t), Options{Path: "m", Args: []string{"m"}, Env: []string{"A=b"}})
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Reason == "" {
			t.Errorf("%v: %T without a reason", err, err)
		}
		return err.Error()
	}
	return fmt.Sprintf("entry %v, bias %v, %d segments, %d symbols, sp %v",
		start.Entry, img.Bias(), len(img.Segments()), len(img.Symbols()), start.SP)
}

// mutations draws 200: words of the headers replaced by values that break things.
func mutations() []mutation {
	rnd := rand.New(rand.NewPCG(6, 18))
	values := []string{"00", "ff", "7f", "80", "0000", "ffff", "0080", "ffffff7f", "00000080", "ffffffff", "01000000",
		"0000000000000000", "ffffffffffffffff", "ffffffffffffff7f", "0000000000000080", "00f0ffffff7f0000",
		"0010000000000000", "ff0f000000000000", "0100000000000000", "0000004000000000", "00000000000000f0"}
	// The fields of the ELF header, of each program header, and of the sections.
	fields := []int{4, 5, 6, 16, 18, 20, 24, 32, 40, 48, 52, 54, 56, 58, 60, 62}
	for i := range 4 {
		for _, field := range []int{0, 4, 8, 16, 32, 40, 48} {
			fields = append(fields, headerSize+i*progSize+field)
		}
	}
	sections := tinySize + 4*symbolSize + 21
	for _, field := range []int{64 + 4, 64 + 24, 64 + 32, 64 + 40, 128 + 24, 128 + 32} {
		fields = append(fields, sections+field)
	}
	all := make([]mutation, 200)
	for i := range all {
		m := &all[i]
		m.kind = []string{"exec", "pie"}[rnd.IntN(2)]
		for range 1 + rnd.IntN(3) {
			m.edits = append(m.edits, fmt.Sprintf("%d=%s", fields[rnd.IntN(len(fields))], values[rnd.IntN(len(values))]))
		}
		if rnd.IntN(8) == 0 {
			m.edits = append(m.edits, fmt.Sprintf("cut=%d", rnd.IntN(tinySize+200)))
		}
	}
	return all
}

// readMutations reads the file.
func readMutations(t testing.TB) []mutation {
	var all []mutation
	for line := range strings.Lines(string(readTestFile(t, mutationsFile))) {
		edits, result, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
		words := strings.Fields(edits)
		if !ok || len(words) < 2 {
			t.Fatalf("%s: %q", mutationsFile, line)
		}
		all = append(all, mutation{words[0], words[1:], result})
	}
	return all
}

// Two hundred mutated programs end as they did when the file was written, each in
// words that were read by a person then.
func TestMutations(t *testing.T) {
	if *update {
		var b bytes.Buffer
		for _, m := range mutations() {
			fmt.Fprintf(&b, "%s %s => %s\n", m.kind, strings.Join(m.edits, " "), m.load(t))
		}
		if err := os.WriteFile(mutationsFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := readMutations(t)
	if len(all) != 200 {
		t.Errorf("%d mutations", len(all))
	}
	for i, m := range all {
		if got := m.load(t); got != m.result {
			t.Errorf("line %d: %s %s\n got %s\nwant %s", i+1, m.kind, strings.Join(m.edits, " "), got, m.result)
		}
	}
}

// No bytes make Load panic, hang or take memory without bound, or leave any behind.
func FuzzLoad(f *testing.F) {
	f.Add(newTiny(elf.ET_EXEC).bytes())
	f.Add(newTiny(elf.ET_DYN).bytes())
	for i, m := range readMutations(f) {
		if i%4 == 0 {
			f.Add(m.apply(f))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newProcess(t)
		img, start, err := p.load(b, Options{Path: "fuzz", Args: []string{"fuzz"}})
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Reason == "") {
			t.Errorf("%T without a reason: %v", err, err)
		}
		if errs := p.Check(true); len(errs) != 0 {
			t.Errorf("check: %v", errs)
		}
		if err != nil {
			return
		}
		if !p.All().Contains(start.Entry) || !img.Stack().Contains(start.SP) {
			t.Errorf("entry %v, sp %v", start.Entry, start.SP)
		}
		for _, s := range img.Symbols() {
			if _, ok := img.Symbol(s.Name); !ok {
				t.Errorf("no symbol %q", s.Name)
			}
			img.SymbolAt(s.Addr + 1)
		}
	})
}

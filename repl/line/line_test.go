package line

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readAll reads lines until an error.
func readAll(r Reader) (lines []string, err error) {
	for {
		l, err := r.ReadLine("> ")
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
	}
}

func TestPlainReadsLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	lines, err := readAll(NewPlain(strings.NewReader("a\n\nb\r\n" + long + "\nlast")))
	if want := []string{"a", "", "b", long, "last"}; err != io.EOF || !slices.Equal(lines, want) {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	failing := io.MultiReader(strings.NewReader("a\nb"), brokenReader{})
	if lines, err := readAll(NewPlain(failing)); !errors.Is(err, errBroken) || !slices.Equal(lines, []string{"a"}) {
		t.Errorf("%q, %v: a line cut off by an error was given", lines, err)
	}
	r := NewPlain(strings.NewReader("a\n"))
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadLine(""); err != io.EOF {
		t.Errorf("after Close: %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestScriptedGivesItsSteps(t *testing.T) {
	s := NewScripted("a", "b")
	s.Steps = append(s.Steps, ErrInterrupt, "c", 5)
	var got []string
	for range 6 {
		l, err := s.ReadLine("> ")
		if err != nil {
			l = err.Error()
		}
		got = append(got, l)
	}
	want := []string{"a", "b", "interrupted", "c", "line: a step is a string or an error, not int", "EOF"}
	if !slices.Equal(got, want) || len(s.Prompts) != 6 {
		t.Errorf("%q, %d prompts", got, len(s.Prompts))
	}
}

func TestBytesBecomeKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"a chunk with Enter", []string{"cmd\r"}, []string{"cmd", "\r"}},
		{"several lines", []string{"a\rb\n"}, []string{"a", "\r", "b", "\n"}},
		{"control characters", []string{"a\x03\x04b"}, []string{"a", "\x03", "\x04", "b"}},
		{"arrows", []string{"\x1b[A\x1bOBx"}, []string{"\x1b[A", "\x1bOB", "x"}},
		{"a sequence in pieces", []string{"\x1b", "[", "A"}, []string{"\x1b[A"}},
		{"a character in pieces", []string{"\xc3", "\xa9x"}, []string{"éx"}},
		{"what is no UTF-8 is dropped", []string{"a\xff\xfeb"}, []string{"a", "b"}},
		{"unknown sequences are dropped", []string{"\x1b[99;99~a"}, []string{"a"}},
		{"Alt and a key is dropped", []string{"\x1bba"}, []string{"a"}},
		{"our own key cannot be typed", []string{"\x1b[Ea"}, []string{"a"}},
		{"a broken sequence", []string{"\x1b[1\ra"}, []string{"\r", "a"}},
		{"paste markers are stripped", []string{"\x1b[200~a b\x1b[201~c"}, []string{"a b", "c"}},
		{"markers in pieces", []string{"\x1b[20", "0~a\x1b[2", "01~"}, []string{"a"}},
		{"pasted lines", []string{"\x1b[200~a\rb\nc\r\nd\x1b[201~"}, []string{"a", "\r", "b", "\r", "c", "\r", "d"}},
		{"pasted tabs are blanks", []string{"\x1b[200~a\tb\x1b[201~"}, []string{"a", " ", "b"}},
		{"pasted control keys are dropped", []string{"\x1b[200~a\x03\x04\x1b[Ab\x1b[201~"}, []string{"a", "b"}},
		{"Delete and Backspace", []string{"\x1b[3~\x7f"}, []string{"\x1b[3~", "\x7f"}},
	} {
		var s splitter
		var got []string
		for _, chunk := range c.chunks {
			for _, k := range s.split([]byte(chunk)) {
				got = append(got, string(k))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var s splitter
	if keys := s.split([]byte{0x1b}); keys != nil {
		t.Errorf("ESC did not wait: %q", keys)
	}
	if keys := s.flush(); len(keys) != 1 || keys[0][0] != 0x1b {
		t.Errorf("ESC alone is %q", keys)
	}
}

// FuzzKeys: however the bytes are cut, the keys are the same, and none is empty.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("a\x1b[A\xc3\xa9\r"), 1)
	f.Add([]byte("\x1b[200~a\tb\r\n\x1b[201~\x1b[99~"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var whole, pieces splitter
		join := func(keys [][]byte) (s string) {
			for _, k := range keys {
				if len(k) == 0 {
					t.Fatalf("an empty key in %q", b)
				}
				s += string(k)
			}
			return s
		}
		want := join(whole.split(slices.Clone(b)))
		cut = min(max(cut, 0), len(b))
		got := join(pieces.split(slices.Clone(b[:cut]))) + join(pieces.split(slices.Clone(b[cut:])))
		if got != want {
			t.Fatalf("%q cut at %d gives %q, whole %q", b, cut, got, want)
		}
	})
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "mmsh", "history")
	open := func() *History {
		t.Helper()
		h, err := OpenHistory(path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	if err := h.Save(); err != nil || exists(path) {
		t.Errorf("an unused history was written (%v)", err)
	}
	for _, l := range []string{"a", "b", "", " secret", "\tx", "a", "c\nd"} {
		h.Add(l)
	}
	if got := h.Lines(); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("lines are %q", got)
	}
	other := open()
	other.Add("elsewhere")
	for _, h := range []*History{other, h} {
		if err := h.Save(); err != nil {
			t.Fatal(err)
		}
	}
	if got := open().Lines(); !slices.Equal(got, []string{"elsewhere", "b", "a"}) {
		t.Errorf("two sessions left %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("files left behind: %v", names)
	}
	for i := range historyCap + 10 {
		h.Add(strings.Repeat("x", i+1))
	}
	if got := h.Lines(); len(got) != historyCap || len(got[len(got)-1]) != historyCap+10 {
		t.Errorf("%d lines are kept", len(got))
	}
	if _, err := OpenHistory(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestDefaultHistoryPath(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("XDG_STATE_HOME", "/var/state")
	if got := DefaultHistoryPath(); got != "/var/state/mmsh/history" {
		t.Error(got)
	}
	for _, relative := range []string{"", "state"} {
		t.Setenv("XDG_STATE_HOME", relative)
		if got := DefaultHistoryPath(); got != "/home/u/.local/state/mmsh/history" {
			t.Error(got)
		}
	}
	t.Setenv("HOME", "")
	if got := DefaultHistoryPath(); got != "" {
		t.Error(got)
	}
}

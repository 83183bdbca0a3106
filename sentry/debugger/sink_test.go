package debugger

import (
	"bytes"
	"testing"
)

func TestSinkPassesOnKeepsAndCuts(t *testing.T) {
	var out bytes.Buffer
	s := NewSink(&out, nil, true, 6)
	s.Writer(1).Write([]byte("abc"))
	s.Writer(2).Write([]byte("de"))
	if n, err := s.Writer(1).Write([]byte("fgh")); n != 3 || err != nil {
		t.Errorf("a cut write tells the guest: %d, %v", n, err)
	}
	if out.String() != "abcf" || !s.Cut() {
		t.Errorf("passed on %q, cut %v", out.String(), s.Cut())
	}
	chunks, cut := s.Take()
	if !cut || len(chunks) != 3 || string(chunks[2].Data) != "f" || chunks[1].FD != 2 {
		t.Errorf("chunks %+v", chunks)
	}
	if again, _ := s.Take(); len(again) != 0 {
		t.Error("output is given twice")
	}
	if string(s.All(1)) != "abcf" || string(s.All(2)) != "de" {
		t.Errorf("all: %q %q", s.All(1), s.All(2))
	}
	s.Clear()
	if len(s.All(1)) != 0 {
		t.Error("Clear kept output")
	}
}

package debugger

import (
	"io"
	"sync"
)

// Sink takes what guests write to descriptors 1 and 2: it passes it on, keeps it
// for who asks, and stops taking more than a cap. It is safe for concurrent use.
type Sink struct {
	mu      sync.Mutex
	to      [2]io.Writer // stdout, stderr; nil: only kept
	max     uint64       // bytes, 0: no cap
	total   uint64
	cut     bool
	told    bool
	all     [2][]byte // since Clear
	pending []Chunk   // since Take
	waiting int       // bytes of pending
	dropped bool      // since Take
	keep    bool      // pending is wanted
	full    chan struct{}
}

// Chunk is a piece of output in the order of writing.
type Chunk struct {
	FD   int // 1 or 2
	Data []byte
}

// NewSink returns a Sink that passes output on to out and err (nil: nowhere). capture makes Take
// work. max is the most bytes that are taken in all, 0 is no cap.
func NewSink(out, err io.Writer, capture bool, max uint64) *Sink {
	return &Sink{to: [2]io.Writer{out, err}, max: max, keep: capture, full: make(chan struct{}, 1)}
}

// Writer returns where descriptor fd (1 or 2) writes to.
func (s *Sink) Writer(fd int) io.Writer { return sinkWriter{s, fd} }

// Take returns the output since the last Take; cut says that some of it was dropped.
func (s *Sink) Take() (taken []Chunk, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, cut = s.pending, s.dropped
	s.pending, s.waiting, s.dropped = nil, 0, false
	return taken, cut
}

// All returns what was written to fd since Clear, as far as it was kept.
func (s *Sink) All(fd int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.all[fd-1]...)
}

// Clear forgets what All returns: a program was loaded.
func (s *Sink) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = [2][]byte{}
}

// FirstCut reports whether output was dropped, the first time it is asked after that.
func (s *Sink) FirstCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.cut && !s.told
	s.told = s.told || s.cut
	return first
}

// Full returns a channel that gets one value when output is dropped because of the cap for the
// first time: see Config.Full.
func (s *Sink) Full() <-chan struct{} { return s.full }

// Cut reports whether output was dropped because of the cap.
func (s *Sink) Cut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// keptBytes bounds what All and Take return.
const keptBytes = 16 << 20

func (s *Sink) write(fd int, p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := p
	if s.max != 0 && s.total+uint64(len(p)) > s.max {
		if !s.cut {
			s.full <- struct{}{}
		}
		taken, s.cut, s.dropped = p[:s.max-s.total], true, true
	}
	s.total += uint64(len(taken))
	if all := &s.all[fd-1]; len(*all) < keptBytes {
		*all = append(*all, taken...)
	}
	if s.keep && len(taken) > 0 {
		s.capture(fd, taken)
	}
	if w := s.to[fd-1]; w != nil && len(taken) > 0 {
		if _, err := w.Write(taken); err != nil {
			return 0, err
		}
	}
	return len(p), nil // the guest is not told: what is over the cap is dropped
}

// capture keeps p for Take, up to keptBytes between two of them.
func (s *Sink) capture(fd int, p []byte) {
	if room := keptBytes - s.waiting; len(p) > room {
		p, s.dropped = p[:room], true
	}
	s.waiting += len(p)
	if len(p) == 0 {
		return
	}
	if n := len(s.pending); n > 0 && s.pending[n-1].FD == fd {
		s.pending[n-1].Data = append(s.pending[n-1].Data, p...)
		return
	}
	s.pending = append(s.pending, Chunk{FD: fd, Data: append([]byte(nil), p...)})
}

type sinkWriter struct {
	sink *Sink
	fd   int
}

func (w sinkWriter) Write(p []byte) (int, error) { return w.sink.write(w.fd, p) }

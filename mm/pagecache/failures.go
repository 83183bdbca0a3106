package pagecache

import "sync"

// failures remembers that writeback failed, so that every open of the file hears
// of it once: as Linux's errseq_t. The zero failures has had none.
type failures struct {
	mu   sync.Mutex
	n    uint64 // failures told apart
	seen bool   // somebody has heard of the last one
	err  error  // the last one
}

// heard is how far one open of a file has heard of its failures. failures.mu.
type heard uint64

// record notes err, if it is one, and returns it. Failures that nobody has heard
// of in between are one.
func (s *failures) record(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 || s.seen {
		s.n++
	}
	s.err, s.seen = err, false
	return err
}

// sample returns where an open begins: it is told of the last failure only if
// nobody has been.
func (s *failures) sample() heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 && !s.seen {
		return heard(s.n - 1)
	}
	return heard(s.n)
}

// report returns the last failure if h has not heard of it; now it has.
func (s *failures) report(h *heard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *h == heard(s.n) {
		return nil
	}
	*h, s.seen = heard(s.n), true
	return s.err
}

// last returns the last failure, nil if there was none.
func (s *failures) last() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

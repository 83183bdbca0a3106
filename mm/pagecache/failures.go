package pagecache

import "sync"

// failures remembers that writeback failed, so that every open of the file hears
// of it once: as Linux's errseq_t. The zero failures has had none.
type failures struct {
	mu    sync.Mutex
	n     uint64 // failures told apart
	seen  bool   // somebody has heard of the last one
	err   error  // the last one
	tries int    // how often it was met, one after the other
}

// heard is how far one open of a file has heard of its failures. failures.mu.
type heard uint64

// record notes err and reports whether it is news: the same again, that nobody has heard
// of in between, is one failure that was met once more.
func (s *failures) record(err error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.n == 0 || s.seen || s.err.Error() != err.Error()
	if s.n == 0 || s.seen {
		s.n++
	}
	if s.tries++; news {
		s.tries = 1
	}
	s.err, s.seen = err, false
	return news
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

// last returns how often the last failure was met, and the failure, nil if there was none.
func (s *failures) last() (tries int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries, s.err
}

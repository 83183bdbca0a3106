package mm_test

// What files do to those who map them.

// each calls f for every page of every process that maps s in [first, end).
func (pl *player) each(s *source, first, end int, f func(*modelPage)) {
	for _, p := range pl.procs {
		for _, q := range p.pages {
			if q != nil && q.src == s && q.off >= first && q.off < end {
				f(q)
			}
		}
	}
}

// invalidate has a file take its pages back.
func (pl *player) invalidate(a [6]int) {
	s := pl.sources[a[0]%2]
	first := a[1] % 24
	end := first + 1 + a[2]%6
	private := a[3]%3 == 0
	s.file.invalidate(first, end, private)
	pl.each(s, first, end, func(q *modelPage) {
		if q.frame == nil || private {
			q.drop()
		}
	})
}

// truncate makes a file shorter or longer.
func (pl *player) truncate(a [6]int) {
	s := pl.sources[a[0]%2]
	n, now := a[1]%26, len(s.data)
	if n > now {
		if err := s.extend(n); err != nil {
			panic(err)
		}
		return
	}
	pl.each(s, n, now, (*modelPage).drop)
	s.truncate(n)
}

// ioError makes a file's page unreadable, or readable again.
func (pl *player) ioError(a [6]int) {
	s := pl.sources[a[0]%2]
	i := a[1] % 10
	if s.bad[i] {
		delete(s.bad, i)
		return
	}
	s.bad[i] = true
	s.file.invalidate(i, i+1, false)
	pl.each(s, i, i+1, func(q *modelPage) {
		if q.frame == nil {
			q.drop()
		}
	})
}

package pipe

import "mmsh.dev/mmsh/sentry/vfs"

// Spliced notes that a splice used the end: see MayNotWait.
func (e *End) Spliced() { e.spliced.Store(true) }

// Same reports whether both are ends of one pipe.
func (e *End) Same(other *End) bool { return e.p == other.p }

// Empty reports whether there is nothing to read.
func (e *End) Empty() bool {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return len(e.p.slots) == 0
}

// Room returns how many pages can be Put: EPIPE without a reader, else
// vfs.ErrWouldBlock if there is no room.
func (e *End) Room() (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	switch {
	case e.p.readers == 0:
		return 0, e.p.broken()
	case e.p.full():
		return 0, vfs.ErrWouldBlock
	}
	return e.p.most - len(e.p.slots), nil
}

// Put copies data in, as parts of pages the first of which it fills from its byte
// lead on: nothing is ever merged with them. It takes all, also where others have
// filled the pipe since Room was asked.
func (e *End) Put(data []byte, lead int) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for len(data) > 0 {
		s := slot{page: e.p.pool.page()}
		s.to = copy(s.page, data[:min(len(data), pageSize-lead)])
		data, lead = data[s.to:], 0
		e.p.push(s)
	}
	e.p.queue.Notify(vfs.PollRead)
}

// Take gives use up to n bytes, the oldest first and a slot at a time, until it takes
// less than it is given or fails; what it took is gone. The pipe is locked meanwhile:
// use must not wait. An empty pipe is vfs.ErrWouldBlock, or without a writer the end.
// Errors of use count if nothing was taken.
func (e *End) Take(n int, use func(p []byte) (int, error)) (int, error) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) == 0 && p.writers > 0 {
		return 0, vfs.ErrWouldBlock
	}
	done := 0
	var err error
	for done < n && len(p.slots) > 0 && err == nil {
		b := p.slots[0].bytes()
		b = b[:min(len(b), n-done)]
		var k int
		if k, err = use(b); k > 0 {
			p.drop(k)
			done += k
		}
		if k < len(b) {
			break
		}
	}
	if done > 0 {
		p.queue.Notify(p.writeEvents())
		err = nil
	}
	return done, err
}

// Move moves up to n bytes to another pipe: splice(2). Slots that move whole stay
// what they were. With nothing to move or no room it is vfs.ErrWouldBlock, and wait
// is the end to wait for; EPIPE if nobody reads to.
func (e *End) Move(to *End, n int) (done int, wait *End, err error) {
	defer lockBoth(e.p, to.p)()
	if wait, err := e.ready(to); err != nil || len(e.p.slots) == 0 {
		return 0, wait, err
	}
	from, into := e.p, to.p
	for done < n && len(from.slots) > 0 && !into.full() {
		s := &from.slots[0]
		if k := s.to - s.from; k <= n-done {
			moved := *s
			s.shared = true // the page is the other's now
			into.push(moved)
			from.drop(k)
			done += k
			continue
		}
		s.shared = true
		part := *s
		part.to = part.from + n - done
		part.grows = false
		into.push(part)
		from.drop(n - done)
		done = n
	}
	into.queue.Notify(vfs.PollRead)
	from.queue.Notify(from.writeEvents())
	return done, nil, nil
}

// Tee copies up to n bytes to another pipe, and leaves them in this one: tee(2).
// wait and errors are Move's.
func (e *End) Tee(to *End, n int) (done int, wait *End, err error) {
	defer lockBoth(e.p, to.p)()
	if wait, err := e.ready(to); err != nil || len(e.p.slots) == 0 {
		return 0, wait, err
	}
	for i := range e.p.slots {
		if done == n || to.p.full() {
			break
		}
		s := &e.p.slots[i]
		s.shared = true
		copied := *s
		copied.to = min(copied.to, copied.from+n-done)
		copied.grows = false
		to.p.push(copied)
		done += copied.to - copied.from
	}
	to.p.queue.Notify(vfs.PollRead)
	return done, nil, nil
}

// ready says what forbids to move bytes from e to to, in Linux's order. Both are
// locked.
func (e *End) ready(to *End) (wait *End, err error) {
	switch {
	case len(e.p.slots) == 0 && e.p.writers > 0:
		return e, vfs.ErrWouldBlock
	case to.p.readers == 0:
		return nil, to.p.broken()
	case to.p.full() && len(e.p.slots) > 0:
		return to, vfs.ErrWouldBlock
	}
	return nil, nil
}

// lockBoth locks two pipes and returns what unlocks them.
func lockBoth(a, b *pipe) func() {
	if a.id > b.id {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
	return func() {
		b.mu.Unlock()
		a.mu.Unlock()
	}
}

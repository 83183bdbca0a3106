package sentry

import (
	"slices"
	"sync"
	"time"
)

// runState is what the scheduler knows of a task.
type runState uint8

const (
	active  runState = iota // runs guest code or answers a call
	waiting                 // wants to run: not its turn, or the world is held
	blocked                 // waits inside Task.Block
	gone                    // its goroutine does nothing more
)

// What a task should look at before it runs guest code, as bits of Task.attn.
const (
	attnHold   uint32 = 1 << iota // the world is held
	attnSignal                    // a signal may be deliverable
	attnExit                      // the process ends
	attnAlarm                     // the virtual clock has set the process's alarm off

	attnBreaks = attnSignal | attnExit | attnAlarm // ends the wait of a system call
)

// sched decides which task may run.
//
// With SchedDet exactly one task has the turn. It keeps it until it blocks, yields
// or ends, through holds and stops; then the next one that can go on gets it, by
// tid after the last, wrapping. Whether a blocked task can go on is looked at only
// in that moment, so that it depends on what tasks did and not on which host thread
// was faster. If none can, the virtual clock jumps to the earliest deadline; if there
// is none either and nothing outside the world is waited for, that is a deadlock.
//
// With SchedFree every task may run while the world is not held.
type sched struct {
	k    *Kernel
	free bool

	mu       sync.Mutex
	quiet    *sync.Cond // active fell to 0
	tasks    []*Task    // by tid
	active   int        // tasks in state active
	holds    int
	turn     *Task // SchedDet: whose turn it is, nil if nobody's
	lastTurn int32 // tid
	stopped  []*Report
	alarms   alarms
}

func (s *sched) init(k *Kernel) {
	s.k = k
	s.free = k.cfg.Sched == SchedFree
	s.quiet = sync.NewCond(&s.mu)
}

// join adds t, in state active: its goroutine is being set up.
func (s *sched) join(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.tasks, t.tid, func(o *Task, tid int32) int { return int(o.tid - tid) })
	s.tasks = slices.Insert(s.tasks, i, t)
	t.state, t.embryo = active, true
	s.active++
	if s.holds > 0 {
		t.attn.Or(attnHold)
	}
}

// hatch lets t, which was set up and made known, have its first turn.
func (s *sched) hatch(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.embryo = false
	if s.free {
		t.nudge()
	}
	s.scheduleLocked()
}

// ready makes t, which was set up, one that waits to run.
func (s *sched) ready(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(t, waiting)
}

// remove takes t out for ever.
func (s *sched) remove(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.tasks, t); i >= 0 {
		s.tasks = slices.Delete(s.tasks, i, i+1)
	}
	s.leaveLocked(t, gone)
	s.giveTurnLocked(t)
}

// leaveLocked moves t out of state active.
//
// Preconditions: s.mu is held.
func (s *sched) leaveLocked(t *Task, to runState) {
	if t.state == active {
		s.active--
	}
	t.state = to
	if s.active == 0 && s.holds > 0 {
		s.settleLocked()
	}
}

// settleLocked tells everybody who waits for it that the world stands still.
//
// Preconditions: s.mu is held; no task is active and the world is held.
func (s *sched) settleLocked() {
	s.quiet.Broadcast()
	for _, r := range s.stopped {
		s.k.stops <- r
	}
	s.stopped = nil
}

// yield gives the others that can run a turn.
func (s *sched) yield(t *Task) {
	s.mu.Lock()
	s.leaveLocked(t, waiting)
	s.giveTurnLocked(t)
	s.mu.Unlock()
	s.enter(t)
}

// enter makes t stand still, keeping its turn if it has it, until it may run.
func (s *sched) enter(t *Task) {
	for {
		s.mu.Lock()
		s.leaveLocked(t, waiting)
		s.scheduleLocked()
		if t.pass || s.holds == 0 && !t.embryo && (s.free || s.turn == t) {
			t.state = active
			s.active++
			if s.holds == 0 {
				t.attn.And(^attnHold)
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		t.idle(nil, nil)
	}
}

// giveTurnLocked takes the turn from t, if it has it, and gives it to the next.
//
// Preconditions: s.mu is held; t is not active.
func (s *sched) giveTurnLocked(t *Task) {
	if s.turn == t {
		s.turn = nil
	}
	s.scheduleLocked()
}

// scheduleLocked gives the turn to somebody if nobody has it.
//
// Preconditions: s.mu is held.
func (s *sched) scheduleLocked() {
	if s.free || s.turn != nil || s.holds > 0 || len(s.tasks) == 0 {
		return
	}
	next := s.pickLocked()
	for next == nil {
		if !s.jumpLocked() {
			s.deadlockLocked()
			return
		}
		next = s.pickLocked()
	}
	s.turn, s.lastTurn = next, next.tid
	next.nudge()
}

// rotated iterates over the tasks by tid, from the one after the last turn's on.
func (s *sched) rotated(yield func(*Task) bool) {
	n := len(s.tasks)
	from, _ := slices.BinarySearchFunc(s.tasks, s.lastTurn+1, func(o *Task, tid int32) int { return int(o.tid - tid) })
	for i := range n {
		if !yield(s.tasks[(from+i)%n]) {
			return
		}
	}
}

// pickLocked returns the next task that can go on, nil if none can.
//
// Preconditions: s.mu is held.
func (s *sched) pickLocked() *Task {
	for t := range s.rotated {
		if t.state == waiting && !t.embryo || t.state == blocked && s.wokenLocked(t) {
			return t
		}
	}
	return nil
}

// wokenLocked reports whether blocked t need wait no longer.
//
// Preconditions: s.mu is held.
func (s *sched) wokenLocked(t *Task) bool {
	w := &t.waits
	w.came = w.came || w.isReady()
	if !w.came && w.deadline != 0 && s.k.clock.Monotonic() >= w.deadline {
		w.late = true
	}
	return w.came || w.late || t.attn.Load()&w.breaks != 0
}

// jumpLocked moves the virtual clock to the earliest deadline or alarm; false if
// there is none.
//
// Preconditions: s.mu is held; no task can go on.
func (s *sched) jumpLocked() bool {
	first := time.Duration(s.alarms.next.Load())
	for _, t := range s.tasks {
		if d := t.waits.deadline; t.state == blocked && d != 0 && (first == 0 || d < first) {
			first = d
		}
	}
	if first == 0 {
		return false
	}
	s.k.clock.(*virtualClock).jump(first)
	s.ringLocked()
	return true
}

// deadlockLocked stops the world if no task can ever go on.
//
// Preconditions: s.mu is held; no task can go on and none has a deadline.
func (s *sched) deadlockLocked() {
	if s.active > 0 || slices.ContainsFunc(s.tasks, func(t *Task) bool { return t.waits.external || t.embryo }) {
		return
	}
	s.stopLocked(&Report{
		Reason: ReasonDeadlock,
		Task:   s.tasks[0],
		Detail: "every task waits for what can never come",
	})
	s.settleLocked()
}

// stopFor holds the world for r, which is delivered once the world stands still.
func (s *sched) stopFor(r *Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked(r)
}

func (s *sched) stopLocked(r *Report) {
	r.Hold = &Hold{k: s.k, why: r.Reason.String()}
	s.stopped = append(s.stopped, r)
	s.holdLocked()
}

// holdLocked begins a hold: tasks that run guest code are interrupted.
//
// Preconditions: s.mu is held.
func (s *sched) holdLocked() {
	s.holds++
	if s.holds > 1 {
		return
	}
	for _, t := range s.tasks {
		t.attn.Or(attnHold)
		t.interrupt()
	}
}

// poke looks whether somebody can go on now, if nobody runs.
func (s *sched) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scheduleLocked()
}

func (s *sched) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds > 0
}

// release ends one hold.
func (s *sched) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds--
	if s.holds > 0 {
		return
	}
	if s.turn != nil {
		s.turn.nudge()
		return
	}
	for _, t := range s.tasks {
		if s.free {
			t.nudge()
		}
	}
	s.scheduleLocked()
}

// waitQuiet returns when no task is active. The world is held.
func (s *sched) waitQuiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.active > 0 {
		s.quiet.Wait()
	}
}

// attend sets bits of t.attn and sees to it that t looks at them soon.
func (s *sched) attend(t *Task, bits uint32) {
	t.attn.Or(bits)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attendLocked(t)
}

func (s *sched) attendLocked(t *Task) {
	switch t.state {
	case active:
		t.interrupt()
	case blocked, waiting:
		if s.free {
			t.nudge()
		}
		s.scheduleLocked()
	}
}

// let makes t run although the world is held (Step, Kill).
func (s *sched) let(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.pass = true
	t.nudge()
	if t.state == active {
		t.interrupt()
	}
}

// waits is what a blocked task waits for.
type waits struct {
	ready    <-chan struct{}
	any      []<-chan struct{} // one of these is as good
	deadline time.Duration     // 0: none
	external bool              // something outside the world makes it ready
	breaks   uint32            // which attn bits end the wait
	came     bool              // ready was
	late     bool              // the deadline has passed
}

// isReady reports whether what is waited for has come. It takes it.
func (w *waits) isReady() bool {
	select {
	case <-w.ready:
		return true
	default:
	}
	for _, one := range w.any {
		select {
		case <-one:
			return true
		default:
		}
	}
	return false
}

// block makes t wait as w says. It returns nil, ErrTimedOut or ErrRestart, in
// this order if several hold, but ErrRestart whenever the process ends.
func (s *sched) block(t *Task, w waits) error {
	s.mu.Lock()
	t.waits = w
	if s.wokenLocked(t) {
		held := s.holds > 0
		s.mu.Unlock()
		if held {
			s.enter(t)
		}
		return s.verdict(t)
	}
	s.leaveLocked(t, blocked)
	s.giveTurnLocked(t)
	s.mu.Unlock()

	timer, stop := s.timer(w.deadline)
	defer stop()
	var ready <-chan struct{}
	if s.free || w.external {
		ready = w.ready
	}
	for !s.over(t) {
		switch t.idle(ready, timer) {
		case wokeReady:
			ready = nil
			s.came(t)
		case wokeTimer:
			s.late(t)
		}
	}
	s.enter(t)
	return s.verdict(t)
}

// verdict says how t's wait ended, and forgets it.
func (s *sched) verdict(t *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := t.waits
	t.waits = waits{}
	switch {
	case t.attn.Load()&attnExit != 0: // even of a call that finds everything ready and waits again
		return ErrRestart
	case w.came:
		return nil
	case w.late:
		return ErrTimedOut
	}
	return ErrRestart
}

// over reports whether blocked t may stop waiting. With SchedDet that is the
// scheduler's word alone.
func (s *sched) over(t *Task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.pass && t.attn.Load()&attnExit != 0, s.turn == t:
		return true
	case s.free:
		return t.waits.came || t.waits.late || t.attn.Load()&t.waits.breaks != 0
	}
	return false
}

func (s *sched) came(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.waits.came = true
	s.scheduleLocked()
}

func (s *sched) late(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.waits.late = true
}

// timer returns a channel that receives at deadline on the host's clock; with
// SchedDet, or without a deadline, it never does.
func (s *sched) timer(deadline time.Duration) (<-chan time.Time, func()) {
	if !s.free || deadline == 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(deadline - s.k.clock.Monotonic())
	return timer.C, func() { timer.Stop() }
}

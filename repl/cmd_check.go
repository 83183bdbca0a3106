package repl

import (
	"context"
	"fmt"
	"slices"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func checkCommands() []*Command {
	return []*Command{expectCommand(), assertCommand(), {
		Name: "check", Group: "check", Summary: "verify every invariant of the engine, and the host's mappings against it",
		Help:     "What is wrong is a fault of mmsh or of the host: exit status 3.",
		Examples: []Example{{Setup: "mmap 64k rw; touch $_,8k w; fork", Line: "check", Shows: "two processes"}},
		Data:     []view.Value{view.Check{}}, Run: runCheck,
	}}
}

func runCheck(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	k := c.s.d.Kernel()
	if k == nil {
		return nil, debugger.ErrNoProcess
	}
	v := view.Check{Processes: []int32{}, Problems: []string{}}
	var all []*mm.MemoryManager
	for _, p := range k.Processes() {
		m := p.MM()
		if m == nil {
			continue
		}
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
		st := m.Stats()
		v.Processes = append(v.Processes, p.PID())
		v.VMAs, v.PMAs = v.VMAs+st.VMAs, v.PMAs+st.PMAs
		for _, problem := range m.Check(true) {
			v.Problems = append(v.Problems, fmt.Sprintf("process %d: %v", p.PID(), problem))
		}
	}
	for _, problem := range mm.CheckReferences(c.s.config.Memory, all) {
		v.Problems = append(v.Problems, problem.Error())
	}
	if n := len(v.Problems); n > 0 {
		return v, &Failure{Kind: view.KindInternal, Reason: fmt.Sprintf("%d invariants are broken: %s", n, v.Problems[0])}
	}
	return v, nil
}

// checkEngine is `set check every`.
func (s *Session) checkEngine(ctx context.Context) error {
	if s.d.Kernel() == nil {
		return nil
	}
	_, err := runCheck(&call{s: s, ctx: ctx})
	return err
}

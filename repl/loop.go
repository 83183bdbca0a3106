package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/line"
	"mmsh.dev/mmsh/repl/view"
)

// Parse parses a whole script and finds every command in the table, so that a
// script with a mistake does not begin. The errors are *lang.SyntaxError.
func (s *Session) Parse(name, src string) ([]*lang.Command, error) {
	cmds, err := lang.ParseScript(name, src)
	if err != nil {
		return nil, err
	}
	return cmds, s.known(cmds)
}

// known refuses commands that are not in the table. An alias is known from its
// definition on.
func (s *Session) known(cmds []*lang.Command) error {
	return lang.Walk(cmds, func(cmd *lang.Command) error {
		if cmd.Name == "alias" && len(cmd.Words) > 1 {
			s.declared[cmd.Words[1].Text] = true
		}
		for inner := cmd; inner != nil; inner = wrapped(inner) {
			if inner.Name == "!" || s.declared[inner.Name] {
				continue
			}
			if _, err := s.table.find(inner.Name, false); err != nil {
				return &lang.SyntaxError{File: cmd.File, Line: cmd.Line, Col: cmd.Col, Reason: err.Error()}
			}
		}
		return nil
	})
}

// wrapped returns the command inside on, quiet, time and expect error.
func wrapped(cmd *lang.Command) *lang.Command {
	switch {
	case cmd.Name == "on":
		return cmd.From(2)
	case cmd.Name == "quiet" || cmd.Name == "time":
		return cmd.From(1)
	case cmd.Name == "expect":
		if i := cmd.Index("error", 1); i == 1 || i == 2 {
			return cmd.From(i + 2)
		}
	}
	return nil
}

// top runs a command that stands in no other one.
func (s *Session) top(ctx context.Context, cmd *lang.Command) error {
	if ctx.Err() != nil { // it came before the command could begin
		err := stoppedBy(ctx)
		s.answer(nil, cmd, nil, err)
		return err
	}
	s.reap()
	return s.Do(ctx, cmd)
}

// Play runs a parsed script. It ends at the first failure (unless the session
// keeps going), at `quit`, and when ctx is done.
func (s *Session) Play(ctx context.Context, cmds []*lang.Command) {
	defer s.asScript()()
	s.playAll(ctx, cmds)
}

// playAll runs commands of a script and reports whether the script goes on.
func (s *Session) playAll(ctx context.Context, cmds []*lang.Command) bool {
	on := true
	s.interruptible(ctx, func(ctx context.Context) {
		for _, cmd := range cmds {
			if on = s.step(ctx, cmd); !on {
				return
			}
		}
	})
	if s.Interrupted() {
		s.status, on = statusInterrupted, false
	}
	return on
}

// step runs one command of a script and reports whether the script goes on.
func (s *Session) step(ctx context.Context, cmd *lang.Command) bool {
	err := s.top(ctx, cmd)
	return !s.quitting && (err == nil || s.config.KeepGoing && ctx.Err() == nil)
}

// statusInterrupted is what a script that was stopped by Ctrl-C exits with, as
// shells have it.
const statusInterrupted = 130

// ReadPipe runs the commands that r gives line by line. name is what errors call it.
func (s *Session) ReadPipe(ctx context.Context, r line.Reader, name string) {
	defer s.asScript()()
	in := &lang.Input{File: name}
	for ctx.Err() == nil {
		text, err := r.ReadLine("")
		if err != nil {
			s.syntax(in.End())
			return
		}
		cmds, _, err := in.Add(text)
		if err == nil {
			err = s.known(cmds)
		}
		if err != nil {
			if s.syntax(err); !s.config.KeepGoing {
				return
			}
			continue
		}
		for _, cmd := range cmds {
			s.typed = append(s.typed, oneLine(cmd.Source))
		}
		if !s.playAll(ctx, cmds) {
			return
		}
	}
}

// syntax shows a syntax error of a line that was read.
func (s *Session) syntax(err error) {
	if err == nil {
		return
	}
	s.worsen(1)
	var syntax *lang.SyntaxError
	if s.config.JSON != JSONOff && errors.As(err, &syntax) {
		e := view.Envelope{Schema: view.Schema, At: fmt.Sprintf("%s:%d", syntax.File, syntax.Line), PID: s.d.PID(),
			Error: &view.Error{Kind: view.KindSyntax, Reason: syntax.Reason}}
		if b, err := e.JSON(s.config.JSON == JSONLines); err == nil {
			s.config.Out.Write(b)
		}
		return
	}
	text := err.Error()
	if syntax != nil && s.scripted == 0 {
		text = syntax.Reason
	}
	fmt.Fprintln(s.config.Err, text)
}

// prompts of the terminal.
const (
	prompt     = "mmsh> "
	promptMore = "    > "
)

// Interact reads commands from a terminal until `quit` or its end. confirm asks a
// yes-or-no question.
func (s *Session) Interact(ctx context.Context, r line.Reader) {
	in := &lang.Input{File: "<stdin>"}
	var last *lang.Command
	for !s.quitting && ctx.Err() == nil {
		p := prompt
		if in.Pending() {
			p = promptMore
		}
		text, err := r.ReadLine(p)
		switch {
		case errors.Is(err, line.ErrInterrupt):
			in.Drop()
			continue
		case err != nil:
			if s.mayLeave(r, err) {
				return
			}
			continue
		}
		if strings.TrimSpace(text) == "" && !in.Pending() {
			if last != nil {
				last = s.again(ctx, last)
			}
			continue
		}
		cmds, _, err := in.Add(text)
		if err != nil {
			s.syntax(err)
			last = nil
			continue
		}
		last = s.typedCommands(ctx, cmds, last)
	}
}

// typedCommands runs what was typed and returns what Enter repeats.
func (s *Session) typedCommands(ctx context.Context, cmds []*lang.Command, last *lang.Command) *lang.Command {
	s.at = true
	defer func() { s.at = false }()
	s.interruptible(ctx, func(ctx context.Context) {
		for _, cmd := range cmds {
			s.typed = append(s.typed, oneLine(cmd.Source))
			err := s.top(ctx, cmd)
			last = s.repeatable(cmd)
			if s.quitting || err != nil && ctx.Err() != nil {
				return
			}
		}
	})
	s.Interrupted() // at a prompt it ends one line
	return last
}

// repeatable returns cmd if Enter may run it again; x and hexdump then go on where
// they ended.
func (s *Session) repeatable(cmd *lang.Command) *lang.Command {
	entry, err := s.table.find(cmd.Name, true)
	if err != nil || !entry.Repeats {
		return nil
	}
	if entry.Name != "x" && entry.Name != "hexdump" {
		return cmd
	}
	text := cmd.Name
	if cmd.Slash != "" {
		text += "/" + cmd.Slash
	}
	cmds, err := lang.ParseScript(cmd.File, text)
	if err != nil || len(cmds) != 1 {
		return nil
	}
	return cmds[0]
}

func (s *Session) again(ctx context.Context, cmd *lang.Command) *lang.Command {
	s.at = true
	defer func() { s.at = false }()
	s.interruptible(ctx, func(ctx context.Context) {
		_ = s.top(ctx, cmd) // it has been told
	})
	s.Interrupted()
	return cmd
}

// mayLeave answers the end of the terminal's input: at a Ctrl-D with a guest alive it asks.
func (s *Session) mayLeave(r line.Reader, err error) bool {
	if !errors.Is(err, io.EOF) || !s.d.Alive() || s.config.Batch {
		return true
	}
	answer, err := r.ReadLine("a guest is alive; kill it and quit? (y/n) ")
	return errors.Is(err, io.EOF) || strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// interruptible runs f, a line or a script, so that Interrupt ends it.
func (s *Session) interruptible(ctx context.Context, f func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.cancel, s.presses = cancel, 0
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.cancel = nil
		s.mu.Unlock()
		cancel()
	}()
	f(ctx)
}

// reap tells of processes whose stubs were killed while they stood still.
func (s *Session) reap() {
	for _, pid := range s.d.Reap() {
		fmt.Fprintf(s.config.Err, "process %d died: its stub process was killed from outside; its memory was given back\n", pid)
	}
}

// Interrupt is Ctrl-C: it stops the command that runs; twice it kills the guests.
// Any goroutine may call it. It reports whether something was running.
func (s *Session) Interrupt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil {
		return false
	}
	s.presses++
	s.broken = true
	s.cancel()
	if s.presses > 1 {
		go s.d.Abort() //nolint:errcheck // Close tells what was not written
	}
	return true
}

// Interrupted reports whether Ctrl-C came since it was asked last.
func (s *Session) Interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.broken
	s.broken = false
	return was
}

package repl

import (
	"context"
	"os"

	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

// Load loads the program of the command line.
func (s *Session) Load(path string, argv []string) error {
	_, err := s.d.Load(debugger.Program{Path: path, Args: argv})
	s.rememberRegs()
	return err
}

// FirstStop returns the stop before the first instruction of the command line's
// program; nil for a blank process.
func (s *Session) FirstStop() view.Value {
	stop := s.d.LastStop()
	if stop == nil {
		return nil
	}
	return s.viewStop(stop)
}

// SourceRC runs the commands of a person's own file, if there is one.
func (s *Session) SourceRC(ctx context.Context, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		return
	}
	cmds, err := s.Parse(file, string(content))
	if err != nil {
		s.syntax(err)
		return
	}
	s.Play(ctx, cmds)
	s.status = 0 // a person's file does not make a session fail
}

package line

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// historyCap is how many lines are kept.
const historyCap = 2000

// History is the lines of earlier sessions: capped, without duplicates, newest last.
// The zero History is empty and kept in memory only.
type History struct {
	path  string
	lines []string // oldest first
	added []string // by this session, oldest first
}

// DefaultHistoryPath returns $XDG_STATE_HOME/mmsh/history, or the same below
// ~/.local/state; "" if there is no home. A relative XDG_STATE_HOME is ignored, as the
// XDG base directory specification says.
func DefaultHistoryPath() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "mmsh", "history")
}

// OpenHistory reads the history at path; a file that is not there is empty. path ""
// keeps lines in memory only.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path}
	if path == "" {
		return h, nil
	}
	var err error
	h.lines, err = readHistory(path)
	return h, err
}

func readHistory(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = remember(lines, strings.TrimRight(line, "\r\n"))
	}
	return lines, nil
}

// remember appends a line and removes its earlier self.
func remember(lines []string, line string) []string {
	if line == "" || line[0] == ' ' || line[0] == '\t' || strings.ContainsAny(line, "\n\x00") {
		return lines
	}
	if i := slices.Index(lines, line); i >= 0 {
		lines = slices.Delete(lines, i, i+1)
	}
	lines = append(lines, line)
	return lines[max(0, len(lines)-historyCap):]
}

// Lines returns the lines, oldest first. The slice is the caller's.
func (h *History) Lines() []string { return slices.Clone(h.lines) }

// Add appends a line, and removes it where it stood before. Blank lines and lines
// that begin with a blank are not kept.
func (h *History) Add(line string) {
	h.lines = remember(h.lines, line)
	h.added = remember(h.added, line)
}

// Save writes the file (0600, directory 0700) beside the old one and renames it into
// place; lines that another session wrote meanwhile are kept. With nothing new it
// writes nothing.
func (h *History) Save() error {
	if h.path == "" || len(h.added) == 0 {
		return nil
	}
	lines, err := readHistory(h.path)
	if err != nil {
		return err
	}
	for _, line := range h.added {
		lines = remember(lines, line)
	}
	if err := writeWhole(h.path, strings.Join(lines, "\n")+"\n"); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	h.added = nil
	return nil
}

// writeWhole replaces a file by renaming a new one over it.
func writeWhole(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".history-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

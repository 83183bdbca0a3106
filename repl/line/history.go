package line

// History is the lines of earlier sessions: capped, without duplicates, newest last.
type History struct{}

// DefaultHistoryPath returns $XDG_STATE_HOME/mmsh/history, or the same below
// ~/.local/state; "" if there is no home.
func DefaultHistoryPath() string { panic("line: unwritten") }

// OpenHistory reads the history at path; a file that is not there is empty. path ""
// keeps lines in memory only.
func OpenHistory(path string) (*History, error) { panic("line: unwritten") }

// Lines returns the lines, oldest first.
func (h *History) Lines() []string { panic("line: unwritten") }

// Add appends a line, and removes it where it stood before. Blank lines and lines
// that begin with a blank are not kept.
func (h *History) Add(line string) { panic("line: unwritten") }

// Save writes the file (0600, directory 0700) beside the old one and renames it into
// place; lines that another session wrote meanwhile are kept.
func (h *History) Save() error { panic("line: unwritten") }

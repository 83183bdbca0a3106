package repl

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/line"
	"mmsh.dev/mmsh/sentry/debugger"
)

// hint says what a command's word is, for completion.
type hint uint8

const (
	hintNone hint = iota
	hintAddr
	hintNumber
	hintFile
	hintDemo
	hintCommand
	hintPID
	hintPerms
	hintAccess
	hintMapWord
	hintRemapWord
	hintAdvice
	hintFilter
	hintStats
	hintCOW
	hintExpect
	hintSetting
	hintSyscall
	hintCached
	hintOpenFlag
)

// words are the completions of hints that need no process.
var hintWords = map[hint][]string{
	hintPerms:     {"r", "rw", "rx", "rwx", "w", "x", "none"},
	hintAccess:    {"r", "w", "x"},
	hintMapWord:   {"shared", "private", "fixed", "noreplace", "populate", "locked", "noreserve", "growsdown", "stack", "32bit", "file"},
	hintRemapWord: {"maymove", "dontunmap", "fixed"},
	hintAdvice:    {"dontneed", "populate_read", "populate_write", "willneed", "normal", "free"},
	hintFilter: append(slices.Clone(lang.EventKinds), "in", "pid", "by", "perms", "since", "until", "if", "zero-map", "zero-fill", "file-map",
		"cow-copy", "cow-reuse", "upgrade", "stack-grow", "refault", "no-mapping", "permission", "guard", "beyond-eof", "limit", "io-error"),
	hintStats:    {"by", "reset", "cause", "vma", "function", "pid", "syscall"},
	hintCOW:      {"break", "owners"},
	hintExpect:   {"not", "vma", "pma", "fault", "same-frame", "mem", "file", "pages", "rss", "stop", "signal", "exit", "output", "count", "event", "error"},
	hintOpenFlag: {"r", "w", "rw", "create", "excl", "trunc", "append", "cloexec", "path", "tmpfile"},
	hintSetting:  {"fault-window", "as-io", "overcommit", "overcommit-ratio", "overcommit-kbytes", "check"},
}

// Complete returns what may stand in place of the word that ends at byte pos of text.
func (s *Session) Complete(text string, pos int) []line.Suggestion {
	text = text[:min(pos, len(text))]
	if i := strings.LastIndexAny(text, ";{}"); i >= 0 {
		text = text[i+1:]
	}
	words := strings.Fields(text)
	if len(words) == 0 || strings.HasSuffix(text, " ") {
		words = append(words, "")
	}
	return s.completeWord(words)
}

func (s *Session) completeWord(words []string) []line.Suggestion {
	last := words[len(words)-1]
	if len(words) == 1 {
		return s.commandNames(last)
	}
	if i := slices.Index(words[:len(words)-1], "="); i >= 0 && words[0] == "let" && i+1 < len(words) {
		if sub := words[i+1:]; len(sub) > 0 {
			return s.completeWord(sub)
		}
	}
	name, _, _ := strings.Cut(words[0], "/")
	entry, err := s.table.find(name, true)
	if err != nil {
		return nil
	}
	h := hintAddr
	if n := len(entry.Complete); n > 0 {
		h = entry.Complete[min(len(words)-2, n-1)]
	}
	if h == hintCommand && entry.Name != "help" {
		start := slices.Index(entry.Complete, hintCommand) + 1
		return s.completeWord(words[min(start, len(words)-1):])
	}
	return s.suggest(h, entry, last)
}

func (s *Session) commandNames(prefix string) []line.Suggestion {
	var list []line.Suggestion
	for _, c := range s.table.commands {
		if strings.HasPrefix(c.Name, prefix) {
			list = append(list, line.Suggestion{Text: c.Name, Description: c.Summary})
		}
	}
	return list
}

func (s *Session) suggest(h hint, entry *Command, last string) []line.Suggestion {
	if h == hintCached {
		return append(s.cachedNames(last), s.pathsOrRanges(entry, last)...)
	}
	if h == hintFile || strings.HasPrefix(last, "/") || strings.HasPrefix(last, "./") {
		return files(last)
	}
	if strings.HasPrefix(last, "--") {
		return pickPrefix(flagsOf(entry), last, "")
	}
	switch h {
	case hintDemo:
		return pickPrefix(s.config.Demos(), last, "demo")
	case hintCommand:
		return s.commandNames(last)
	case hintPID:
		return append(pickPrefix(s.pids(), last, "process"), s.addresses(last)...)
	case hintSyscall:
		return pickPrefix(s.syscallNames(), last, "system call")
	}
	list := pickPrefix(hintWords[h], last, "")
	switch h {
	case hintAddr, hintNumber, hintFilter, hintCOW, hintExpect, hintSetting:
		list = append(list, s.addresses(last)...)
	}
	return list
}

func flagsOf(entry *Command) []string {
	var flags []string
	for _, word := range strings.Fields(strings.Trim(entry.Synopsis, "[]")) {
		if word = strings.Trim(word, "[]"); strings.HasPrefix(word, "--") {
			flags = append(flags, word)
		}
	}
	return flags
}

func (s *Session) pids() []string {
	var pids []string
	if k := s.d.Kernel(); k != nil {
		for _, p := range k.Processes() {
			pids = append(pids, strconv.Itoa(int(p.PID())))
		}
	}
	return pids
}

// cachedNames completes the names of files whose pages are in memory.
func (s *Session) cachedNames(last string) []line.Suggestion {
	var names []string
	for _, f := range s.d.CachedFiles() {
		names = append(names, nameOf(f))
	}
	return pickPrefix(names, last, "cached file")
}

// pathsOrRanges completes what else a FILE can be: a path, for evict a range.
func (s *Session) pathsOrRanges(entry *Command, last string) []line.Suggestion {
	switch {
	case strings.HasPrefix(last, "/"):
		return files(last)
	case strings.Contains(entry.Synopsis, "RANGE"):
		return s.addresses(last)
	}
	return nil
}

func (s *Session) syscallNames() []string {
	var names []string
	if k := s.d.Kernel(); k != nil {
		for _, entry := range k.Config().Calls {
			if entry.Name != "" {
				names = append(names, entry.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// mostSuggested bounds the symbols offered.
const mostSuggested = 200

// addresses completes registers and variables, symbols, mapping names and moments:
// the part of the word behind the last operator.
func (s *Session) addresses(last string) []line.Suggestion {
	cut := strings.LastIndexAny(last, "+-*(,") + 1
	if i := strings.LastIndex(last, ".."); i >= 0 {
		cut = max(cut, i+2)
	}
	before, part := last[:cut], last[cut:]
	var list []line.Suggestion
	add := func(names []string, sigil, what string) {
		for _, sug := range pickPrefix(names, strings.TrimPrefix(part, sigil), what) {
			list = append(list, line.Suggestion{Text: before + sigil + sug.Text, Description: what})
		}
	}
	e := s.env(0)
	switch {
	case strings.HasPrefix(part, "$"):
		add(e.Names(lang.RegisterNames), "$", "register")
		add(e.Names(lang.VariableNames), "$", "value")
	case strings.HasPrefix(part, "@"):
		add(lang.EventKinds, "@", "newest event of that kind")
	default:
		if p, err := s.d.Process(0); err == nil && len(debugger.VMAs(p, debugger.All)) > 0 {
			add(mappingNames(p), "", "mapping")
		}
		if part != "" {
			add(e.Names(lang.SymbolNames), "", "symbol")
		}
	}
	return list[:min(len(list), mostSuggested)]
}

func pickPrefix(names []string, prefix, what string) []line.Suggestion {
	var list []line.Suggestion
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			list = append(list, line.Suggestion{Text: name, Description: what})
		}
	}
	return list
}

// files completes a path of the host.
func files(prefix string) []line.Suggestion {
	dir, base := filepath.Split(prefix)
	entries, err := os.ReadDir(filepath.Join(".", dir))
	if filepath.IsAbs(prefix) {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil
	}
	var list []line.Suggestion
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || (base == "" && strings.HasPrefix(e.Name(), ".")) {
			continue
		}
		name := dir + e.Name()
		if e.IsDir() {
			name += "/"
		}
		list = append(list, line.Suggestion{Text: name})
	}
	return list[:min(len(list), mostSuggested)]
}

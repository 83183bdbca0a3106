package lang

import (
	"fmt"
	"slices"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Filter selects events. All that is set must hold.
type Filter struct {
	Kinds    []string       // of EventKinds
	Causes   []memmap.Cause // two that differ never hold together
	In       *Range         // overlaps this range, resolved when the filter was read
	InName   string         // the mapping's name that In was written as; "" if it was not
	PID      int            // 0: any
	By       string         // "shell", "elf" or a symbol's name; "": any
	Perms    *PermPattern
	Syscalls []string // names, numbers or %groups behind `syscall`; one must hold
	Since    *Moment
	Until    *Moment
	If       *Expr  // evaluated for each event
	Text     string // as written
}

// EventKinds are the kinds of events that filters and @kind know.
var EventKinds = []string{"fault", "cow", "map", "unmap", "protect", "fork", "exec", "exit", "signal", "syscall", "writeback"}

// clauses are the filter words that take what follows them. Each returns how many
// words it took.
var clauses = map[string]func(f *Filter, env Env, rest []Word) (int, error){
	"in":    (*Filter).in,
	"pid":   (*Filter).pid,
	"by":    (*Filter).by,
	"perms": (*Filter).perms,
	"since": func(f *Filter, _ Env, rest []Word) (int, error) { return moment(&f.Since, rest) },
	"until": func(f *Filter, _ Env, rest []Word) (int, error) { return moment(&f.Until, rest) },
	"if":    (*Filter).condition,
}

// ParseFilter reads all words as a filter; no words select every event. `if` takes
// the rest of the words as its expression.
func ParseFilter(env Env, words []Word) (*Filter, error) {
	f := &Filter{Text: JoinWords(words)}
	for i := 0; i < len(words); {
		word := words[i].Text
		i++
		clause, ok := clauses[word]
		if !ok {
			n, err := f.plain(word, words[i:])
			if err != nil {
				return nil, err
			}
			i += n
			continue
		}
		if i == len(words) {
			return nil, fmt.Errorf("filter: something must follow %s", word)
		}
		n, err := clause(f, env, words[i:])
		if err != nil {
			return nil, fmt.Errorf("filter: %s: %w", word, err)
		}
		i += n
	}
	return f, nil
}

// plain reads a kind or a cause. The name of a call may follow `syscall`.
func (f *Filter) plain(word string, rest []Word) (used int, err error) {
	if cause, ok := memmap.ParseCause(word); ok {
		f.Causes = append(f.Causes, cause)
		return 0, nil
	}
	if !slices.Contains(EventKinds, word) {
		return 0, unknownFilterWord(word)
	}
	f.Kinds = append(f.Kinds, word)
	if word != "syscall" || len(rest) == 0 || clauses[rest[0].Text] != nil {
		return 0, nil
	}
	for name := range strings.SplitSeq(rest[0].Text, ",") {
		if name == "" || name == "%" {
			return 0, fmt.Errorf("filter: syscall: %q names no call", rest[0].Text)
		}
		f.Syscalls = append(f.Syscalls, name)
	}
	return 1, nil
}

func unknownFilterWord(word string) error {
	known := slices.Clone(EventKinds)
	for c := memmap.NoCause + 1; c <= memmap.IOError; c++ {
		known = append(known, c.String())
	}
	for clause := range clauses {
		known = append(known, clause)
	}
	return &UnknownError{Word: word, Tried: []string{"kind", "cause", "filter word"}, Nearest: Nearest(word, known)}
}

// in reads a range. The name of a mapping is kept beside the range it has now.
func (f *Filter) in(env Env, rest []Word) (int, error) {
	r, used, err := ParseRange(env, rest, LoneRefused)
	if err != nil {
		return 0, err
	}
	f.In, f.InName = &r, ""
	if e, err := ParseAddr(rest[0].Text); err == nil {
		if n, ok := e.root.(name); ok && used == 1 {
			f.InName = n.text
		}
	}
	return used, nil
}

func (f *Filter) pid(env Env, rest []Word) (int, error) {
	v, err := Eval(env, rest[0].Text)
	if err == nil && (v.Bits == 0 || v.Bits > 1<<30) {
		err = fmt.Errorf("%v is no process", v)
	}
	f.PID = int(v.Bits)
	return 1, err
}

func (f *Filter) by(_ Env, rest []Word) (int, error) {
	by, err := rest[0].Value()
	f.By = by
	return 1, err
}

func (f *Filter) perms(_ Env, rest []Word) (int, error) {
	p, err := ParsePermPattern(rest[0].Text)
	f.Perms = &p
	return 1, err
}

func moment(to **Moment, rest []Word) (int, error) {
	m, err := ParseMoment(rest[0].Text)
	*to = &m
	return 1, err
}

// condition takes all words that remain.
func (f *Filter) condition(_ Env, rest []Word) (int, error) {
	e, err := ParseExpr(JoinWords(rest))
	f.If = e
	return len(rest), err
}

package repl

import (
	"fmt"
	"slices"
	"strings"

	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

// Command is one entry of the table: everything that help, completion and the
// documents know of a command, and the function that runs it.
type Command struct {
	Name     string
	Aliases  []string
	Group    string
	Synopsis string // the words behind the name
	Summary  string // one line
	Help     string // more, in whole sentences; may be empty
	Examples []Example
	Data     []view.Value // empty values of what it may answer, for docs/json.md
	Complete []hint       // what its words are; the last one repeats
	See      bool         // it only looks, and takes a last @N
	Repeats  bool         // Enter on an empty line runs it again
	Run      func(c *call) (view.Value, error)
}

// Example is a use of a command, run by a test on a process of its own.
type Example struct {
	Setup string // commands before it
	Line  string
	Shows string // what it is an example of
}

// Groups are the groups of commands in the order of the help.
var Groups = []string{"run", "processes", "see mappings", "see memory", "change mappings", "change memory",
	"faults and COW", "files", "history", "check", "scripting", "shell"}

// table is the commands and their names.
type table struct {
	commands []*Command
	byName   map[string]*Command
}

func newTable() *table {
	t := &table{byName: map[string]*Command{}}
	for _, group := range [][]*Command{
		runCommands(), processCommands(), mappingViews(), usageViews(), memoryViews(), mappingChanges(), lockCommands(),
		memoryChanges(), faultCommands(), pageCommands(), pinCommands(), fileCommands(), historyCommands(), checkCommands(), scriptCommands(), shellCommands(),
	} {
		for _, c := range group {
			t.add(c)
		}
	}
	return t
}

func (t *table) add(c *Command) {
	t.commands = append(t.commands, c)
	for _, name := range append([]string{c.Name}, c.Aliases...) {
		if t.byName[name] != nil {
			panic("repl: two commands are called " + name)
		}
		t.byName[name] = c
	}
}

// names returns every name and alias, sorted.
func (t *table) names() []string {
	var names []string
	for name := range t.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// find returns the command called name; with prefixes also the only one whose
// name begins so.
func (t *table) find(name string, prefixes bool) (*Command, error) {
	if c := t.byName[name]; c != nil {
		return c, nil
	}
	var found []*Command
	if prefixes {
		for _, c := range t.commands {
			if strings.HasPrefix(c.Name, name) {
				found = append(found, c)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, t.unknown(name)
	}
	var candidates []string
	for _, c := range found {
		candidates = append(candidates, c.Name)
	}
	return nil, &Failure{Kind: view.KindSyntax, Reason: fmt.Sprintf("%q is ambiguous: %s", name, strings.Join(candidates, " "))}
}

func (t *table) unknown(name string) error {
	reason := fmt.Sprintf("unknown command %q", name)
	if near := lang.Nearest(name, t.names()); near != "" {
		reason += fmt.Sprintf(": did you mean %q?", near)
	}
	return &Failure{Kind: view.KindSyntax, Reason: reason}
}

// Commands returns the whole table, by group, for documents.
func Commands() []*Command { return newTable().commands }

// Command mmsh is a debugger's shell over a memory engine: it loads a Linux
// program into a stub process and shows, explains and changes all that happens to
// its memory. Flags and wiring only; the shell itself is package repl.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"mmsh.dev/mmsh/repl"
	"mmsh.dev/mmsh/repl/line"
)

// Exit statuses of mmsh itself.
const (
	exitLost     = 1 // data that guests wrote is not in the host's files
	exitUsage    = 2
	exitInternal = 3
	exitTime     = 124
	// Of `mmsh run`, as shells have them.
	exitRunFailed = 125
	exitCannotRun = 126
	exitNotFound  = 127
)

func main() {
	defer line.Restore()
	status := command(os.Args[1:])
	line.Restore()
	os.Exit(status)
}

// command runs the command line and returns the exit status.
func command(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "version", "--version":
			fmt.Println("mmsh", version())
			return 0
		case "help", "-h", "--help", "-help":
			return help(args[1:])
		case "run":
			return runCommand(args[1:])
		case "lab":
			fmt.Fprintln(os.Stderr, "mmsh: lab: not in this version")
			return exitUsage
		}
	}
	return shellCommand(args)
}

// version returns what the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// help prints the flags and the table of commands, one command, or the pages of
// docs/ that are made from the table.
func help(args []string) int {
	switch {
	case len(args) == 0:
		fmt.Print(usage, "\n", repl.Overview())
	case args[0] == "--markdown":
		fmt.Print(repl.CommandsPage())
	case args[0] == "--json-markdown":
		fmt.Print(repl.JSONPage())
	case args[0] == "--json-schema":
		fmt.Print(repl.JSONSchema())
	default:
		text, err := repl.Manual(args[0])
		if err != nil {
			fmt.Fprintln(os.Stderr, "mmsh: help:", err)
			return exitUsage
		}
		fmt.Print(text)
	}
	return 0
}

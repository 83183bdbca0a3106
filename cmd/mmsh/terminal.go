package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// wantsColor decides --color: NO_COLOR and TERM=dumb turn auto off.
func (o *options) wantsColor() bool {
	switch o.color {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// terminalWidth returns the columns of the terminal; 0 if it does not say.
func terminalWidth() int {
	w, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(w.Col)
}

// page shows a text that is longer than the terminal through $PAGER. It reports
// false if it did not.
func page(text string) bool {
	pager := os.Getenv("PAGER")
	w, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if pager == "" || err != nil || strings.Count(text, "\n") < int(w.Row) {
		return false
	}
	cmd := exec.Command("/bin/sh", "-c", pager)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "LESS=-FRX")
	return cmd.Run() == nil
}

// guestFiles returns what descriptors 0 and 1 of the first process are: the files
// of --stdin and --stdout, or else in and out.
func (o *options) guestFiles(in io.Reader, out io.Writer) (io.Reader, io.Writer, func(), error) {
	var opened []*os.File
	closeAll := func() {
		for _, f := range opened {
			_ = f.Close()
		}
	}
	if o.stdin != "" {
		f, err := os.Open(o.stdin)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--stdin: %w", err)
		}
		opened = append(opened, f)
		in = f
	}
	if o.stdout != "" {
		f, err := os.Create(o.stdout)
		if err != nil {
			closeAll()
			return nil, nil, nil, fmt.Errorf("--stdout: %w", err)
		}
		opened = append(opened, f)
		out = f
	}
	return in, out, closeAll, nil
}

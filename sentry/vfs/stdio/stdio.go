// Package stdio makes guest descriptors of the streams that mmsh itself was
// given: an io.Reader that may block, an io.Writer, a terminal.
//
// No byte is taken from a stream that no guest asked for: what a guest did not
// read stays for the person at the prompt.
package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// NewReader returns r as a vfs.File and vfs.Waiter; a nil r is at its end. A host
// file (*os.File) is asked whether it is ready before it is read; any other
// reader is read ahead, once a guest asked for input, by a goroutine that lives
// until r answers. If r is a terminal, the File is a vfs.Terminal. r is not
// closed.
func NewReader(r io.Reader) vfs.File {
	switch r := r.(type) {
	case nil:
		return &reader{err: io.EOF}
	case *os.File:
		return host(&hostReader{hostFile{r}}, r)
	}
	return &reader{from: r}
}

// NewWriter returns w as a vfs.File and a vfs.Waiter that is always ready; a nil w
// swallows all. Writes are whole and in order. If w is a terminal, the File is a
// vfs.Terminal. w is not closed.
func NewWriter(w io.Writer) vfs.File {
	switch w := w.(type) {
	case nil:
		return &writer{to: io.Discard}
	case *os.File:
		return host(&hostWriter{hostFile: hostFile{w}}, w)
	}
	return &writer{to: w}
}

// host returns f, a File of the host's h, as a vfs.Terminal if h is one.
func host(f stream, h *os.File) vfs.File {
	t := &terminal{stream: f, host: hostFile{h}}
	if _, err := t.Termios(); err != nil {
		return f
	}
	if st, err := t.host.Stat(); err == nil {
		t.tty = &vfs.TTY{Device: st.Rdev}
	}
	return t
}

// stream is what the Files here have in common.
type stream interface {
	vfs.File
	vfs.Waiter
	vfs.External
}

// pipeStat is what fstat says of a stream that is no host file: a pipe.
func pipeStat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Mode: unix.S_IFIFO | 0o600, Nlink: 1, Blksize: 4096,
		Uid: uint32(unix.Geteuid()), Gid: uint32(unix.Getegid()),
	}, nil
}

// errno makes err one that a guest can be given.
func errno(op string, err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", op, e)
	}
	return fmt.Errorf("%s: %w: %v", op, unix.EIO, err)
}

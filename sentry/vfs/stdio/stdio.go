// Package stdio makes guest descriptors of the streams that mmsh itself was
// given: an io.Reader that may block, an io.Writer, a terminal.
package stdio

import (
	"io"

	"mmsh.dev/mmsh/sentry/vfs"
)

// NewReader returns r as a vfs.File and vfs.Waiter. r is read by a goroutine of
// the File's own, only once a guest asked for input, so that a guest that waits
// can be interrupted; bytes that nobody took stay for the next reader. If r is an
// *os.File that is a terminal, the File is a vfs.Terminal.
func NewReader(r io.Reader) vfs.File { panic("stdio: unwritten") }

// NewWriter returns w as a vfs.File, vfs.Waiter (always ready) and, if w is an
// *os.File that is a terminal, vfs.Terminal. Writes are whole and in order.
func NewWriter(w io.Writer) vfs.File { panic("stdio: unwritten") }

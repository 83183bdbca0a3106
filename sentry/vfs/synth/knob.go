package synth

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// Knob is a regular file whose text can be written: a setting, as in Linux's /proc/sys.
// Show makes the text each time it is opened. A write at the file's start is given to
// Set; what is written elsewhere is swallowed, as Linux does.
type Knob struct {
	Attr
	Writable bool // by who looks at it; Mode alone does not decide that
	Show     func() []byte
	Set      func([]byte) error
}

// Stat implements vfs.Node. The size is 0, as in Linux's /proc.
func (k *Knob) Stat() (unix.Stat_t, error) { return k.stat(unix.S_IFREG) }

// Access implements vfs.Node.
func (k *Knob) Access(mode uint32) error {
	a := k.Attr
	if !k.Writable {
		a.Mode &^= 0o222
	}
	return a.Access(mode)
}

// Open implements vfs.Node.
func (k *Knob) Open(flags int) (vfs.File, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY && !k.Writable {
		return nil, fmt.Errorf("%w: only root may write it", unix.EACCES)
	}
	return &knob{text{&Text{Attr: k.Attr}, k.Show()}, k}, nil
}

// knob is an open Knob.
type knob struct {
	text
	node *Knob
}

func (k *knob) Stat() (unix.Stat_t, error)         { return k.node.Stat() }
func (k *knob) Reopen(flags int) (vfs.File, error) { return k.node.Open(flags) }
func (k *knob) Truncate(int64) error               { return nil } // as in Linux's /proc

func (k *knob) PWrite(p []byte, off int64) (int, error) {
	if off != 0 || len(p) == 0 {
		return len(p), nil
	}
	if err := k.node.Set(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

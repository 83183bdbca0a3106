package vfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FileKey tells the files of a world apart: st_dev and st_ino.
type FileKey struct{ Dev, Ino uint64 }

// NamedPipes is what is behind named pipes, wherever they lie: package pipe's Pool.
type NamedPipes interface {
	// OpenNamed opens the pipe that key names; flags are O_*. ENXIO for O_NONBLOCK
	// and O_WRONLY if nobody reads.
	OpenNamed(key FileKey, flags int) (PipeEnd, error)
}

// PipeEnd is an end of a pipe.
type PipeEnd interface {
	File
	Waiter
	Queued
	Flagged
	Impatient
	// Met reports whether the other side has come that opening a named pipe waits for;
	// else ready is closed when it may have, and giveUp ends the wait.
	Met() (ready <-chan struct{}, giveUp func(), met bool)
}

// Flagged is a File that is told the flags of its Description, O_*.
type Flagged interface{ Flagged(flags int) }

// Impatient is a File that can be asked not to wait (RWF_NOWAIT).
type Impatient interface{ MayNotWait() bool }

// Unspliced is a File that splice(2) may have nothing to read from.
type Unspliced interface{ Unspliced() bool }

// Wrapper is a File that stands for another one.
type Wrapper interface{ Unwrap() File }

// SetNamedPipes says what is behind the tree's named pipes, before guests run.
func (t *Tree) SetNamedPipes(p NamedPipes) { t.pipes = p }

// openPipe opens the named pipe f, whose node the File takes over.
func (f *found) openPipe(t *Tree, st *unix.Stat_t, flags int) (File, error) {
	want := [...]uint32{unix.R_OK, unix.W_OK, unix.R_OK | unix.W_OK, unix.R_OK | unix.W_OK}[flags&unix.O_ACCMODE]
	if err := f.node.Access(want); err != nil {
		return nil, err
	}
	if t == nil || t.pipes == nil {
		return nil, fmt.Errorf("%w: there are no named pipes", unix.ENXIO)
	}
	end, err := t.pipes.OpenNamed(FileKey{st.Dev, st.Ino}, flags)
	if err != nil {
		return nil, err
	}
	node := f.node
	f.node = closed{}
	return namedPipe{end, node, display(f.path)}, nil
}

// namedPipe is an end of a pipe that lies in a file system. It owns the node.
type namedPipe struct {
	PipeEnd
	node Node
	path string // when it was opened
}

func (p namedPipe) Stat() (unix.Stat_t, error) { return p.node.Stat() }
func (p namedPipe) Unwrap() File               { return p.PipeEnd }

// Release implements File.
func (p namedPipe) Release() error {
	defer p.node.Close()
	return p.PipeEnd.Release()
}

// Path implements Pather.
func (p namedPipe) Path() string {
	if n, ok := p.node.(Pather); ok {
		return n.Path()
	}
	return p.path
}

// Node implements Linked, for file systems whose nodes are.
func (p namedPipe) Node(who Caller) Node {
	if l, ok := p.node.(Linked); ok {
		return l.Node(who)
	}
	return closed{p.node}
}

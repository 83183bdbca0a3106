// Package procfs is /proc as guests see it, with true values: maps, status,
// statm, stat, cmdline, comm, exe, cwd, root, auxv, environ, fd, limits of every
// process, and self. What a file says is decided when it is opened.
package procfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// FS is /proc.
type FS struct {
	kernel *sentry.Kernel
}

// New returns the /proc of k, to be mounted in k's tree.
func New(k *sentry.Kernel) *FS { return &FS{kernel: k} }

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	panic("procfs: unwritten")
}

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) { panic("procfs: unwritten") }

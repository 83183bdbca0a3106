// Package pipe is pipe(2): 64 KiB of bytes between two Files.
package pipe

import "mmsh.dev/mmsh/sentry/vfs"

// Capacity is what a pipe holds, in bytes.
const Capacity = 64 << 10

// AtomicWrite is the largest write that is not mixed with others (PIPE_BUF).
const AtomicWrite = 4096

// New returns the two ends of a pipe. Both are vfs.Waiters and not seekable.
// Reading an empty pipe and writing a full one is vfs.ErrWouldBlock; writing
// without a reader is EPIPE (and the caller raises SIGPIPE); reading without a
// writer is the end of the file. path ("pipe:[7]") names both in /proc/PID/fd.
func New() (r, w vfs.File, path string) { panic("pipe: unwritten") }

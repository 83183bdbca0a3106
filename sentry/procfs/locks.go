package procfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs/filelock"
)

// locks is /proc/locks: the newest first, each with who waits for it.
func (fs *FS) locks() []byte {
	var b strings.Builder
	for i, e := range fs.kernel.Config().Tree.Locks().All() {
		lockLine(&b, i+1, "", e.Key, &e.Lock)
		for j := range e.Waiting {
			lockLine(&b, i+1, "-> ", e.Key, &e.Waiting[j])
		}
	}
	return []byte(b.String())
}

func lockLine(b *strings.Builder, n int, arrow string, k filelock.Key, l *filelock.Lock) {
	kind := [...]string{filelock.Process: "POSIX ", filelock.OpenFile: "OFDLCK", filelock.Flock: "FLOCK "}[l.Kind]
	how := map[int16]string{unix.F_RDLCK: "READ", unix.F_WRLCK: "WRITE"}[l.Type]
	fmt.Fprintf(b, "%d: %s%s ADVISORY  %s %d %02x:%02x:%d %d ", n, arrow, kind, how, l.PID, unix.Major(k.Dev), unix.Minor(k.Dev), k.Ino, l.Start)
	if l.End == filelock.EOF {
		b.WriteString("EOF\n")
		return
	}
	fmt.Fprintf(b, "%d\n", l.End)
}

package procfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// space is how blanks and backslashes of a path are written, so that fields stay apart.
var space = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`)

// eachMount writes a line a mount that p sees. Its source is called as what it is:
// guests are not told what on the host is behind it.
func (p *process) eachMount(line func(m vfs.Mounted, at, access string) string) ([]byte, error) {
	var b strings.Builder
	if p.p.MM() == nil {
		return nil, unix.EINVAL // as Linux of a process that has ended
	}
	for _, m := range p.p.Context().Mounts() {
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		b.WriteString(line(m, space.Replace(m.At), access))
	}
	return []byte(b.String()), nil
}

func (p *process) mounts() ([]byte, error) {
	return p.eachMount(func(m vfs.Mounted, at, access string) string {
		return fmt.Sprintf("%s %s %s %s,relatime 0 0\n", m.Kind, at, m.Kind, access)
	})
}

func (p *process) mountinfo() ([]byte, error) {
	return p.eachMount(func(m vfs.Mounted, at, access string) string {
		return fmt.Sprintf("%d %d %d:%d / %s %s,relatime - %s %s %s\n", m.ID, m.Parent, unix.Major(m.Dev), unix.Minor(m.Dev), at, access, m.Kind, m.Kind, access)
	})
}

func (p *process) mountstats() ([]byte, error) {
	return p.eachMount(func(m vfs.Mounted, at, _ string) string {
		return fmt.Sprintf("device %s mounted on %s with fstype %s\n", m.Kind, at, m.Kind)
	})
}

// filesystems lists what file systems there can be.
func (fs *FS) filesystems() []byte {
	var b strings.Builder
	for _, kind := range []string{"tmpfs", "proc", "devtmpfs", "pipefs", "devpts", "overlay"} {
		fmt.Fprintf(&b, "nodev\t%s\n", kind)
	}
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		fmt.Fprintf(&b, "\t%s\n", kind)
	}
	return []byte(b.String())
}

package hostfs

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxValue is XATTR_SIZE_MAX, of values and of lists of names.
const maxValue = 64 << 10

// name is how xattr calls, which take no O_PATH descriptor, find the file.
func (n *node) name() string { return "/proc/self/fd/" + strconv.Itoa(n.fd) }

// Xattr implements vfs.XAttrs: users' attributes are the host's, others are none
// of the guest's business.
func (n *node) Xattr(name string) ([]byte, error) {
	if !strings.HasPrefix(name, "user.") {
		return nil, fmt.Errorf("%w: there is no %s", unix.ENODATA, name)
	}
	buf := make([]byte, maxValue)
	k, err := unix.Getxattr(n.name(), name, buf)
	return buf[:max(k, 0)], err
}

// Xattrs implements vfs.XAttrs.
func (n *node) Xattrs() ([]string, error) {
	buf := make([]byte, maxValue)
	k, err := unix.Listxattr(n.name(), buf)
	var names []string
	for name := range strings.SplitSeq(string(buf[:max(k, 0)]), "\x00") {
		if strings.HasPrefix(name, "user.") {
			names = append(names, name)
		}
	}
	return names, err
}

// SetXattr implements vfs.XAttrs.
func (n *node) SetXattr(string, []byte, int) error { return unix.EROFS }

// RemoveXattr implements vfs.XAttrs.
func (n *node) RemoveXattr(string) error { return unix.EROFS }

package mm

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// vsyscallLine is the last line of every x86-64 process's maps.
const vsyscallLine = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"

// nameColumn is where names start in maps.
const nameColumn = 73

// WriteMaps writes /proc/PID/maps, byte for byte as Linux 6.18 does.
func (mm *MemoryManager) WriteMaps(w io.Writer) error {
	mm.mappingMu.RLock()
	b := bufio.NewWriterSize(w, min(mm.vmas.Len()*128+512, 32<<10))
	for seg := range mm.vmas.All() {
		mm.writeMapsLine(b, seg)
	}
	mm.mappingMu.RUnlock()
	_, _ = b.WriteString(vsyscallLine) // a bufio.Writer keeps its first error for Flush
	return b.Flush()
}

// MapsLine returns the line that maps has for v, newline included.
func MapsLine(v VMAInfo) string {
	var line [256]byte
	return string(appendMapsLine(line[:0], &v))
}

func (mm *MemoryManager) writeMapsLine(b *bufio.Writer, seg vmaSeg) {
	info := mm.identify(seg)
	_, _ = b.Write(appendMapsLine(b.AvailableBuffer(), &info))
}

// appendMapsLine appends start-end perms offset major:minor inode name.
func appendMapsLine(b []byte, v *VMAInfo) []byte {
	start := len(b)
	b = appendHex(b, uint64(v.AR.Start), 8)
	b = append(b, '-')
	b = appendHex(b, uint64(v.AR.End), 8)
	b = append(b, ' ')
	b = append(b, v.Perms.String()...)
	if v.Private {
		b = append(b, "p "...)
	} else {
		b = append(b, "s "...)
	}
	b = appendHex(b, uint64(v.Offset), 8)
	b = append(b, ' ')
	b = appendHex(b, uint64(unix.Major(v.Device)), 2)
	b = append(b, ':')
	b = appendHex(b, uint64(unix.Minor(v.Device)), 2)
	b = append(b, ' ')
	b = fmt.Append(b, v.Inode)
	b = append(b, ' ')
	if v.Name != "" {
		for len(b)-start < nameColumn-1 {
			b = append(b, ' ')
		}
		b = append(b, ' ')
		b = append(b, escapeNewlines(v.Name)...)
	}
	return append(b, '\n')
}

// escapeNewlines does to a name what keeps maps one line a mapping.
func escapeNewlines(name string) string { return strings.ReplaceAll(name, "\n", `\012`) }

// appendHex appends n in lower-case hexadecimal, at least width digits.
func appendHex(b []byte, n uint64, width int) []byte {
	const digits = "0123456789abcdef"
	var buf [16]byte
	i := len(buf)
	for n > 0 || len(buf)-i < width {
		i--
		buf[i] = digits[n&15]
		n >>= 4
	}
	return append(b, buf[i:]...)
}

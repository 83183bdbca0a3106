package difftest

import (
	"regexp"
	"strings"
)

// A Mask makes a difference vanish that is no defect. Each has its reason.
type Mask func(string) string

var mapsLine = regexp.MustCompile(`(?m)^([0-9a-f]+-[0-9a-f]+ [-rwxps]{4} [0-9a-f]+ )([0-9a-f]{2,}:[0-9a-f]{2,}) (\d+)( +)(.*)$`)

// Inodes masks devices and inode numbers in lines of maps. Those of shared
// anonymous memory are counters of the host's.
func Inodes(s string) string {
	return mapsLine.ReplaceAllStringFunc(s, func(line string) string {
		m := mapsLine.FindStringSubmatch(line)
		if m[3] == "0" {
			return line
		}
		return m[1] + "DEV INODE " + m[5]
	})
}

// KernelPages drops the lines of maps that are the kernel's own: their number and
// size are the kernel's, ours has its own vdso.
func KernelPages(s string) string {
	var kept []string
	for _, l := range strings.SplitAfter(s, "\n") {
		if !strings.Contains(l, "[vvar") && !strings.Contains(l, "[vdso]") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "")
}

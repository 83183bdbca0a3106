package difftest

import (
	"regexp"
	"strconv"
	"strings"
)

// A Mask makes a difference vanish that is no defect. Each has its reason.
type Mask func(string) string

var mapsLine = regexp.MustCompile(`(?m)^( *[0-9a-f]+-[0-9a-f]+ [-rwxps]{4} [0-9a-f]+ )([0-9a-f]{2,}:[0-9a-f]{2,}) (\d+)( +)(.*)$`)

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

var unmeasured = regexp.MustCompile(`(?m)^((?:Referenced|KSM|Swap|SwapPss|ShmemPmdMapped|FilePmdMapped|THPeligible): +)\d+( kB)?$`)

// Unmeasured masks the numbers of smaps that need the processor's accessed bit, or
// features of the host that we have not: same-page merging, swap, huge pages.
//
// ProtectionKey is there only if the host's processor has such keys; ours has none.
func Unmeasured(s string) string {
	return unmeasured.ReplaceAllString(protectionKey.ReplaceAllString(s, ""), "${1}N$2")
}

var protectionKey = regexp.MustCompile(`(?m)^ProtectionKey: +\d+\n`)

var mapsFields = regexp.MustCompile(`^( *)([0-9a-f]+)-([0-9a-f]+) ([-rwxsp]{4}) ([0-9a-f]+) (.*)$`)

// Joined joins private neighbours in maps that could be one. Linux keeps apart
// what its reverse map of anonymous pages (anon_vma) cannot describe together: who
// wrote where first, before or after which fork. That map is not part of what a
// process asked for, and our engine has none.
func Joined(s string) string {
	var kept []string
	for _, l := range strings.Split(s, "\n") {
		if len(kept) > 0 {
			if one, ok := joinLines(kept[len(kept)-1], l, false); ok {
				kept[len(kept)-1] = one
				continue
			}
		}
		kept = append(kept, l)
	}
	return strings.Join(kept, "\n")
}

// join returns a and b, lines of maps, as one if b continues a.
func join(a, b string) (string, bool) {
	m, n := mapsFields.FindStringSubmatch(a), mapsFields.FindStringSubmatch(b)
	if m == nil || n == nil || m[3] != n[2] || m[4] != n[4] || m[6] != n[6] {
		return "", false
	}
	start, end, off, next := number(m[2]), number(m[3]), number(m[5]), number(n[5])
	anonymous := off == 0 && next == 0 && strings.HasPrefix(m[6], "00:00 0 ")
	if !anonymous && off+end-start != next {
		return "", false
	}
	return m[1] + m[2] + "-" + n[3] + " " + m[4] + " " + m[5] + " " + m[6], true
}

func number(hex string) uint64 {
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0 // no number of a line that mapsFields matches is longer
	}
	return v
}

package difftest

import (
	"regexp"
	"strconv"
	"strings"
)

// Apart makes two outputs of testdata/play.c comparable where Linux keeps private
// neighbours apart by the history of their pages (anon_vma, and the page offset that
// moved memory keeps): who wrote where first, before or after which fork or move. The
// engine has no such history. The mask is narrow: lines of want, the host's, become one
// only where got has one line for them. The other way round is a difference.
//
// In a child of fork neighbours that were kept apart by a lock only are one to us and two
// to Linux, which passes no lock on and merges nothing then: there shared ones join too,
// and after a call that a seal refused (Linux has split the range's ends by then) or
// MREMAP_DONTUNMAP (which unlocks what stays behind, and merges nothing).
//
// mremap alone answers by such boundaries. Where the host counted more mappings in its
// range than we, both outputs end before it, and apart is true. With a wide fault window
// (auto) memory has pages that nobody touched, and when moved keeps its offset: then the
// maps are left out, and it may be either way round.
func Apart(want, got string, auto bool) (_, _ string, apart bool) {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	i, j, children, unmerged := 0, 0, 0, false
	for ; i < len(w) && j < len(g); i, j = i+1, j+1 {
		if more := moreMappings(w[i], g[j]); more > 0 || auto && more < 0 {
			return strings.Join(out, "\n"), strings.Join(g[:j], "\n"), true
		}
		if g[j] == "fork" {
			children++
		} else if strings.HasPrefix(g[j], "child ") {
			children--
		}
		unmerged = unmerged || leavesUnmerged(g[j])
		one := w[i]
		for one != g[j] && i+1 < len(w) && !sameEnd(one, g[j]) {
			joined, ok := joinLines(one, w[i+1], children > 0 || unmerged)
			if !ok {
				break
			}
			one = joined
			i++
		}
		if alike(one, g[j], one != w[i]) {
			one = g[j]
		}
		out = append(out, one)
	}
	out = append(out, w[min(i, len(w)):]...)
	return strings.Join(out, "\n"), got, false
}

// leavesUnmerged says whether a call may have left what Linux does not merge.
func leavesUnmerged(line string) bool {
	f := strings.Fields(line)
	return strings.HasSuffix(line, " = EPERM") || len(f) > 4 && f[0] == "mremap" && (f[4] == "5" || f[4] == "7")
}

var mremapped = regexp.MustCompile(`^(mremap .*) of (\d+) = `)

// moreMappings returns how many more mappings the host's mremap met than ours.
func moreMappings(want, got string) int {
	w, g := mremapped.FindStringSubmatch(want), mremapped.FindStringSubmatch(got)
	if w == nil || g == nil || w[1] != g[1] {
		return 0
	}
	a, _ := strconv.Atoi(w[2])
	b, _ := strconv.Atoi(g[2])
	return a - b
}

var lineRange = regexp.MustCompile(`^(?:smaps |  )([0-9a-f]+)-([0-9a-f]+) `)

// sameEnd says whether two lines of maps or smaps end at the same address, or are none.
func sameEnd(a, b string) bool {
	m, n := lineRange.FindStringSubmatch(a), lineRange.FindStringSubmatch(b)
	return m == nil || n == nil || m[2] == n[2]
}

// joinLines returns two lines of maps or smaps as one. Of shared memory only if shared.
func joinLines(a, b string, shared bool) (string, bool) {
	switch {
	case sharedLine.MatchString(a) && !shared:
		return "", false
	case strings.HasPrefix(a, "smaps "):
		return joinSmaps(a, b)
	}
	return join(a, b)
}

var sharedLine = regexp.MustCompile(`^(?:smaps |  )[0-9a-f]+-[0-9a-f]+ [-rwx]{3}s`)

var smapsLine = regexp.MustCompile(`^smaps ([0-9a-f]+)-([0-9a-f]+) ([-rwx]{3}[sp])((?: [A-Za-z_]+:\d+)*) (VmFlags: .*)$`)

// joinSmaps adds the numbers of two lines up, in the order in which smaps has them.
func joinSmaps(a, b string) (string, bool) {
	m, n := smapsLine.FindStringSubmatch(a), smapsLine.FindStringSubmatch(b)
	if m == nil || n == nil || m[2] != n[1] || m[3] != n[3] || withoutHistory(m[5]) != withoutHistory(n[5]) {
		return "", false
	}
	sums := map[string]int{}
	for _, field := range strings.Fields(m[4] + n[4]) {
		name, v, _ := strings.Cut(field, ":")
		kb, _ := strconv.Atoi(v)
		sums[name] += kb
	}
	line := "smaps " + m[1] + "-" + n[2] + " " + m[3]
	for _, name := range smapsFields {
		if kb := sums[name]; kb > 0 {
			line += " " + name + ":" + strconv.Itoa(kb)
		}
	}
	return line + " " + m[5], true
}

// smapsFields are the numbers that play.c prints, in smaps's order.
var smapsFields = []string{"Rss", "Pss", "Pss_Dirty", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Anonymous", "AnonHugePages", "Shared_Hugetlb", "Private_Hugetlb", "Locked"}

var pss = regexp.MustCompile(` (Pss|Pss_Dirty|Locked):\d+`)

// alike says whether two lines of smaps differ in nothing but proportional sizes, which
// are rounded down for each line, if one is joined, and history.
func alike(a, b string, joined bool) bool {
	if joined {
		a, b = pss.ReplaceAllString(a, ""), pss.ReplaceAllString(b, "")
	}
	return strings.HasPrefix(a, "smaps ") && withoutHistory(a) == withoutHistory(b)
}

// withoutHistory takes the letters off VmFlags that tell what was once: that a guard
// region was installed ("gu"), that memory which cannot be written was written ("ac").
// Linux has them of a mapping if a part of it had them before it was split off or became
// one with others, we if the first part had, or still has such pages.
func withoutHistory(flags string) string {
	return history.ReplaceAllString(flags, "")
}

var history = regexp.MustCompile(` (gu|ac)\b`)

var residence = regexp.MustCompile(`(?m)^(smaps [0-9a-f]+-|core |blocks |  ).*\n`)

// withoutResidence drops the lines that tell what is resident, and the maps.
func withoutResidence(s string) string { return residence.ReplaceAllString(s, "") }

package mm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// explainWatched explains what a userfaultfd makes of an access that the vma allows, and
// reports whether that decides.
func (mm *MemoryManager) explainWatched(e *Explanation, seg vmaSeg) bool {
	v := &seg.Value
	m, _ := mm.markAt(e.Addr.Page())
	if m&markPoisoned != 0 {
		e.fail(memmap.IOError, unix.SIGBUS, busAdrErr, Rule{
			Text: fmt.Sprintf("the page at %v can be read: it is poisoned (UFFDIO_POISON)", e.Addr.RoundDown()),
			Fix:  fmt.Sprintf("madvise %v,4k dontneed", e.Addr.RoundDown()),
		})
		return true
	}
	_, there := mm.pmas.Find(e.Addr)
	if what := mm.toldOf(seg, e.Addr); !there && what != "" {
		return e.told(v.uffd, "no page is there, and a userfaultfd watches %v for "+what+" pages", seg.Range)
	}
	if m&markProtected == 0 || !e.At.Write {
		return false
	}
	if v.uffd.has(FeatureWPAsync) {
		e.pass(0, "a userfaultfd write-protects the page; the write ends that, and nobody is told (UFFD_FEATURE_WP_ASYNC)")
		return false
	}
	return e.told(v.uffd, "a userfaultfd write-protects the page, in %v", seg.Range)
}

// toldOf says of what kind of fault at addr, where no page is, a userfaultfd is told: ""
// if of none.
func (mm *MemoryManager) toldOf(seg vmaSeg, addr memmap.Addr) string {
	flags := seg.Value.flags
	if flags&(flagMissing|flagMinor) == 0 {
		return ""
	}
	s := seg.Value.sparse()
	if s == nil {
		return "missing"
	}
	switch there, within := pageOf(s, seg, addr.RoundDown()); {
	case within && there && flags&flagMinor != 0:
		return "minor"
	case within && !there && flags&flagMissing != 0:
		return "missing"
	}
	return ""
}

// told ends an explanation: u is told, and the access waits, or is refused.
func (e *Explanation) told(u *Userfault, format string, args ...any) bool {
	text := fmt.Sprintf(format, args...)
	if u.has(FeatureSigbus) {
		e.fail(memmap.UserFault, unix.SIGBUS, busAdrErr, Rule{Text: text + " (UFFD_FEATURE_SIGBUS)"})
		return true
	}
	e.pass(0, "%s: it is told, and the access waits for its answer", text)
	e.Cause = memmap.UserFault
	return true
}

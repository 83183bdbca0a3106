package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// What programs say of their memory: madvise, mseal, names, policies.

// shownAdvice is what the model follows of a mapping's flags.
const shownAdvice = mm.DontFork | mm.WipeOnFork | mm.DontDump | mm.RandomRead | mm.Sequential | mm.Mergeable | mm.Sealed

// modelAdvice is what one madvise does to a page; discards says that sealed memory may
// refuse it.
type modelAdvice struct {
	which    int
	discards bool
	do       func(*player, *modelPage) error
}

var modelAdvices = []modelAdvice{
	{unix.MADV_DONTFORK, true, setAdvice(mm.DontFork, 0)},
	{unix.MADV_DOFORK, false, setAdvice(0, mm.DontFork)},
	{unix.MADV_WIPEONFORK, true, func(pl *player, q *modelPage) error {
		if q.src != nil {
			return unix.EINVAL
		}
		return setAdvice(mm.WipeOnFork, 0)(pl, q)
	}},
	{unix.MADV_KEEPONFORK, false, setAdvice(0, mm.WipeOnFork)},
	{unix.MADV_DONTDUMP, false, setAdvice(mm.DontDump, 0)},
	{unix.MADV_DODUMP, false, setAdvice(0, mm.DontDump)},
	{unix.MADV_RANDOM, false, setAdvice(mm.RandomRead, mm.Sequential)},
	{unix.MADV_SEQUENTIAL, false, setAdvice(mm.Sequential, mm.RandomRead)},
	{unix.MADV_NORMAL, false, setAdvice(0, mm.RandomRead|mm.Sequential)},
	{unix.MADV_MERGEABLE, false, func(pl *player, q *modelPage) error {
		if !q.private {
			return nil
		}
		return setAdvice(mm.Mergeable, 0)(pl, q)
	}},
	{unix.MADV_UNMERGEABLE, false, setAdvice(0, mm.Mergeable)},
	{unix.MADV_COLD, false, unlocked(func(*player, *modelPage) error { return nil })},
	{unix.MADV_DONTNEED_LOCKED, true, func(_ *player, q *modelPage) error { q.drop(); return nil }},
	{mm.MadvGuardInstall, true, unlocked(func(_ *player, q *modelPage) error { q.drop(); q.guard = true; return nil })},
	{mm.MadvGuardInstall, true, unlocked(func(_ *player, q *modelPage) error { q.drop(); q.guard = true; return nil })},
	{mm.MadvGuardRemove, false, func(_ *player, q *modelPage) error { q.guard = false; return nil }},
	{unix.MADV_FREE, true, unlocked(func(pl *player, q *modelPage) error {
		if q.src != nil {
			return unix.EINVAL
		}
		pl.p.lazy = true
		return nil
	})},
	{unix.MADV_REMOVE, true, unlocked((*player).punch)},
}

func setAdvice(set, clear mm.VMAAdvice) func(*player, *modelPage) error {
	return func(_ *player, q *modelPage) error { q.advice = q.advice&^clear | set; return nil }
}

// unlocked is advice that locked memory refuses.
func unlocked(do func(*player, *modelPage) error) func(*player, *modelPage) error {
	return func(pl *player, q *modelPage) error {
		if q.lock != memmap.MLockNone {
			return unix.EINVAL
		}
		return do(pl, q)
	}
}

// punch takes the page that q maps out of its file.
func (pl *player) punch(q *modelPage) error {
	switch {
	case q.src == nil:
		return unix.EINVAL
	case q.private || !q.max.Write:
		return unix.EACCES
	case q.src.file != nil:
		return unix.EOPNOTSUPP
	case q.off >= len(q.src.data):
		return nil
	}
	q.src.write(q.off, 0, zeroes)
	pl.each(q.src, q.off, q.off+1, func(q *modelPage) {
		if q.frame == nil {
			q.drop()
		}
	})
	return nil
}

// keepsContents reports whether q is sealed so that its contents may not go.
func (q *modelPage) keepsContents() bool {
	return q.advice.Has(mm.Sealed) && q.src == nil && !q.perms.Write
}

func (m *modelProcess) sealedIn(first, n int) bool {
	for i := first; i < min(first+n, arenaLen); i++ {
		if q := m.pages[i]; q != nil && q.advice.Has(mm.Sealed) {
			return true
		}
	}
	return false
}

// whole reports whether all of n pages are mapped.
func (m *modelProcess) whole(first, n int) bool {
	for i := first; i < first+n; i++ {
		if m.pages[i] == nil {
			return false
		}
	}
	return true
}

// advise goes over holes, which are ENOMEM in the end, and stops at what refuses.
func (pl *player) advise(a [6]int) {
	first, n := span(a[0], a[1])
	advice := modelAdvices[a[2]%len(modelAdvices)]
	var want error
	for i := first; i < first+n; i++ {
		q := pl.p.pages[i]
		if q == nil {
			want = unix.ENOMEM
			continue
		}
		refused := error(unix.EPERM)
		if !advice.discards || !q.keepsContents() {
			refused = advice.do(pl, q)
		}
		if refused != nil {
			want = refused
			break
		}
	}
	pl.errno("madvise", pl.p.mm.MAdvise(pl.by, addrOf(first), uint64(n)*page, advice.which), want)
}

// populateAdvice is MADV_POPULATE_READ and MADV_POPULATE_WRITE.
func (pl *player) populateAdvice(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	which, at := unix.MADV_POPULATE_READ, memmap.Read
	if a[2]%2 == 0 {
		which, at = unix.MADV_POPULATE_WRITE, memmap.Write
	}
	var want error
	for i := first; i < first+n && want == nil; i++ {
		switch q := p.pages[i]; {
		case q == nil:
			want = unix.ENOMEM
		case !q.perms.SupersetOf(at):
			want = unix.EINVAL
		case q.guard, p.traps[i].At.Intersect(at).Any(), p.bring(q, at) != fine:
			want = unix.EFAULT
		}
	}
	pl.errno("populate", p.mm.MAdvise(pl.by, addrOf(first), uint64(n)*page, which), want)
}

func (pl *player) seal(a [6]int) {
	p := pl.p
	first, n := span(a[0], 1+a[1]%3)
	var want error
	if !p.whole(first, n) {
		want = unix.ENOMEM
	}
	if pl.errno("mseal", p.mm.MSeal(pl.by, addrOf(first), uint64(n)*page), want); want != nil {
		return
	}
	for i := first; i < first+n; i++ {
		p.pages[i].advice |= mm.Sealed
	}
}

// rename is PR_SET_VMA_ANON_NAME.
func (pl *player) rename(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	names := []string{"", "one", "two"}
	name := &names[a[2]%len(names)]
	if *name == "" {
		name = nil
	}
	var want error
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if q == nil {
			want = unix.ENOMEM
			continue
		}
		if q.src != nil && q.src.file != nil {
			want = unix.EBADF
			break
		}
		q.name = names[a[2]%len(names)]
	}
	pl.errno("prctl", p.mm.SetAnonName(pl.by, addrOf(first), uint64(n)*page, name), want)
}

// policies are what bind chooses from.
var policies = []*mm.Policy{
	nil,
	must(mm.NewPolicy("mbind", mm.PolicyBind, mm.OurNodes())),
	must(mm.NewPolicy("mbind", mm.PolicyInterleave, mm.OurNodes())),
}

// bind is mbind of what has no holes.
func (pl *player) bind(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	policy := policies[a[2]%len(policies)]
	if !p.whole(first, n) {
		return
	}
	pl.errno("mbind", p.mm.SetPolicy(pl.by, addrOf(first), uint64(n)*page, policy, false), nil)
	for i := first; i < first+n; i++ {
		p.pages[i].policy = policy
	}
}

// clearSoftDirty is clear_refs 4: afterwards no page is soft-dirty.
func (pl *player) clearSoftDirty([6]int) {
	p := pl.p
	p.mm.ClearSoftDirty(pl.by)
	for _, q := range p.pages {
		if q != nil {
			q.dirty = false
		}
	}
	for i, entry := range p.mm.Pagemap(p.mm.All()) {
		if entry&mm.PagemapSoftDirty != 0 {
			wrong("page %d is soft-dirty after clear_refs", i)
		}
	}
}

// checkPagemap compares guard regions and what must be soft-dirty.
func (p *process) checkPagemap(n int) {
	for i, entry := range p.mm.Pagemap(p.mm.All()) {
		q := p.pages[i]
		switch guard := entry&mm.PagemapGuard == mm.PagemapGuard; {
		case guard != (q != nil && q.guard):
			wrong("process %d: page %d is a guard region: %v, want %v", n, i, guard, !guard)
		case entry&mm.PagemapProtected != 0 != (q != nil && q.protected):
			wrong("process %d: page %d is protected by a userfaultfd: %v, want %v", n, i, q == nil || !q.protected, q != nil && q.protected)
		case q != nil && q.dirty && entry&mm.PagemapSoftDirty == 0:
			wrong("process %d: page %d was written and is not soft-dirty", n, i)
		}
	}
}

package procfs

import (
	"bytes"
	"fmt"
	"strings"

	"mmsh.dev/mmsh/sentry/vfs"
)

// status is proc_pid_status(5). Of Linux's lines those are left out that speak of
// what a guest's world has not: cgroups, page tables of its own, the scheduler.
func (p *process) status() ([]byte, error) {
	var b bytes.Buffer
	p.writeIdentity(&b)
	if p.p.MM() != nil {
		p.writeSizes(&b)
	}
	fmt.Fprintf(&b, "Threads:\t%d\n", len(p.p.Tasks()))
	p.writeSignals(&b)
	c := p.owner
	fmt.Fprintf(&b, "CapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nCapBnd:\t%016x\nCapAmb:\t%016x\n",
		c.Inheritable, c.Permitted, c.Effective, c.Bounding, c.Ambient)
	fmt.Fprintf(&b, "NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n")
	return b.Bytes(), nil
}

func (p *process) writeIdentity(b *bytes.Buffer) {
	letter, word := p.state()
	slots := 64 // Linux's table begins with them, and doubles
	p.p.FDs().Each(func(fd int32, _ *vfs.Description, _ bool) {
		for slots <= int(fd) {
			slots *= 2
		}
	})
	groups := make([]string, len(p.owner.Groups))
	for i, g := range p.owner.Groups {
		groups[i] = fmt.Sprint(g) + " "
	}
	c, pid := p.owner, p.p.PID()
	fmt.Fprintf(b, "Name:\t%s\nUmask:\t%04o\nState:\t%c (%s)\n", escape(p.name()), p.p.Context().Mask(), letter, word)
	fmt.Fprintf(b, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", pid, p.id(), p.p.PPID())
	fmt.Fprintf(b, "Uid:\t%d\t%d\t%d\t%d\n", c.UID, c.EUID, c.SUID, c.FSUID)
	fmt.Fprintf(b, "Gid:\t%d\t%d\t%d\t%d\n", c.GID, c.EGID, c.SGID, c.FSGID)
	fmt.Fprintf(b, "FDSize:\t%d\nGroups:\t%s \n", slots, strings.Join(groups, ""))
	fmt.Fprintf(b, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\nKthread:\t0\n", pid, p.id(), p.p.PGID(), p.p.SID())
}

// writeSizes writes the lines Vm* and Rss*, in kB.
func (p *process) writeSizes(b *bytes.Buffer) {
	s := p.sizes()
	for _, line := range []struct {
		name  string
		bytes uint64
	}{
		{"VmPeak", s.MaxVirtual}, {"VmSize", s.Virtual}, {"VmLck", s.Locked}, {"VmPin", s.Pinned},
		{"VmHWM", s.MaxRSS}, {"VmRSS", s.RSS},
		{"RssAnon", s.RSSAnon}, {"RssFile", s.RSSFile}, {"RssShmem", s.RSSShmem},
		{"VmData", s.data}, {"VmStk", s.stack}, {"VmExe", s.code}, {"VmLib", s.allCode - s.code},
		{"VmSwap", 0}, {"HugetlbPages", 0},
	} {
		fmt.Fprintf(b, "%s:\t%8d kB\n", line.name, line.bytes>>10)
	}
	fmt.Fprintf(b, "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n")
}

func (p *process) writeSignals(b *bytes.Buffer) {
	s := p.signals()
	fmt.Fprintf(b, "SigQ:\t0/%d\n", p.p.Limits()[rlimitSigPending].Cur)
	fmt.Fprintf(b, "SigPnd:\t%016x\nShdPnd:\t%016x\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n",
		uint64(s.pending), 0, uint64(s.blocked), uint64(s.ignored), uint64(s.caught))
}

// escape keeps a name on its line, as Linux does.
func escape(name string) string {
	return strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(name)
}

package loader

// AuxEntry is an entry of the auxiliary vector.
type AuxEntry struct {
	Type, Value uint64
}

// Types of entries: AT_*, include/uapi/linux/auxvec.h.
const (
	atPhdr            = 3
	atPhent           = 4
	atPhnum           = 5
	atPagesz          = 6
	atBase            = 7
	atFlags           = 8
	atEntry           = 9
	atUID             = 11
	atEUID            = 12
	atGID             = 13
	atEGID            = 14
	atPlatform        = 15
	atHWCap           = 16
	atClktck          = 17
	atSecure          = 23
	atRandom          = 25
	atHWCap2          = 26
	atRseqFeatureSize = 27
	atRseqAlign       = 28
	atExecfn          = 31
	atSysinfoEhdr     = 33
	atMinSigStackSize = 51
)

// maxAuxv is the most entries that auxv returns.
const maxAuxv = 22

// What Linux 6.18 says of things that do not vary.
const (
	clockTicks      = 100 // a second: USER_HZ
	rseqFeatureSize = 28
	rseqAlign       = 32
	pageSize        = 4096
)

// auxv returns the auxiliary vector in the order of Linux's create_elf_tables.
func (l *loading) auxv(s *stack) []AuxEntry {
	var v []AuxEntry
	add := func(kind, value uint64) { v = append(v, AuxEntry{kind, value}) }
	if l.vdso != 0 {
		add(atSysinfoEhdr, uint64(l.vdso))
	}
	add(atMinSigStackSize, l.o.MinSigStack)
	add(atHWCap, l.o.HWCap)
	add(atPagesz, pageSize)
	add(atClktck, clockTicks)
	add(atPhdr, uint64(l.phdr))
	add(atPhent, progSize)
	add(atPhnum, uint64(l.p.headers))
	add(atBase, 0)
	add(atFlags, 0)
	add(atEntry, uint64(l.img.entry))
	add(atUID, uint64(l.o.UID))
	add(atEUID, uint64(l.o.EUID))
	add(atGID, uint64(l.o.GID))
	add(atEGID, uint64(l.o.EGID))
	add(atSecure, 0)
	add(atRandom, uint64(s.random))
	add(atHWCap2, l.o.HWCap2)
	add(atExecfn, uint64(s.execfn))
	add(atPlatform, uint64(s.platform))
	add(atRseqFeatureSize, rseqFeatureSize)
	add(atRseqAlign, rseqAlign)
	return v
}

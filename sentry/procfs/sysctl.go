package procfs

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pgalloc"
)

// knobs are the settings of /proc/sys/vm that root may write. One of ratio and kbytes
// counts: who writes one sets the other to 0, as on Linux.
var knobs = map[string]struct {
	get      func(pgalloc.Overcommit) int64
	set      func(*pgalloc.Overcommit, int64)
	min, max int64
}{
	"sys/vm/overcommit_memory": {
		get: func(o pgalloc.Overcommit) int64 { return int64(o.Mode) },
		set: func(o *pgalloc.Overcommit, n int64) { o.Mode = pgalloc.OvercommitMode(n) },
		max: int64(pgalloc.OvercommitNever),
	},
	"sys/vm/overcommit_ratio": {
		get: func(o pgalloc.Overcommit) int64 { return int64(o.Ratio) },
		set: func(o *pgalloc.Overcommit, n int64) { o.Ratio, o.KBytes = int32(n), 0 },
		min: math.MinInt32, max: math.MaxInt32,
	},
	"sys/vm/overcommit_kbytes": {
		get: func(o pgalloc.Overcommit) int64 { return int64(o.KBytes) },
		set: func(o *pgalloc.Overcommit, n int64) { o.Ratio, o.KBytes = 0, uint64(n) },
		max: math.MaxInt64,
	},
}

// showKnob is the text of the setting at path.
func (fs *FS) showKnob(path string) []byte {
	return fmt.Appendln(nil, knobs[path].get(fs.kernel.Config().Memory.Overcommit()))
}

// setKnob changes the setting at path to the first number in text: EINVAL.
func (fs *FS) setKnob(path string, text []byte) error {
	k := knobs[path]
	words := strings.Fields(strings.TrimRight(string(text[:min(len(text), 128)]), "\x00"))
	if len(words) == 0 {
		return fmt.Errorf("%w: no number", unix.EINVAL)
	}
	n, err := strconv.ParseInt(words[0], 0, 64)
	if err != nil || n < k.min || n > k.max {
		return fmt.Errorf("%w: %q is no number from %d to %d", unix.EINVAL, words[0], k.min, k.max)
	}
	mem := fs.kernel.Config().Memory
	o := mem.Overcommit()
	k.set(&o, n)
	mem.SetOvercommit(o)
	return nil
}

// meminfo is /proc/meminfo, in kB: those of Linux's lines that mean something here. No page is
// swapped or aged.
func (fs *FS) meminfo() []byte {
	mem := fs.kernel.Config().Memory
	s := mem.Stats()
	cached := s.Allocated[pgalloc.PageCache]
	free := s.RAM - min(s.RAM, s.Total)
	var b []byte
	for _, line := range []struct {
		name  string
		bytes uint64
	}{
		{"MemTotal", s.RAM}, {"MemFree", free}, {"MemAvailable", free + cached},
		{"Buffers", 0}, {"Cached", cached + s.Allocated[pgalloc.Shmem]}, {"SwapCached", 0},
		{"SwapTotal", 0}, {"SwapFree", 0},
		{"AnonPages", s.Allocated[pgalloc.Anonymous]}, {"Shmem", s.Allocated[pgalloc.Shmem]},
		{"CommitLimit", mem.CommitLimit()}, {"Committed_AS", s.Committed},
	} {
		b = fmt.Appendf(b, "%-15s %8d kB\n", line.name+":", line.bytes>>10)
	}
	return append(b, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\n"...)
}

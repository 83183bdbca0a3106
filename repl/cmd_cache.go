package repl

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

// sharedFile is the setup of the examples: a file of memory of three pages, one of them
// written through a mapping.
const sharedFile = "open /dev/shm/a rw create; truncate /dev/shm/a 12k; mmap 12k rw shared file /dev/shm/a; touch $_,4k w"

func cacheCommands() []*Command {
	return []*Command{
		{
			Name: "cache", Group: "files", Synopsis: "[FILE]", Summary: "files whose pages are in memory; with FILE which pages, dirty or not, and who maps them",
			Help: "FILE is a path as the current process would follow it, or a name that `cache` has printed. READS is how often pages were brought in. " +
				"Dirty pages that a mapping may be writing are kept dirty when they are written back. " +
				"With --file-cache host the pages of the host's files are the host's own: shown is what guests map of them.",
			Examples: []Example{
				{Setup: sharedFile, Line: "cache", Shows: "a row a file"},
				{Setup: sharedFile, Line: "cache /dev/shm/a", Shows: "one page, mapped by one"},
			},
			Data: []view.Value{view.Cache{}, view.CachedPages{}}, Complete: []hint{hintCached}, See: true, Run: runCache,
		},
		{
			Name: "dirty", Group: "files", Summary: "what is not written back yet, and what failed to be written",
			Help:     "Files of memory have nothing behind them and are never dirty.",
			Examples: []Example{{Setup: sharedFile, Line: "dirty", Shows: "nothing: it is a file of memory"}},
			Data:     []view.Value{view.Dirty{}}, See: true, Run: runDirty,
		},
		{
			Name: "sync", Group: "files", Synopsis: "[FILE]", Summary: "write out all files, or one, as sync(2) and fsync(2)",
			Help:     "What a mapping may be writing is written and stays dirty: `writeback` makes it clean.",
			Examples: []Example{{Line: "sync", Shows: "all"}, {Setup: sharedFile, Line: "sync /dev/shm/a", Shows: "one; a file of memory has nowhere to be written"}},
			Data:     []view.Value{view.FileChanges{}}, Complete: []hint{hintCached}, Run: runSync,
		},
		{
			Name: "truncate", Group: "files", Synopsis: "FILE SIZE", Summary: "make a file shorter or longer, as truncate(2)",
			Help:     "Pages beyond the new end go, from all mappings and with the copies that private ones have made.",
			Examples: []Example{{Setup: sharedFile + "; let a = $_", Line: "truncate /dev/shm/a 0; expect fault $a w -> beyond-eof SIGBUS BUS_ADRERR", Shows: "a mapping of what is gone"}},
			Data:     []view.Value{view.FileChanges{}}, Complete: []hint{hintCached, hintNumber}, Run: runTruncate,
		},
		{
			Name: "writeback", Group: "files", Synopsis: "FILE", Summary: "write a file's dirty pages back and make them clean",
			Help:     "Who maps them for writing has to ask again: the next write is an upgrade fault.",
			Examples: []Example{{Setup: sharedFile, Line: "writeback /dev/shm/a", Shows: "nothing is dirty"}},
			Data:     []view.Value{view.FileChanges{}}, Complete: []hint{hintCached}, Run: runWriteback,
		},
		{
			Name: "evict", Group: "files", Synopsis: "FILE|RANGE", Summary: "drop cached pages, the dirty ones once they are written back",
			Help:     "RANGE means the files' pages that are mapped there. Private copies and files of memory have nowhere to go and stay.",
			Examples: []Example{{Setup: "demo hello", Line: "evict _start,4k", Shows: "code goes; it is read again when it is run"}, {Setup: sharedFile, Line: "expect error ENOTSUP evict /dev/shm/a", Shows: "it has nowhere to go"}},
			Data:     []view.Value{view.FileChanges{}}, Complete: []hint{hintCached}, Run: runEvict,
		},
	}
}

// cachedFile finds the FILE of word i.
func (c *call) cachedFile(i int) (debugger.CachedFile, error) {
	name, err := c.args[i].Value()
	if err != nil {
		return debugger.CachedFile{}, err
	}
	return c.s.d.FindCached(0, name)
}

// nameOf is what a file is called: one that nobody has opened by a name has none.
func nameOf(f debugger.CachedFile) string {
	if f.Name == "" {
		return fmt.Sprintf("%s:%d", device(f.Device), f.Inode)
	}
	return f.Name
}

func viewCached(f debugger.CachedFile, runs []memmap.CachedRun) view.CachedFile {
	v := view.CachedFile{Name: nameOf(f), Kind: "memory", Dev: device(f.Device), Inode: f.Inode, Cached: cachedBytes(runs), Mappings: countMappings(runs)}
	v.Size, _ = f.Pages.Length() // 0 if what is behind it cannot be asked
	v.Dirty, _ = debugger.Dirty(runs)
	if f.Backed != nil && f.Backed.OfHost() {
		v.Kind = "host"
	} else if f.Backed != nil {
		v.Kind, v.Reads = "file", f.Backed.Reads()
		if err := f.Backed.LastError(); err != nil {
			v.Error = err.Error()
		}
	}
	return v
}

// countMappings counts the mappings of the runs; one that maps several is one.
func countMappings(runs []memmap.CachedRun) int {
	type place struct {
		space    memmap.MappingSpace
		distance memmap.Addr
		writable bool
	}
	seen := map[place]bool{}
	for _, r := range runs {
		for _, m := range r.Maps {
			seen[place{m.Space, m.AR.Start - memmap.Addr(m.MR.Start), m.Writable}] = true
		}
	}
	return len(seen)
}

func runCache(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	if len(c.args) == 1 {
		f, err := c.cachedFile(0)
		if err != nil {
			return nil, err
		}
		return c.s.viewPages(f), nil
	}
	v := view.Cache{Rows: []view.CachedFile{}}
	for _, f := range c.s.d.CachedFiles() {
		v.Rows = append(v.Rows, viewCached(f, f.Pages.Runs()))
	}
	return v, nil
}

func (s *Session) viewPages(f debugger.CachedFile) view.CachedPages {
	runs := f.Pages.Runs()
	v := view.CachedPages{File: viewCached(f, runs), Runs: []view.CachedRun{}}
	for _, r := range runs {
		v.Runs = append(v.Runs, s.viewRun(r))
	}
	return v
}

func (s *Session) viewRun(r memmap.CachedRun) view.CachedRun {
	v := view.CachedRun{
		Offset: view.Addr(r.Pages.Start), Length: r.Pages.Length(), Dirty: r.Dirty, Kept: r.Dirty && r.Keep,
		Refs: []view.Refs{}, Maps: []view.Mapper{},
	}
	if r.HostRefs > 0 {
		v.Refs = append(v.Refs, view.Refs{Pages: v.Length / memmap.PageSize, Refs: r.HostRefs})
	} else {
		at := view.Addr(r.In.Start)
		v.Memory, v.Refs = &at, s.memoryRefs(r.In)
	}
	for _, m := range r.Maps {
		v.Maps = append(v.Maps, view.Mapper{
			PID: s.d.PIDOf(m.Space), Addr: view.Addr(m.AR.Start), Offset: view.Addr(m.MR.Start), Length: m.MR.Length(), Writable: m.Writable,
		})
	}
	return v
}

// memoryRefs returns the reference counts of pages of guest memory.
func (s *Session) memoryRefs(fr memmap.FileRange) []view.Refs {
	all := []view.Refs{}
	for u := range s.config.Memory.Refs(fr) {
		pages := u.Length() / memmap.PageSize
		if n := len(all); n > 0 && all[n-1].Refs == u.Refs {
			all[n-1].Pages += pages
			continue
		}
		all = append(all, view.Refs{Pages: pages, Refs: u.Refs})
	}
	return all
}

// walkCache is the step of walk from a file's offset to its cached page; nil if at
// maps no file whose pages can be looked at.
func (s *Session) walkCache(at place) *view.CacheStep {
	page := at.addr.Page()
	parts, err := s.d.CachedIn(at.pid, page)
	if err != nil || len(parts) == 0 {
		return nil
	}
	f := parts[0]
	off := f.Range.Start
	v := &view.CacheStep{File: nameOf(f.CachedFile), Offset: view.Addr(off), Found: "hole"}
	if f.Backed != nil && f.Backed.OfHost() {
		v.Found = "host"
	}
	if size, err := f.Pages.Length(); err == nil && uint64(off) >= size {
		v.Found = "beyond-eof"
	}
	for _, r := range f.Pages.Runs() {
		if !r.Pages.Contains(off) {
			continue
		}
		run := s.viewRun(onlyPage(r, off))
		if v.Page = &run; v.Found == "hole" {
			v.Found = "cached"
		}
	}
	return v
}

// onlyPage returns the page of r at off.
func onlyPage(r memmap.CachedRun, off memmap.MappableOffset) memmap.CachedRun {
	one := r
	one.Pages = memmap.MappableRange{Start: off, End: off + memmap.PageSize}
	one.In.Start += memmap.FileOffset(off - r.Pages.Start)
	one.In.End = one.In.Start + memmap.PageSize
	one.Maps = nil
	for _, m := range r.Maps {
		if m.MR.Contains(off) {
			m.AR.Start += memmap.Addr(off - m.MR.Start)
			m.MR, m.AR.End = one.Pages, m.AR.Start+memmap.PageSize
			one.Maps = append(one.Maps, m)
		}
	}
	return one
}

func runDirty(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	v := view.Dirty{Rows: []view.Unwritten{}}
	unused := map[*pagecache.File]bool{}
	if cache := c.s.d.Cache(); cache != nil {
		for _, f := range cache.Unwritten() {
			unused[f] = true
		}
	}
	for _, f := range c.s.d.CachedFiles() {
		runs := f.Pages.Runs()
		row := view.Unwritten{Name: nameOf(f), Unused: unused[f.Backed], Ranges: []view.Span{}}
		row.Dirty, row.Kept = debugger.Dirty(runs)
		if f.Backed != nil && f.Backed.LastError() != nil {
			row.Error, row.Tries = f.Backed.LastError().Error(), f.Backed.LastTries()
		}
		if row.Dirty == 0 && !row.Unused && row.Error == "" {
			continue
		}
		for _, r := range runs {
			if r.Dirty {
				row.Ranges = append(row.Ranges, view.Span{Offset: view.Addr(r.Pages.Start), Length: r.Pages.Length()})
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// changed describes f after a command.
func changed(f debugger.CachedFile, did string, bytes uint64, detail string) view.FileChange {
	runs := f.Pages.Runs()
	v := view.FileChange{Name: nameOf(f), Did: did, Bytes: bytes, Cached: cachedBytes(runs), Detail: detail}
	v.Dirty, _ = debugger.Dirty(runs)
	return v
}

// evicted drops what of f's pages in mr can go.
func evicted(f debugger.CachedFile, mr memmap.MappableRange) view.FileChange {
	n, detail := f.Backed.EvictRange(mr), ""
	if f.Backed.OfHost() {
		detail = "its pages are the host's: only mappings of them went"
	}
	return changed(f, "evicted", n, detail)
}

// nowhere says of a file that there is nothing behind its pages.
const nowhere = "a file of memory has nothing behind it"

func runSync(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	v := view.FileChanges{Rows: []view.FileChange{}, None: "nothing was dirty"}
	if len(c.args) == 1 {
		f, err := c.cachedFile(0)
		if err != nil {
			return nil, err
		}
		row, err := syncFile(f)
		v.Rows = append(v.Rows, row)
		return v, err
	}
	dirty := map[*pagecache.File]uint64{}
	cache := c.s.d.Cache()
	if cache == nil {
		return nil, debugger.ErrNoProcess
	}
	files := c.s.d.CachedFiles()
	for _, f := range files {
		if f.Backed != nil {
			dirty[f.Backed] = f.Backed.Dirty()
		}
	}
	err := cache.Sync()
	for _, f := range files {
		if n := dirty[f.Backed]; f.Backed != nil && n > 0 && err == nil {
			v.Rows = append(v.Rows, changed(f, "synced", n, ""))
		}
	}
	return v, err
}

func syncFile(f debugger.CachedFile) (view.FileChange, error) {
	if f.Backed == nil {
		return changed(f, "synced", 0, nowhere), nil
	}
	n := f.Backed.Dirty()
	if err := f.Backed.WriteOut(); err != nil {
		return changed(f, "synced", 0, ""), fmt.Errorf("%s: %w", nameOf(f), err)
	}
	return changed(f, "synced", n, ""), nil
}

func runTruncate(c *call) (view.Value, error) {
	if err := c.count(2, 2); err != nil {
		return nil, err
	}
	name, err := c.args[0].Value()
	if err != nil {
		return nil, err
	}
	size, err := c.number(1)
	if err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	if size.Int() < 0 {
		return nil, memmap.Refuse("truncate", unix.EINVAL, "%v is no size of a file", size)
	}
	if err := t.proc.Context().Truncate(debugger.PathOf(t.proc, name), size.Int()); err != nil {
		return nil, err
	}
	v := view.FileChange{Name: name, Did: "truncated", Bytes: size.Bits}
	if f, err := c.s.d.FindCached(0, name); err == nil {
		v = changed(f, "truncated", size.Bits, "")
	}
	return view.FileChanges{Rows: []view.FileChange{v}}, nil
}

func runWriteback(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	f, err := c.cachedFile(0)
	if err != nil {
		return nil, err
	}
	row := changed(f, "wrote back", 0, nowhere)
	if f.Backed != nil {
		n, failed := f.Backed.WriteBack()
		row = changed(f, "wrote back", n, "")
		if failed != nil {
			err = fmt.Errorf("%s: %w", nameOf(f), failed)
		}
	}
	return view.FileChanges{Rows: []view.FileChange{row}}, err
}

// allPages is every offset that pages can have.
var allPages = memmap.MappableRange{End: 1<<63 - memmap.PageSize}

func runEvict(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return nil, c.usage()
	}
	if c.namesFile(0) && len(c.args) == 1 {
		f, err := c.cachedFile(0)
		if err != nil {
			return nil, err
		}
		if f.Backed == nil {
			return nil, memmap.Refuse("evict", unix.ENOTSUP, "%s: %s", nameOf(f), nowhere)
		}
		return view.FileChanges{Rows: []view.FileChange{evicted(f, allPages)}}, nil
	}
	sp, err := c.onlySpan(lang.LonePage)
	if err != nil {
		return nil, err
	}
	return c.evictRange(sp)
}

// namesFile reports whether word i is a file rather than an address.
func (c *call) namesFile(i int) bool {
	name, err := c.args[i].Value()
	if err != nil {
		return false
	}
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") {
		return true
	}
	for _, f := range c.s.d.CachedFiles() {
		if nameOf(f) == name || path.Base(f.Name) == name {
			return true
		}
	}
	return false
}

// evictRange drops the files' pages that are mapped in sp.
func (c *call) evictRange(sp span) (view.Value, error) {
	ar, err := sp.ends("evict")
	if err != nil {
		return nil, err
	}
	v := view.FileChanges{Rows: []view.FileChange{}, None: "no file has pages there that could go"}
	ar = memmap.AddrRange{Start: ar.Start.RoundDown(), End: ar.End}
	if up, ok := ar.End.RoundUp(); ok {
		ar.End = up
	}
	files, err := c.s.d.CachedIn(sp.pid, ar)
	for _, f := range files {
		if f.Backed == nil {
			continue
		}
		v.Rows = append(v.Rows, evicted(f.CachedFile, f.Range))
	}
	return v, err
}

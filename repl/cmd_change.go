package repl

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

func mappingChanges() []*Command {
	return []*Command{
		{
			Name: "mmap", Group: "change mappings",
			Synopsis: "[ADDR] LEN PERMS [shared private fixed noreplace populate locked noreserve growsdown stack 32bit] [file PATH [OFF]]",
			Summary:  "make a mapping",
			Help:     "Private and anonymous if nothing else is said. MAP_…|MAP_… is understood too. ADDR is a hint, or with `fixed` the place. $_ is the address.",
			Examples: []Example{
				{Line: "mmap 64k rw", Shows: "16 pages, where there is room"},
				{Line: "mmap 0x10000000 8k r fixed", Shows: "at a place"},
				{Line: "expect error EINVAL mmap 0 rw", Shows: "the engine's own answer"},
			},
			Data: []view.Value{view.Change{}}, Complete: []hint{hintAddr, hintPerms, hintMapWord}, Run: runMMap,
		},
		{
			Name: "munmap", Group: "change mappings", Synopsis: "RANGE", Summary: "remove what is mapped in a range",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "munmap $_+16k,16k", Shows: "a hole in the middle"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMUnmap,
		},
		{
			Name: "mprotect", Group: "change mappings", Synopsis: "RANGE PERMS", Summary: "change permissions",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "mprotect $_,4k r", Shows: "one page read-only: the mapping splits"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr, hintPerms}, Run: runMProtect,
		},
		{
			Name: "mremap", Group: "change mappings", Synopsis: "RANGE NEWLEN [maymove] [dontunmap] [fixed ADDR]", Summary: "grow, shrink or move a mapping",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "mremap $_,64k 128k maymove", Shows: "twice as large"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr, hintNumber, hintRemapWord}, Run: runMRemap,
		},
		{
			Name: "brk", Group: "change mappings", Synopsis: "[ADDR|+N]", Summary: "move the end of the heap, or show it",
			Examples: []Example{{Setup: "demo hello", Line: "brk +64k", Shows: "a larger heap"}},
			Data:     []view.Value{view.Break{}}, Complete: []hint{hintAddr}, Run: runBrk,
		},
		{
			Name: "madvise", Group: "change mappings", Synopsis: "RANGE ADVICE", Summary: "advise the engine: dontneed drops pages",
			Help:     "ADVICE is a name of madvise(2) with or without MADV_. All but dontneed are asked as the current thread's own system call.",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,64k w", Line: "madvise $_,32k dontneed", Shows: "half of the pages go"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr, hintAdvice}, Run: runMAdvise,
		},
	}
}

// mapRequest is the words of mmap.
type mapRequest struct {
	opts   memmap.MMapOpts
	shared bool
	file   string
	offset uint64
}

func runMMap(c *call) (view.Value, error) {
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	req, err := c.mapRequest()
	if err != nil {
		return nil, err
	}
	m, by, err := t.hands("mmap")
	if err != nil {
		return nil, err
	}
	done, err := c.attach(t, &req)
	if err != nil {
		return nil, err
	}
	defer done()
	a, err := m.MMap(by, req.opts)
	if err != nil {
		return nil, err
	}
	c.set(lang.At(a))
	length, _ := memmap.PageRoundUp(req.opts.Length)
	v := view.Change{PID: t.pid, Did: "mapped", Start: view.Addr(a), End: view.Addr(a) + view.Addr(length), Length: length}
	v.Detail = perms4(req.opts.Perms, req.opts.Private)
	if req.file != "" {
		v.Detail += fmt.Sprintf(" %s+%#x", req.file, req.offset)
	}
	return v, nil
}

func (c *call) mapRequest() (r mapRequest, err error) {
	perms := 1
	if len(c.args) > 1 && !lang.IsPerms(c.args[1].Text) {
		perms = 2
	}
	if len(c.args) <= perms || !lang.IsPerms(c.args[perms].Text) {
		return r, c.usage()
	}
	if perms == 2 {
		at, err := c.place(0)
		if err != nil {
			return r, err
		}
		r.opts.Addr = at.addr
	}
	length, err := c.number(perms - 1)
	if err != nil {
		return r, err
	}
	r.opts.Length = length.Bits
	if r.opts.Perms, err = lang.ParsePerms(c.args[perms].Text); err != nil {
		return r, err
	}
	r.opts.MaxPerms = memmap.AnyAccess
	err = c.mapWords(&r, perms+1)
	r.opts.Private = !r.shared
	return r, err
}

// mapWords reads the words of mmap from i on.
func (c *call) mapWords(r *mapRequest, i int) (err error) {
	for ; i < len(c.args); i++ {
		word := c.args[i].Text
		if word == "file" {
			return c.mapFile(r, i+1)
		}
		flags, ok := lang.MapWord(word)
		if !ok {
			return fmt.Errorf("%q is no word of mmap: %s", word, c.entry.Synopsis)
		}
		if err := r.addFlags(flags); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) mapFile(r *mapRequest, i int) (err error) {
	if i >= len(c.args) || i+2 < len(c.args) {
		return c.usage()
	}
	if r.file, err = c.args[i].Value(); err != nil {
		return err
	}
	if i+1 < len(c.args) {
		off, err := c.number(i + 1)
		if err != nil {
			return err
		}
		r.offset = off.Bits
	}
	return nil
}

// addFlags adds MAP_* bits.
func (r *mapRequest) addFlags(flags uint64) error {
	o := &r.opts
	for _, f := range []struct {
		bit uint64
		set func()
	}{
		{unix.MAP_SHARED, func() { r.shared = true }},
		{unix.MAP_PRIVATE, func() { r.shared = false }},
		{unix.MAP_FIXED, func() { o.Fixed, o.Unmap = true, true }},
		{unix.MAP_FIXED_NOREPLACE, func() { o.Fixed, o.Unmap, o.NoReplace = true, false, true }},
		{unix.MAP_ANONYMOUS, func() {}},
		{unix.MAP_POPULATE, func() { o.Populate = true }},
		{unix.MAP_LOCKED, func() { o.MLock = memmap.MLockEager }},
		{unix.MAP_NORESERVE, func() { o.NoReserve = true }},
		{unix.MAP_GROWSDOWN, func() { o.GrowsDown = true }},
		{unix.MAP_DROPPABLE, func() { o.Droppable = true }},
		{unix.MAP_STACK, func() { o.Stack = true }},
		{unix.MAP_32BIT, func() { o.Map32Bit = true }},
	} {
		if flags&f.bit != 0 {
			f.set()
			flags &^= f.bit
		}
	}
	if flags != 0 {
		return memmap.Refuse("mmap", unix.EOPNOTSUPP, "flags %#x are not known to this version", flags)
	}
	return nil
}

// attach puts into r what it maps: nothing, new shared memory, a file. done drops
// the references once the mapping has taken its own.
func (c *call) attach(t target, r *mapRequest) (done func(), err error) {
	done = func() {}
	switch {
	case r.file != "":
		return c.attachFile(t, r)
	case r.shared && r.opts.Length > 0:
		return c.attachShared(r)
	}
	return done, nil
}

// attachShared is attach for new shared memory.
func (c *call) attachShared(r *mapRequest) (done func(), err error) {
	size, _ := memmap.PageRoundUp(r.opts.Length)
	shared, err := shmem.NewAnonymous(c.s.config.Memory, size, r.opts.NoReserve)
	if err != nil {
		return func() {}, err
	}
	r.opts.Mappable, r.opts.Identity = shared, shared
	return shared.DecRef, nil
}

func (c *call) attachFile(t target, r *mapRequest) (done func(), err error) {
	flags := unix.O_RDONLY
	if r.shared && r.opts.Perms.Write {
		flags = unix.O_RDWR
	}
	d, err := t.proc.Context().Open(vfs.Where{Path: r.file, Caller: vfs.Caller{PID: t.pid, TID: t.pid}}, flags, 0)
	if err != nil {
		return func() {}, err
	}
	done = func() { _ = d.DecRef() }
	mapper, ok := d.File().(vfs.Mapper)
	if !ok {
		done()
		return func() {}, memmap.Refuse("mmap", unix.ENODEV, "%s cannot be mapped", r.file)
	}
	if r.offset%memmap.PageSize != 0 {
		done()
		return func() {}, memmap.Refuse("mmap", unix.EINVAL, "offset %#x is not page-aligned", r.offset)
	}
	r.opts.Offset = memmap.MappableOffset(r.offset)
	if err := mapper.ConfigureMMap(&r.opts); err != nil {
		done()
		return func() {}, err
	}
	if r.shared && r.opts.Mappable == nil { // zeroes
		done()
		return c.attachShared(r)
	}
	return done, nil
}

func runMUnmap(c *call) (view.Value, error) {
	sp, err := c.onlySpan(lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("munmap")
	if err == nil {
		err = m.MUnmap(by, sp.Start, sp.Length)
	}
	if err != nil {
		return nil, err
	}
	return sp.change("unmapped"), nil
}

func runMProtect(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, c.usage()
	}
	perms, err := lang.ParsePerms(rest[0].Text)
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("mprotect")
	if err == nil {
		err = m.MProtect(by, sp.Start, sp.Length, perms, false)
	}
	if err != nil {
		return nil, err
	}
	v := sp.change("protected")
	v.Detail = perms.String()
	return v, nil
}

func runMRemap(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, c.usage()
	}
	newLen, err := lang.Eval(c.env, rest[0].Text)
	if err != nil {
		return nil, err
	}
	opts, err := c.remapWords(rest[1:])
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("mremap")
	if err != nil {
		return nil, err
	}
	a, err := m.MRemap(by, sp.Start, sp.Length, newLen.Bits, opts)
	if err != nil {
		return nil, err
	}
	c.set(lang.At(a))
	length, _ := memmap.PageRoundUp(newLen.Bits)
	old := view.Range{Start: view.Addr(sp.Start), End: view.Addr(sp.Start) + view.Addr(sp.Length)}
	return view.Change{PID: sp.pid, Did: "remapped", Start: view.Addr(a), End: view.Addr(a) + view.Addr(length), Length: length, From: &old}, nil
}

func (c *call) remapWords(words []lang.Word) (o mm.MRemapOpts, err error) {
	for i := 0; i < len(words); i++ {
		switch word := words[i].Text; word {
		case "maymove":
			o.MayMove = true
		case "dontunmap":
			o.DontUnmap = true
		case "fixed":
			if i++; i >= len(words) {
				return o, c.usage()
			}
			at, err := c.placeOf(words[i].Text)
			if err != nil {
				return o, err
			}
			o.Fixed, o.MayMove, o.NewAddr = true, true, at.addr
		default:
			return o, fmt.Errorf("%q is no word of mremap: %s", word, c.entry.Synopsis)
		}
	}
	return o, nil
}

func runBrk(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	m, by, err := t.hands("brk")
	if err != nil {
		return nil, err
	}
	heap := m.BrkRange()
	if len(c.args) == 1 {
		want, err := c.newBreak(heap.End)
		if err != nil {
			return nil, err
		}
		if heap.End, err = m.Brk(by, want); err != nil {
			return nil, err
		}
	}
	c.set(lang.At(heap.End))
	return view.Break{PID: t.pid, Start: view.Addr(heap.Start), Break: view.Addr(heap.End)}, nil
}

// newBreak reads ADDR or +N or -N.
func (c *call) newBreak(now memmap.Addr) (memmap.Addr, error) {
	text := c.args[0].Text
	if more, ok := strings.CutPrefix(text, "+"); ok {
		n, err := lang.Eval(c.env, more)
		return now + memmap.Addr(n.Bits), err
	}
	if less, ok := strings.CutPrefix(text, "-"); ok {
		n, err := lang.Eval(c.env, less)
		return now - memmap.Addr(n.Bits), err
	}
	at, err := c.place(0)
	return at.addr, err
}

func runMAdvise(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, c.usage()
	}
	advice := strings.ToLower(strings.TrimPrefix(rest[0].Text, "MADV_"))
	if err := c.advise(sp, advice); err != nil {
		return nil, err
	}
	v := sp.change("advised")
	v.Detail = advice
	return v, nil
}

// advise gives one advice. The engine's own is asked of it; the others are made as
// a system call, which is where they are understood.
func (c *call) advise(sp span, advice string) error {
	if advice == "dontneed" {
		m, by, err := sp.hands("madvise")
		if err != nil {
			return err
		}
		return m.Decommit(by, sp.Start, sp.Length)
	}
	value, ok := lang.Constant("MADV_" + strings.ToUpper(advice))
	if !ok {
		return memmap.Refuse("madvise", unix.EINVAL, "there is no advice %q", advice)
	}
	if sp.pid != c.s.d.PID() {
		return fmt.Errorf("only the current process can be advised so: `on %d madvise …`", sp.pid)
	}
	_, err := c.s.d.Call(unix.SYS_MADVISE, sentry.Args{uint64(sp.Start), sp.Length, value})
	return err
}

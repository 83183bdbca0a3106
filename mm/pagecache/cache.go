package pagecache

import (
	"slices"
	"sync"
	"sync/atomic"

	"mmsh.dev/mmsh/mm/pgalloc"
)

// Cache is all cached files of a world. It is safe for concurrent use.
type Cache struct {
	mem *pgalloc.MemoryFile

	mu    sync.Mutex
	files map[Key]*File
	order []*File // oldest first: the order of eviction
	// written holds the files that were opened for writing, whose own writes change
	// what Key says of them.
	written map[inode]*File
	turn    int // of WriteSome

	failed   func(*File, error) // of writeback; may be nil
	forgetFD func(fd int)       // see MapHost; nil: pages are kept here
	chunks   chunkCount         // of files that the host keeps
	news     atomic.Uint64      // bytes that became dirty since the last WriteSome
}

// inode is a file whatever its Key's times are.
type inode struct{ dev, ino uint64 }

func (k Key) inode() inode { return inode{k.Dev, k.Ino} }

// New returns an empty Cache whose pages come from mem.
func New(mem *pgalloc.MemoryFile) *Cache {
	return &Cache{mem: mem, files: make(map[Key]*File), written: make(map[inode]*File), chunks: chunkCount{most: mostHostChunks}}
}

// OnFailure sets who is called when a file's pages or attributes could not be
// written, with locks of the file held. It is set before files are opened.
func (c *Cache) OnFailure(failed func(f *File, err error)) { c.failed = failed }

// MapHost has the host's pages mapped instead of keeping pages in guest memory, for
// files whose Backing has a descriptor that the host lets be mapped. Then all about such
// a file is as the host has it now: bytes, size, times. forget is told of
// descriptors before they are closed (platform.Platform.ForgetFD). It is called before
// files are opened.
func (c *Cache) MapHost(forget func(fd int)) { c.forgetFD = forget }

// Attr returns the attributes of a file as who writes it sees them: ok is false if
// nobody has it open for writing.
func (c *Cache) Attr(dev, ino uint64) (a Attr, ok bool) {
	if f := c.writer(dev, ino); f != nil {
		return f.Attr()
	}
	return Attr{}, false
}

// Delayed is File.Delayed of a file that somebody has open for writing, else 0.
func (c *Cache) Delayed(dev, ino uint64) uint64 {
	if f := c.writer(dev, ino); f != nil {
		return f.Delayed()
	}
	return 0
}

// Change calls do with the File of that inode that somebody has open for writing
// and returns its error; ok is false if there is none.
func (c *Cache) Change(dev, ino uint64, do func(*File) error) (ok bool, err error) {
	f := c.writer(dev, ino)
	if f == nil {
		return false, nil
	}
	return true, do(f)
}

// writer returns the File of that inode that is written, without a reference.
func (c *Cache) writer(dev, ino uint64) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written[inode{dev, ino}]
}

// Memory returns where the pages come from.
func (c *Cache) Memory() *pgalloc.MemoryFile { return c.mem }

// Open returns the File of k with a reference for the caller. If there is none
// yet, it is made over b, which it takes over; else b is closed.
func (c *Cache) Open(k Key, b Backing) *File {
	f, shared := c.open(k, b, nil)
	if shared {
		_ = b.Close() // it was never used
	}
	return f
}

// OpenWritable is Open for who writes. A File of k that was open for reading
// becomes writable through b and keeps its Backing for reading; one that is
// writable already stays as it is, and b is closed.
func (c *Cache) OpenWritable(k Key, b WritableBacking, o WriteOptions) *File {
	f, shared := c.open(k, b, newWritable(b, &o))
	if shared && !f.becomeWritable(b, &o) {
		_ = b.Close() // it was never used
	}
	return f
}

// open finds or makes the File of k and adds a user. w is nil for reading; a File
// that is made takes it over.
func (c *Cache) open(k Key, b Backing, w *writable) (f *File, shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, shared = c.find(k)
	if !shared {
		f = c.newFile(k, b, w)
	}
	if w != nil && !f.writing && f.host == nil {
		f.writing = true
		c.written[k.inode()] = f
	}
	f.users++
	f.opens++
	return f, shared
}

// find returns the File of k, if there is one. c.mu is held.
func (c *Cache) find(k Key) (f *File, ok bool) {
	if f, ok = c.written[k.inode()]; ok {
		return f, true
	}
	if f, ok = c.files[k.ofHost()]; ok && c.forgetFD != nil {
		return f, true
	}
	f, ok = c.files[k]
	return f, ok
}

// newFile makes the File of k. c.mu is held.
func (c *Cache) newFile(k Key, b Backing, w *writable) *File {
	f := &File{cache: c, backing: b, w: w}
	if c.forgetFD != nil {
		f.host = newHostFile(b, &c.chunks)
	}
	if f.host != nil {
		k = k.ofHost()
		if w != nil {
			f.host.openForWriting(w.out)
		}
	}
	f.key = k
	c.files[k] = f
	c.order = append(c.order, f)
	return f
}

// ofHost returns the key of a file that the host keeps: it is the same whatever is
// done to it.
func (k Key) ofHost() Key { return Key{Dev: k.Dev, Ino: k.Ino} }

// release drops a user of f, and f with its last one, once it is written out.
func (c *Cache) release(f *File) error {
	last, opens := c.dropUser(f)
	switch {
	case !last:
		return nil
	case f.unwritten():
		if err := f.flush(); err != nil {
			return err
		}
	}
	return c.retire(f, opens)
}

// putBack is release for those that hold has returned: it writes nothing.
func (c *Cache) putBack(f *File) error {
	last, opens := c.dropUser(f)
	if !last || f.unwritten() {
		return nil
	}
	return c.retire(f, opens)
}

// dropUser drops a user of f and returns whether it was the last one, and after how
// many opens. A File that is only read is out of the cache then.
func (c *Cache) dropUser(f *File) (last bool, opens uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.users--
	if f.users < 0 {
		panic("pagecache: file released twice")
	}
	if f.users == 0 && !f.writing {
		c.forget(f)
	}
	return f.users == 0, f.opens
}

// retire ends f, which had no users and nothing unwritten after so many opens,
// unless somebody has opened it since.
func (c *Cache) retire(f *File, opens uint64) error {
	c.mu.Lock()
	mine := f.opens == opens && (!f.closed || !f.writing)
	if mine {
		c.forget(f)
	}
	c.mu.Unlock()
	if !mine {
		return nil
	}
	f.dataMu.Lock()
	f.dirty.keepClean(everything) // of a file that is gone
	f.dataMu.Unlock()
	f.drop(everything)
	return f.closeBackings()
}

// forget takes f, which has no users, out of the cache. c.mu is held.
func (c *Cache) forget(f *File) {
	f.closed = true
	if c.files[f.key] == f {
		delete(c.files, f.key)
	}
	if c.written[f.key.inode()] == f {
		delete(c.written, f.key.inode())
	}
	c.order = slices.DeleteFunc(c.order, func(o *File) bool { return o == f })
}

// hold returns all files, each with a reference for the caller.
func (c *Cache) hold() []*File {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.order {
		f.users++
		f.opens++
	}
	return slices.Clone(c.order)
}

// nextTurn returns at which file WriteSome begins.
func (c *Cache) nextTurn() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	return c.turn - 1
}

// Evict gives back up to want bytes of cached pages, or little more, those of
// files that nobody maps first, and returns how many were. Mapped pages are taken
// from their memory managers: no lock of one may be held.
func (c *Cache) Evict(want uint64) uint64 {
	files := c.snapshot()
	got := c.evictUnmapped(want, files)
	for _, f := range files {
		if got >= want {
			break
		}
		got += f.evictMapped(want - got)
	}
	return got
}

// GiveBack implements pgalloc.Giver.
func (c *Cache) GiveBack(want uint64) uint64 { return c.Evict(want) }

// evictUnmapped is Evict of files without mappings; it waits for no lock of a
// File, so that a Translate may call it.
func (c *Cache) evictUnmapped(want uint64, files []*File) uint64 {
	got := uint64(0)
	for _, f := range files {
		if got >= want {
			break
		}
		got += f.tryEvictUnmapped()
	}
	return got
}

func (c *Cache) snapshot() []*File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

package pagecache

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Unwritten returns the files that nobody uses any more and that could not be
// written out, without references: what would be lost if the world ended now.
// Cache.Sync tries again, and forgets those that it could write.
func (c *Cache) Unwritten() []*File {
	return slices.DeleteFunc(c.unused(), func(f *File) bool { return !f.unwritten() })
}

// unused returns the files without users.
func (c *Cache) unused() []*File {
	c.mu.Lock()
	defer c.mu.Unlock()
	var files []*File
	for _, f := range c.order {
		if f.users == 0 {
			files = append(files, f)
		}
	}
	return files
}

// Abandon gives up a File that Unwritten returned: what was not written is lost.
// It returns how many bytes of pages that were. EBUSY: it is in use.
func (f *File) Abandon() (uint64, error) {
	c := f.cache
	c.mu.Lock()
	busy := f.users != 0 || f.closed
	if !busy {
		c.forget(f)
	}
	c.mu.Unlock()
	if busy {
		return 0, fmt.Errorf("abandoning a file: %w: it is in use", unix.EBUSY)
	}
	f.dataMu.Lock()
	lost := f.dirty.Span()
	f.dirty.keepClean(everything)
	f.dataMu.Unlock()
	f.drop(everything)
	return lost, f.closeBackings()
}

// unwritten reports whether pages or attributes are to be written.
func (f *File) unwritten() bool {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	w := f.writer()
	return w != nil && (w.unsaved != 0 || f.Dirty() > 0) && !w.gone()
}

// gone reports whether the file has no name any more, so that nobody misses what
// its last user leaves unwritten.
func (w *writable) gone() bool {
	g, ok := w.out.(interface{ Gone() bool })
	return ok && g.Gone()
}

// closeBackings closes what f reads and writes through.
func (f *File) closeBackings() error {
	var err error
	if f.host != nil {
		f.host.close()
	}
	if f.w != nil && f.w.apart {
		f.forgetFD(f.w.out)
		err = f.w.out.Close()
	}
	f.forgetFD(f.backing)
	return errors.Join(err, f.backing.Close())
}

// forgetFD tells the platform that b's descriptor, which it may have mapped, goes.
func (f *File) forgetFD(b Backing) {
	if d, ok := b.(described); ok && f.host != nil {
		f.cache.forgetFD(d.FD())
	}
}

// Package memfs keeps files in the sandbox's own memory.
package memfs

import (
	"fmt"
	"hash/fnv"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// device is the files' in st_dev: an anonymous one.
var device = unix.Mkdev(0, 40)

// NewProgram returns the embedded file data, which is not copied and must not
// change, as a program called name ("/demo/cow").
func NewProgram(cache *pagecache.Cache, name string, data []byte) *vfs.Program {
	sum := fnv.New64a()
	_, _ = sum.Write(data) // it never fails
	named := fnv.New64a()
	_, _ = io.WriteString(named, name)
	key := pagecache.Key{Dev: device, Ino: named.Sum64() >> 32, MTime: int64(sum.Sum64()), Size: int64(len(data))}
	f := &embedded{pagecache.NewHandle(cache.Open(key, content(data)), name), key}
	p, err := vfs.NewProgram(vfs.NewDescription(f, unix.O_RDONLY, name))
	if err != nil {
		panic(fmt.Sprintf("memfs: %v", err)) // embedded is a vfs.Mapper
	}
	return p
}

// embedded is an embedded file, open for reading.
type embedded struct {
	*pagecache.Handle // ConfigureMMap, Release
	key               pagecache.Key
}

func (f *embedded) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: f.key.Dev, Ino: f.key.Ino, Mode: unix.S_IFREG | 0o555, Nlink: 1,
		Size: f.key.Size, Blksize: 4096, Blocks: (f.key.Size + 511) / 512,
	}, nil
}

func (f *embedded) Seekable() bool { return true }

func (f *embedded) PRead(p []byte, off int64) (int, error) { return f.File().ReadAt(p, uint64(off)) }

func (f *embedded) PWrite([]byte, int64) (int, error) { return 0, unix.EROFS }

// content is the bytes of an embedded file as a pagecache.Backing.
type content []byte

func (c content) Size() (uint64, error) { return uint64(len(c)), nil }
func (c content) Close() error          { return nil }

func (c content) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	if off >= uint64(len(c)) {
		return 0, io.EOF
	}
	return safemem.Copy(dsts, safemem.Of(c[off:]))
}

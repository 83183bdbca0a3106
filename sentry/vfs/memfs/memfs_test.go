package memfs

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// An embedded program is read and mapped as a file is; programs of equal names and
// lengths are told apart by what they hold.
func TestPrograms(t *testing.T) {
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	}()
	cache := pagecache.New(mem)
	data := bytes.Repeat([]byte("program "), 1000)
	other := bytes.ToUpper(data)
	p, same, q := NewProgram(cache, "/demo/p", data), NewProgram(cache, "/demo/p", data), NewProgram(cache, "/demo/p", other)
	var a, b, c memmap.MMapOpts
	for _, err := range []error{p.ConfigureMMap(&a), same.ConfigureMMap(&b), q.ConfigureMMap(&c)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if a.Mappable != b.Mappable || a.Mappable == c.Mappable || a.Identity.MappedName() != "/demo/p" {
		t.Errorf("%v, %v, %v", a, b, c)
	}
	got := make([]byte, 9000)
	if n, err := q.ReadAt(got, 4); n != 7996 || err == nil || !bytes.Equal(got[:n], other[4:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	st, err := p.Stat()
	if err != nil || st.Size != 8000 || st.Mode != unix.S_IFREG|0o555 || st.Ino != a.Identity.InodeID() || st.Dev != a.Identity.DeviceID() {
		t.Errorf("%+v, %v", st, err)
	}
	mr := memmap.MappableRange{Start: 4096, End: 8192}
	if _, err := a.Mappable.Translate(mr, mr, memmap.Read); err != nil {
		t.Error(err)
	}
	for _, p := range []interface{ Close() error }{p, same, q} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

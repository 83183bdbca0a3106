package pgalloc

import (
	"testing"

	"mmsh.dev/mmsh/memmap"
)

const pageSize = memmap.PageSize

// newFile makes a MemoryFile that must be empty at the end of the test.
func newFile(t testing.TB, o Options) *MemoryFile {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// remap_file_pages(start, size, prot, pgoff, flags): as Linux since 4.0 a new mapping
// of other pages of the same file.
func remapFilePages(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "remap_file_pages"
	start, size := addr(a[0]).RoundDown(), a[1]&^(memmap.PageSize-1)
	pages := size / memmap.PageSize
	switch {
	case a[2] != 0:
		return 0, invalid(op, "the protection cannot change")
	case uint64(start)+size <= uint64(start):
		return 0, invalid(op, "%v and size %#x are no range", start, a[1])
	case a[3]+pages < a[3]:
		return 0, invalid(op, "page %#x of the file and size %#x overflow", a[3], a[1])
	}
	ar := memmap.AddrRange{Start: start, End: start + memmap.Addr(size)}
	return 0, t.MM().RemapPages(t.Actor(op), ar, a[3], a[4]&unix.MAP_NONBLOCK == 0)
}

package loader

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Sizes of the mappings, in bytes: Linux 6.18's.
const (
	vvarSize   = 4 * memmap.PageSize
	vclockSize = 2 * memmap.PageSize
	vdsoSize   = 2 * memmap.PageSize
	vdsoLength = vvarSize + vclockSize + vdsoSize
)

// VDSO is the [vvar] and [vdso] that a kernel gives to all its processes. The
// image is our own: its functions make the system calls that they stand for.
type VDSO struct {
	parts []vdsoPart // from the lowest address up
}

// vdsoPart is one mapping.
type vdsoPart struct {
	name            string
	size            uint64
	perms, maxPerms memmap.AccessType
	pages           *mm.Special
}

// NewVDSO makes the pages, which Release gives back; processes that map them
// keep them alive.
func NewVDSO(mem *pgalloc.MemoryFile) (*VDSO, error) {
	v := &VDSO{parts: []vdsoPart{
		{name: "[vvar]", size: vvarSize, perms: memmap.Read, maxPerms: memmap.Read},
		{name: "[vvar_vclock]", size: vclockSize, perms: memmap.Read, maxPerms: memmap.Read},
		{name: "[vdso]", size: vdsoSize, perms: memmap.ReadExecute, maxPerms: memmap.AnyAccess},
	}}
	for i := range v.parts {
		part := &v.parts[i]
		var content []byte
		if part.perms.Execute {
			content = vdsoImage()
		}
		pages, err := mm.NewSpecial(mem, part.name, part.size, content)
		if err != nil {
			v.Release()
			return nil, err
		}
		part.pages = pages
	}
	return v, nil
}

// Release drops the kernel's reference.
func (v *VDSO) Release() {
	for _, part := range v.parts {
		if part.pages != nil {
			part.pages.DecRef()
		}
	}
}

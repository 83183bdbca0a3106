package procfs

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

func (p *process) maps() ([]byte, error) {
	var b bytes.Buffer
	err := p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error { return m.WriteMaps(&b) })
	return b.Bytes(), err
}

func (p *process) smaps() ([]byte, error) {
	var b bytes.Buffer
	err := p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error { return m.WriteSmaps(&b) })
	return b.Bytes(), err
}

// smapsRollup is, as on Linux, nothing that a process without memory has.
func (p *process) smapsRollup() ([]byte, error) {
	var b bytes.Buffer
	err := p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error { return m.WriteRollup(&b) })
	if err == nil && b.Len() == 0 {
		err = unix.ESRCH
	}
	return b.Bytes(), err
}

func (p *process) cmdline() ([]byte, error) {
	if img := p.p.Image(); img != nil {
		return p.bytesOf(img.ArgRange())
	}
	return nil, nil
}

func (p *process) environ() ([]byte, error) {
	if img := p.p.Image(); img != nil {
		return p.bytesOf(img.EnvRange())
	}
	return nil, nil
}

func (p *process) comm() ([]byte, error) { return []byte(p.name() + "\n"), nil }

func (p *process) name() string {
	if p.task != nil {
		return p.task.Name()
	}
	return p.p.Name()
}

func (p *process) auxv() ([]byte, error) {
	img := p.p.Image()
	if img == nil || p.p.MM() == nil {
		return nil, nil
	}
	var b []byte
	for _, e := range img.Auxv() {
		b = binary.LittleEndian.AppendUint64(b, e.Type)
		b = binary.LittleEndian.AppendUint64(b, e.Value)
	}
	return append(b, make([]byte, 16)...), nil // AT_NULL
}

// sizes are a memory's sums as /proc shows them, in bytes.
type sizes struct {
	mm.Stats
	data, stack   uint64 // private and writable; growing down
	code, allCode uint64 // of the program; all that can be executed and not written
	startBrk      memmap.Addr
}

// sizes returns the sums of the process's memory, zeroes if there is none.
func (p *process) sizes() (s sizes) {
	_ = p.memory(func(m *mm.MemoryManager, _ *mm.Actor) error {
		s.Stats = m.Stats()
		s.startBrk = m.BrkRange().Start
		for _, v := range m.VMAs(m.All()) {
			n := v.AR.Length()
			switch {
			case v.GrowsDown:
				s.stack += n
			case v.Perms.Write && v.Private:
				s.data += n
			case v.Perms.Execute && !v.Perms.Write:
				s.allCode += n
			}
		}
		return nil
	})
	code := p.image().code
	if !code.IsEmpty() {
		end, _ := code.End.RoundUp() // a mapped address
		s.code = min(uint64(end-code.Start.RoundDown()), s.allCode)
	}
	return s
}

// layout is where parts of the program's image lie: Linux's mm_struct.
type layout struct {
	code, data memmap.AddrRange
	args, envs memmap.AddrRange
	stackStart memmap.Addr
}

// image returns the layout, all zero if no program was loaded.
func (p *process) image() (l layout) {
	img := p.p.Image()
	if img == nil || p.p.MM() == nil {
		return l
	}
	l.args, l.envs, l.stackStart = img.ArgRange(), img.EnvRange(), img.StackStart()
	l.code.Start = ^memmap.Addr(0)
	for _, s := range img.Segments() {
		end := s.AR.Start + memmap.Addr(s.File)
		l.data.Start = max(l.data.Start, s.AR.Start)
		l.data.End = max(l.data.End, end)
		if s.Perms.Execute {
			l.code.Start = min(l.code.Start, s.AR.Start)
			l.code.End = max(l.code.End, end)
		}
	}
	if l.code.End == 0 {
		l.code.Start = 0
	}
	return l
}

// statm is in pages: all, resident, of files, code, 0, data with stack, 0.
func (p *process) statm() ([]byte, error) {
	s := p.sizes()
	pages := func(n uint64) uint64 { return n / memmap.PageSize }
	return fmt.Appendf(nil, "%d %d %d %d 0 %d 0\n",
		pages(s.Virtual), pages(s.RSS), pages(s.RSSFile+s.RSSShmem), pages(s.code), pages(s.data+s.stack)), nil
}

package lang

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
)

// world is an Env with two processes, 2 and 3, of the same names at other places.
type world struct {
	pid       int
	others    map[int]*world
	registers map[string]Number
	variables map[string]Number
	symbols   map[string]memmap.Addr
	mappings  map[string]memmap.AddrRange
	rows      []memmap.AddrRange
	memory    map[memmap.Addr]byte
}

func newWorld() *world {
	w := &world{
		pid: 2,
		registers: map[string]Number{
			"rip": At(0x401004), "rsp": At(0x7fffffffe000), "rax": Int(-14), "rcx": Int(3),
		},
		variables: map[string]Number{"a": At(0x20000000), "_": At(0x20000000), "child": Int(3), "n": Int(7), "i": Int(1)},
		symbols: map[string]memmap.Addr{
			"main": 0x401000, "puts@plt": 0x400100, "both": 0x400200, "runtime.(*mheap).grow": 0x400300,
			"std::swap": 0x400400, "deadbeef": 1, "memcpy@@GLIBC_2.14": 0x400500,
		},
		mappings: map[string]memmap.AddrRange{
			"[heap]":               {Start: 0x555555559000, End: 0x55555557a000},
			"[stack]":              {Start: 0x7ffffffde000, End: 0x7ffffffff000},
			"libc":                 {Start: 0x7ffff7c00000, End: 0x7ffff7e00000},
			"both":                 {Start: 0x8000, End: 0x9000},
			"libc.so.6":            {Start: 0x7ffff7c00000, End: 0x7ffff7e00000},
			"ld-linux-x86-64.so.2": {Start: 0x7ffff7fc0000, End: 0x7ffff7ff0000},
		},
		rows:   []memmap.AddrRange{{Start: 0x1000, End: 0x2000}, {Start: 0x3000, End: 0x6000}},
		memory: map[memmap.Addr]byte{},
	}
	other := *w
	other.pid = 3
	other.symbols = map[string]memmap.Addr{"main": 0x501000}
	other.mappings = map[string]memmap.AddrRange{"[heap]": {Start: 0xa000, End: 0xc000}}
	other.memory = map[memmap.Addr]byte{0x20000000: 9}
	w.others = map[int]*world{2: w, 3: &other}
	other.others = w.others
	for i, b := range []byte{0xff, 1, 0, 0, 0, 0, 0, 0} {
		w.memory[0x20000000+memmap.Addr(i)] = b
	}
	return w
}

func (w *world) Register(name string) (Number, bool, error) {
	if name == "xmm0" {
		return Number{}, true, fmt.Errorf("the process has exited")
	}
	v, ok := w.registers[name]
	return v, ok, nil
}

func (w *world) Variable(name string) (Number, bool) { v, ok := w.variables[name]; return v, ok }

func (w *world) Symbol(name string) (memmap.Addr, bool) { a, ok := w.symbols[name]; return a, ok }

func (w *world) Mapping(name string) (memmap.AddrRange, bool) {
	ar, ok := w.mappings[name]
	return ar, ok
}

func (w *world) Row(n uint64) (memmap.AddrRange, error) {
	if n == 0 || n > uint64(len(w.rows)) {
		return memmap.AddrRange{}, fmt.Errorf("vma:%d: the last vmas had %d rows", n, len(w.rows))
	}
	return w.rows[n-1], nil
}

// Read finds zeroes where memory was not set, nothing below one page.
func (w *world) Read(a memmap.Addr, p []byte) error {
	if a < memmap.PageSize {
		return fmt.Errorf("%v is not mapped", a)
	}
	for i := range p {
		p[i] = w.memory[a+memmap.Addr(i)]
	}
	return nil
}

func (w *world) Process(pid int) (Env, error) {
	o, ok := w.others[pid]
	if !ok {
		return nil, fmt.Errorf("there is no process %d", pid)
	}
	return o, nil
}

func (w *world) Names(sort NameSort) []string {
	switch sort {
	case RegisterNames:
		return keys(w.registers)
	case VariableNames:
		return keys(w.variables)
	case SymbolNames:
		return keys(w.symbols)
	}
	return keys(w.mappings)
}

func keys[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

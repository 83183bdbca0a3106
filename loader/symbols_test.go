package loader

import (
	"debug/elf"
	"math/rand/v2"
	"testing"

	"mmsh.dev/mmsh/memmap"
)

// Symbols are found by name and by place; a place between is the function's before
// it, within the segment.
func TestSymbols(t *testing.T) {
	img, _, err := newProcess(t).load(newTiny(elf.ET_EXEC).bytes(), Options{Path: "p"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr memmap.Addr
		want string
	}{
		{0x401000, "_start"}, {0x40103f, "_start"}, {0x401050, "_start"}, {0x401060, "helper"}, {0x40107f, "helper"},
		{0x401080, ""}, {0x400000, ""}, {0x402810, "table"}, {0x40282f, "table"}, {0x402830, ""}, {0x402800, ""}, {0, ""},
	} {
		if got, ok := img.SymbolAt(c.addr); got.Name != c.want || ok != (c.want != "") {
			t.Errorf("at %v: %+v", c.addr, got)
		}
	}
	table, ok := img.Symbol("table")
	if want := (Symbol{"table", 0x402810, 0x20, false}); !ok || table != want {
		t.Errorf("%+v", table)
	}
	if _, ok := img.Symbol("tabl"); ok || len(img.Symbols()) != 3 {
		t.Errorf("%v", img.Symbols())
	}
}

// Of several symbols of a name the global one is meant.
func TestGlobalSymbolsComeFirst(t *testing.T) {
	local, global := symbol{Symbol: Symbol{Name: "x", Addr: 1}}, symbol{Symbol: Symbol{Name: "x", Addr: 2}, global: true}
	for _, list := range [][]symbol{{local, global}, {global, local}} {
		table := index(list)
		if s, _ := table.named("x"); s.Addr != 2 {
			t.Errorf("%+v", s)
		}
	}
}

// The index answers as a walk through all symbols would.
func TestSymbolsAgainstAWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var list []symbol
		for range rnd.IntN(30) {
			list = append(list, symbol{Symbol: Symbol{
				Name: string(rune('a' + rnd.IntN(26))), Addr: memmap.Addr(rnd.IntN(60)) * 4,
				Size: uint64(rnd.IntN(3)) * 4, Func: rnd.IntN(2) == 0,
			}})
		}
		table := index(list)
		for addr := range memmap.Addr(260) {
			got, ok := table.at(addr, 40)
			best, contains := memmap.Addr(0), false
			fn, any := memmap.Addr(0), false
			for _, s := range table.all() {
				if s.Addr <= addr && s.Addr >= best {
					best = s.Addr
				}
				if s.Func && s.Addr <= addr && s.Addr >= max(fn, 40) {
					fn, any = s.Addr, true
				}
			}
			for _, s := range table.all() {
				contains = contains || s.Addr == best && s.Addr <= addr && (addr == best || uint64(addr-s.Addr) < s.Size)
			}
			if !contains && (ok != any || ok && (got.Addr != fn || !got.Func)) {
				t.Fatalf("%d: %+v, want the function at %d (%v) of %+v", addr, got, fn, any, table.all())
			}
			if ok && got.Addr > addr {
				t.Fatalf("%d: %+v", addr, got)
			}
		}
	}
}

package loader

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// The C library takes the image for a shared object and finds every function in
// it, by name and version.
func TestVDSOIsASharedObject(t *testing.T) {
	dir := t.TempDir()
	so, prog := filepath.Join(dir, "vdso.so"), filepath.Join(dir, "callvdso")
	if err := os.WriteFile(so, vdsoImage(), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-o", prog, "testdata/callvdso.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	if out, err := exec.Command(prog, so).CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// The pages hold the image and zeroes, live as long as a process maps them, and
// go with the last one.
func TestVDSOPages(t *testing.T) {
	p := newProcess(t)
	vdso, err := NewVDSO(p.mem)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := p.load(newTiny(3).bytes(), Options{Path: "p", VDSO: vdso})
	if err != nil {
		t.Fatal(err)
	}
	vdso.Release()
	at := memmap.Addr(0)
	for _, e := range img.Auxv() {
		if e.Type == atSysinfoEhdr {
			at = memmap.Addr(e.Value)
		}
	}
	gettime, ok := img.Symbol("__vdso_clock_gettime")
	if got, _ := img.SymbolAt(gettime.Addr + 5); !ok || got.Name != gettime.Name || gettime.Addr <= at || gettime.Addr >= at+vdsoSize {
		t.Errorf("%+v at %+v", got, gettime)
	}
	b := make([]byte, vdsoSize)
	if _, err := p.CopyIn(p.by, at, b, mm.IOOpts{}); err != nil {
		t.Fatal(err)
	}
	image := vdsoImage()
	if len(image) > vdsoSize || string(b[:len(image)]) != string(image) {
		t.Errorf("the image of %d bytes is not there", len(image))
	}
	if err := p.MProtect(p.by, at-vclockSize, vclockSize, memmap.ReadWrite, false); err == nil {
		t.Error("[vvar_vclock] was made writable")
	}
}

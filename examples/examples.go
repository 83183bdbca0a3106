// Package examples holds the small guests that mmsh carries with it: each shows
// one subject of virtual memory, and each has a script that tells its story.
package examples

import (
	"embed"
	"sort"
	"strings"
)

// The programs are built from NAME/NAME.c by `make examples` and kept in the
// repository, so that mmsh needs no compiler.
//
//go:embed bin
var bin embed.FS

// Names returns the names of the demos, sorted.
func Names() []string {
	entries, err := bin.ReadDir("bin")
	if err != nil {
		panic(err) // the folder is embedded at build time
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names
}

// Demo returns the ELF file of the demo called name.
func Demo(name string) ([]byte, bool) {
	elf, err := bin.ReadFile("bin/" + name)
	return elf, err == nil
}

package examples_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mmsh.dev/mmsh/examples"
	"mmsh.dev/mmsh/internal/shelltest"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// Every demo's script holds, prints the transcript kept beside it, and prints the
// same bytes when it is run again.
func TestScriptsTellTheirStory(t *testing.T) {
	bin := shelltest.Build(t)
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			line := "mmsh --batch -x " + name + ".mmsh"
			first := shelltest.Run(t, bin, "scripts", line)
			if first.Status != 0 {
				t.Errorf("%s: exit status %d\n%s", line, first.Status, first.Output)
			}
			second := shelltest.Run(t, bin, "scripts", line)
			if diff := cmp.Diff(first.Output, second.Output); diff != "" {
				t.Errorf("the second run differs (-first +second):\n%s", diff)
			}
			transcript := filepath.Join("scripts", name+".txt")
			if *update {
				if err := os.WriteFile(transcript, []byte(first.Output), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(transcript)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), first.Output); diff != "" {
				t.Errorf("%s differs (-kept +printed); -update writes it anew:\n%s", transcript, diff)
			}
		})
	}
}

// Every source has its program and its script, and the other way round.
func TestEveryDemoIsWhole(t *testing.T) {
	for _, kind := range []struct{ glob, ext string }{{"src/*.c", ".c"}, {"scripts/*.mmsh", ".mmsh"}} {
		files, err := filepath.Glob(kind.glob)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), kind.ext))
		}
		if want := examples.Names(); !slices.Equal(names, want) {
			t.Errorf("%s: %v, programs: %v", kind.glob, names, want)
		}
	}
}

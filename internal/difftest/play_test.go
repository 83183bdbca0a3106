package difftest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What TestDifferentialPlay plays.
var (
	plays     = flag.Int("plays", playScripts, "generated scripts to play")
	firstPlay = flag.Uint64("first-play", 1, "the first one's seed")
	playCalls = flag.Int("play-calls", 50, "calls of a script")
)

// batch is how many scripts one process plays, each in a child of its own.
const batch = 50

// TestDifferentialPlay plays generated scripts of memory calls on the host's kernel and
// on ours: what was found once (testdata/scripts) first, then new ones. What differs is
// shrunk and kept there.
func TestDifferentialPlay(t *testing.T) {
	pl := newPlay(t)
	pl.replay()
	t.Logf("seeds %d to %d", *firstPlay, *firstPlay+uint64(*plays)-1)
	for done := 0; done < *plays && !t.Failed(); done += batch {
		scripts := make([]Script, min(batch, *plays-done))
		for i := range scripts {
			scripts[i] = Generate(*firstPlay+uint64(done+i), *playCalls)
		}
		pl.compare(scripts, func(i int) string { return fmt.Sprintf("seed %d", *firstPlay+uint64(done+i)) })
	}
	t.Logf("%d scripts were compared up to a mremap only: see Apart", pl.apart)
}

// play plays scripts both ways.
type play struct {
	t       *testing.T
	prog    string
	scratch string // a directory on a tmpfs
	host    string // one that guests see as it is, below the private layer
	apart   int
}

func newPlay(t *testing.T) *play {
	return &play{t: t, prog: Build(t, "play", "-static"), scratch: scratch(t), host: t.TempDir()}
}

const foundScripts = "testdata/scripts"

// replay plays what failed once.
func (pl *play) replay() {
	names, err := filepath.Glob(foundScripts + "/*.txt")
	if err != nil {
		pl.t.Fatal(err)
	}
	var scripts []Script
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			pl.t.Fatal(err)
		}
		scripts = append(scripts, strings.Split(strings.TrimSpace(string(text)), "\n"))
	}
	if len(scripts) > 0 {
		pl.compare(scripts, func(i int) string { return names[i] })
	}
}

// way is how guests play.
type way struct {
	auto    bool // the larger fault window, with which more is resident
	private bool // their files are the host's, below the private layer, instead of new ones
}

// compare plays scripts in all ways.
func (pl *play) compare(scripts []Script, name func(int) string) {
	want := pl.native(scripts)
	for _, w := range []way{{}, {auto: true}, {private: true}} {
		got := pl.guest(scripts, w)
		for i, s := range scripts {
			diff := pl.diff(want[i], got[i], w.auto)
			if diff == "" {
				continue
			}
			if !pl.t.Failed() && !strings.HasPrefix(name(i), foundScripts) {
				pl.keep(s, w, name(i))
			}
			pl.t.Errorf("%s, %+v: %s", name(i), w, diff)
		}
		if pl.t.Failed() {
			return
		}
	}
}

// diff returns how two outputs of a script differ, "" if they do not.
func (pl *play) diff(want, got string, auto bool) string {
	if auto {
		want, got = withoutResidence(want), withoutResidence(got)
	}
	want, got, apart := Apart(want, got, auto)
	if apart {
		pl.apart++
	}
	return firstDifference(want, got)
}

// firstDifference shows the first line that differs, with the call that it belongs to.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if a, b := line(w, i), line(g, i); a != b {
			return fmt.Sprintf("line %d:\n%s\n  native %s\n  guest  %s", i+1, strings.Join(w[max(0, min(i, len(w))-3):min(i, len(w))], "\n"), a, b)
		}
	}
	return ""
}

func (pl *play) native(scripts []Script) []string {
	pl.empty()
	return pl.split(Native(pl.t, pl.prog, pl.options(scripts)), len(scripts))
}

func (pl *play) guest(scripts []Script, w way) []string {
	o := pl.options(scripts)
	o.Auto, o.Private = w.auto, w.private
	if w.private {
		pl.fill(len(scripts))
		o.Scratch = pl.host
	}
	return pl.split(Run(pl.t, pl.prog, o), len(scripts))
}

// fill makes the files of n scripts as the player would.
func (pl *play) fill(n int) {
	const size = 5*scriptPage + 100
	content := bytes.Repeat([]byte{0xc3}, size)
	for i := 0; i*scriptPage < size; i++ {
		content[i*scriptPage+9] = byte(i)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(pl.host, fmt.Sprint("f", i)), content, 0o600); err != nil {
			pl.t.Fatal(err)
		}
	}
}

// empty removes what a script that was cut short has left.
func (pl *play) empty() {
	entries, err := os.ReadDir(pl.scratch)
	if err != nil {
		pl.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(pl.scratch, e.Name())); err != nil {
			pl.t.Fatal(err)
		}
	}
}

func (pl *play) options(scripts []Script) Options {
	var b strings.Builder
	for i, s := range scripts {
		fmt.Fprintf(&b, "script %d\n%s\n", i, s)
	}
	return Options{Stdin: b.String(), Scratch: pl.scratch, Timeout: 5 * time.Minute}
}

// split returns what each of n scripts printed.
func (pl *play) split(r Result, n int) []string {
	if r.Status != "exit 0" || r.Stderr != "" {
		pl.t.Fatalf("the player ended with %s\n%s", r.Status, r.Stderr)
	}
	stdout := strings.NewReplacer(pl.scratch+"/", "", pl.host+"/", "").Replace(Inodes(r.Stdout))
	parts := strings.SplitAfter(stdout, "\nended ")
	if len(parts) != n+1 {
		pl.t.Fatalf("%d scripts have the output of %d:\n%s", n, len(parts)-1, r.Stdout)
	}
	for i := 1; i < len(parts); i++ { // how it ended belongs to the one before
		status, rest, _ := strings.Cut(parts[i], "\n")
		parts[i-1] += status
		parts[i] = rest
	}
	return parts[:n]
}

// keep shrinks s, which fails, and writes it to testdata, for later runs to play.
func (pl *play) keep(s Script, w way, name string) {
	differs := func(s Script) string {
		one := []Script{s}
		return pl.diff(pl.native(one)[0], pl.guest(one, w)[0], w.auto)
	}
	if differs(s) == "" {
		pl.t.Errorf("%s differs only together with its neighbours", name)
		return
	}
	for size := len(s) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(s) && size < len(s); {
			if shorter := append(append(Script(nil), s[:i]...), s[i+size:]...); differs(shorter) != "" {
				s = shorter
			} else {
				i += size
			}
		}
	}
	file := fmt.Sprintf("%s/%s.txt", foundScripts, strings.ReplaceAll(name, " ", ""))
	err := os.MkdirAll(foundScripts, 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(s.String()), 0o644)
	}
	if err != nil {
		pl.t.Error(err)
	}
	pl.t.Errorf("%s holds what is left of it:\n%s%s", file, s, differs(s))
}

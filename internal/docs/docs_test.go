// Package docs keeps the documentation true: what it shows, mmsh prints.
package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mmsh.dev/mmsh/internal/shelltest"
)

const root = "../.."

// Every ```console block of the README and of docs/ is a session: lines that begin
// with $ are run, and what follows them is exactly what they print.
func TestShownSessions(t *testing.T) {
	bin := shelltest.Build(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sessions(string(text)) {
			shown++
			line := strings.ReplaceAll(s.command, "go run ./cmd/mmsh", "mmsh")
			got := shelltest.Run(t, bin, root, line)
			if diff := cmp.Diff(s.output, got.Output); diff != "" {
				t.Errorf("%s: $ %s (-shown +printed):\n%s", filepath.Base(page), s.command, diff)
			}
		}
	}
	if shown == 0 {
		t.Error("no session is shown anywhere")
	}
}

type session struct{ command, output string }

func sessions(page string) []session {
	var all []session
	inside := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			all = append(all, session{command: strings.TrimSpace(line[2:])})
		case len(all) > 0:
			all[len(all)-1].output += line
		}
	}
	return all
}

// Links between pages lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			target, _, _ = strings.Cut(target, "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(page), target)
			}
		}
	}
}

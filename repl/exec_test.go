package repl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

// bare is a session without a world.
func bare(json JSON) (s *Session, out, errs *bytes.Buffer) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	s = New(Config{Debugger: debugger.New(debugger.Config{}), Out: out, Err: errs, Batch: true, JSON: json})
	return s, out, errs
}

// play runs a script in s and returns what Parse said.
func play(s *Session, text string) error {
	cmds, err := s.Parse("test", text)
	if err != nil {
		return err
	}
	s.Play(context.Background(), cmds)
	return nil
}

func TestAPanicIsReportedAndTheShellLives(t *testing.T) {
	s, out, errs := bare(JSONOff)
	s.config.KeepGoing = true
	s.table.add(&Command{Name: "boom", Run: func(*call) (view.Value, error) { panic("a broken invariant") }})
	if err := play(s, "boom; echo alive"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(errs.String(), "test:1: boom: mmsh failed: a broken invariant") || out.String() != "alive\n" || s.Status() != 3 {
		t.Errorf("status %d, output %q, errors:\n%s", s.Status(), out, errs)
	}
}

func TestFailuresAreSortedAndToldOnce(t *testing.T) {
	refusal := memmap.Refuse("mprotect", unix.EINVAL, "0x1 is not page-aligned")
	for _, c := range []struct {
		err    error
		errno  string
		reason string
		kind   view.ErrorKind
	}{
		{refusal, "EINVAL", "0x1 is not page-aligned", view.KindCommand},
		{fmt.Errorf("mprotect: %w", unix.ENOMEM), "ENOMEM", "cannot allocate memory", view.KindCommand},
		{fmt.Errorf("mprotect 0x1: %w: no room", unix.ENOMEM), "ENOMEM", "mprotect 0x1: cannot allocate memory: no room", view.KindCommand},
		{errors.New("mprotect: what?"), "", "what?", view.KindCommand},
		{&Failure{Kind: view.KindExpect, Reason: "asked: x"}, "", "asked: x", view.KindExpect},
	} {
		f := failureOf(c.err, "mprotect")
		if f.Errno != c.errno || f.Reason != c.reason || f.Kind != c.kind {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
	if failureOf(nil, "x") != nil {
		t.Error("no error is a failure")
	}
}

func TestBlocksRunAndTellTheirFailureOnce(t *testing.T) {
	s, out, errs := bare(JSONOff)
	if err := play(s, "repeat 3 {\n echo $i\n if $i == 1 { print nonsense } else { echo even }\n}\necho never"); err != nil {
		t.Fatal(err)
	}
	if out.String() != "0\neven\n1\n" || strings.Count(errs.String(), "\n") != 1 || !strings.HasPrefix(errs.String(), "test:3: print: ") || s.Status() != 1 {
		t.Errorf("status %d, output %q, errors %q", s.Status(), out, errs)
	}
}

func TestLetKeepsValuesOfCommandsAndExpressions(t *testing.T) {
	s, out, errs := bare(JSONOff)
	if err := play(s, "let a = 6*7\nlet b = print $a+1\necho $a $b ${$a*2}\nlet rip = 3"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "42 43 84\n") || !strings.Contains(errs.String(), "$rip is a register") {
		t.Errorf("output %q, errors %q", out, errs)
	}
}

func TestAliasesTakeArgumentsAndAreKnownToTheParser(t *testing.T) {
	s, out, errs := bare(JSONOff)
	if err := play(s, "alias say = echo he said\nsay hello"); err != nil {
		t.Fatal(err)
	}
	if out.String() != "he said hello\n" || errs.Len() != 0 {
		t.Errorf("output %q, errors %q", out, errs)
	}
	if err := play(s, "alias echo = print"); err != nil || !strings.Contains(errs.String(), "echo is a command") {
		t.Errorf("an alias hides a command: %v %q", err, errs)
	}
}

func TestUnknownCommandsInsideOthersAreFoundBeforeAnyRuns(t *testing.T) {
	for _, text := range []string{"echo a; nonsense", "repeat 2 { nonsense }", "quiet nonsense", "on 2 nonsense", "expect error EINVAL nonsense", "if 1 { } else { nonsense }"} {
		s, out, _ := bare(JSONOff)
		if err := play(s, text); err == nil || !strings.HasPrefix(err.Error(), "test:1: unknown command") || out.Len() != 0 {
			t.Errorf("%s: %v, output %q", text, err, out)
		}
	}
}

func TestPastMomentsAreNotKept(t *testing.T) {
	for _, line := range []string{"vmas @3", "maps @-1", "regs @fork"} {
		s, _, errs := bare(JSONOff)
		if err := play(s, line); err != nil || !strings.Contains(errs.String(), "not kept") {
			t.Errorf("%s: %v %q", line, err, errs)
		}
	}
}

func TestEnvelopesCarryFailures(t *testing.T) {
	s, out, errs := bare(JSONLines)
	if err := play(s, "echo 'a<b'; expect 1 == 2"); err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"mmsh/1","cmd":"echo","line":"echo 'a<b'","at":"test:1","pid":0,"event":0,"ok":true,"data":{"text":"a<b\n"}}
{"schema":"mmsh/1","cmd":"expect","line":"expect 1 == 2","at":"test:1","pid":0,"event":0,"ok":false,"error":{"kind":"expect","reason":"asked: 1 == 2; found: 1 is 1","asked":"1 == 2","found":"1 is 1"}}
`
	if out.String() != want || errs.Len() != 0 {
		t.Errorf("output:\n%s\nerrors: %q", out, errs)
	}
}

package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/sentry"
)

const usage = `mmsh [flags] [--] [PROGRAM [ARGS…]]       shell; PROGRAM is loaded and stopped at its first instruction
mmsh run [flags] [--] PROGRAM [ARGS…]     run PROGRAM to its end in the sandbox; exit status is the guest's
mmsh version | help [COMMAND]
  -x FILE              run commands from FILE (repeatable, in order with -c); '-' is standard input
  -c 'CMD; CMD'        run commands
      --batch          no prompt, no pager, no confirmation; exit after -x/-c
  -k, --keep-going     go on after a failed command (exit status still 1)
      --json[=lines]   every command answers in JSON
      --color auto|always|never
      --seed N, --aslr layout randomness; default is one fixed layout
      --sched det|free one task at a time with a virtual clock (default), or all in parallel (default of run)
      --fault-window 4k|64k|2m|auto     how much a fault brings in (default 4k; auto for run)
      --timeout D      wall time of the whole session (10s, 2m); then mmsh exits 124
      --root DIR       the guest's file tree instead of the host's
      --rw PATH        a directory or file of the host that guests may change (repeatable); all else they change privately
      --cwd DIR, --env K[=V], --stdin FILE, --stdout FILE
      --mem SIZE       most memory the guests may hold (default half of the machine's); also --procs N --max-output SIZE --max-events N
      --file-cache sentry|host          pages of the host's files kept by mmsh (default), or the host's mapped directly
      --unsafe-host    lets scripts use !COMMAND
      --no-rc, -q      no rc file; no greeting
`

// script is one -x or -c.
type script struct{ file, text string }

// options are the flags.
type options struct {
	scripts   []script
	batch     bool
	keepGoing bool
	json      repl.JSON
	color     string
	seed      int64
	sched     sentry.Sched
	window    uint64
	timeout   time.Duration
	root, cwd string
	rw        []writablePath
	env       []string
	stdin     string
	stdout    string
	fileCache string // sentry or host
	mem       uint64
	procs     int
	maxOutput uint64
	maxEvents int
	noRC      bool
	quiet     bool
	unsafe    bool

	program []string // and its arguments
}

// errUsage is a command line that was refused with a message already.
var errUsage = errors.New("bad flags")

// later are flags of the contract that this version refuses.
var later = []string{"record", "transcript", "confine", "max-files", "format"}

// parseFlags reads the command line. run says that it is `mmsh run`'s, whose
// defaults differ.
func parseFlags(args []string, run bool) (*options, error) {
	o := &options{color: "auto", fileCache: "sentry", window: 4 << 10, sched: sentry.SchedDet, mem: halfOfMemory()}
	if run {
		o.window, o.sched, o.maxEvents = mm.WindowAuto, sentry.SchedFree, -1
	}
	fs := flag.NewFlagSet("mmsh", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.define(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "mmsh: %s\n", strings.ReplaceAll(err.Error(), "flag provided but not defined: ", "unknown flag "))
		return nil, errUsage
	}
	if err := o.resolveWritable(); err != nil {
		fmt.Fprintf(os.Stderr, "mmsh: %v\n", err)
		return nil, errUsage
	}
	o.program = fs.Args()
	return o, nil
}

func (o *options) define(fs *flag.FlagSet) {
	fs.Func("x", "", func(file string) error { o.scripts = append(o.scripts, script{file: file}); return nil })
	fs.Func("c", "", func(text string) error { o.scripts = append(o.scripts, script{text: text}); return nil })
	fs.BoolVar(&o.batch, "batch", false, "")
	fs.BoolVar(&o.keepGoing, "k", false, "")
	fs.BoolVar(&o.keepGoing, "keep-going", false, "")
	fs.BoolFunc("json", "", o.setJSON)
	fs.Func("color", "", oneOf(&o.color, "auto", "always", "never"))
	fs.Int64Var(&o.seed, "seed", 0, "")
	fs.BoolFunc("aslr", "", func(string) error { o.seed = randomSeed(); return nil })
	fs.Func("sched", "", o.setSched)
	fs.Func("fault-window", "", o.setWindow)
	fs.Func("timeout", "", o.setTimeout)
	fs.StringVar(&o.root, "root", "", "")
	fs.Func("rw", "", func(path string) error { o.rw = append(o.rw, writablePath{given: path}); return nil })
	fs.StringVar(&o.cwd, "cwd", "", "")
	fs.Func("env", "", o.addEnv)
	fs.StringVar(&o.stdin, "stdin", "", "")
	fs.StringVar(&o.stdout, "stdout", "", "")
	fs.Func("mem", "", size(&o.mem))
	fs.IntVar(&o.procs, "procs", 0, "")
	fs.Func("max-output", "", size(&o.maxOutput))
	fs.IntVar(&o.maxEvents, "max-events", o.maxEvents, "")
	fs.BoolVar(&o.noRC, "no-rc", false, "")
	fs.BoolVar(&o.quiet, "q", false, "")
	fs.BoolVar(&o.unsafe, "unsafe-host", false, "")
	fs.Func("file-cache", "", oneOf(&o.fileCache, "sentry", "host"))
	for _, name := range later {
		fs.Func(name, "", func(string) error { return errors.New("not in this version") })
	}
}

func (o *options) setJSON(v string) error {
	switch v {
	case "true":
		o.json = repl.JSONOn
	case "lines":
		o.json = repl.JSONLines
	case "false":
		o.json = repl.JSONOff
	default:
		return errors.New("want --json or --json=lines")
	}
	return nil
}

func (o *options) setSched(v string) error {
	switch v {
	case "det":
		o.sched = sentry.SchedDet
	case "free":
		o.sched = sentry.SchedFree
	default:
		return errors.New("want det or free")
	}
	return nil
}

func (o *options) setTimeout(v string) (err error) {
	o.timeout, err = time.ParseDuration(v)
	if err != nil || o.timeout <= 0 {
		return errors.New("want a duration above zero, as 500ms, 10s or 2m")
	}
	return nil
}

func (o *options) setWindow(v string) error {
	bytes, ok := map[string]uint64{"4k": 4 << 10, "64k": 64 << 10, "2m": 2 << 20, "auto": mm.WindowAuto}[v]
	if !ok {
		return errors.New("want 4k, 64k, 2m or auto")
	}
	o.window = bytes
	return nil
}

// addEnv adds K=V, or K with the host's value.
func (o *options) addEnv(v string) error {
	if !strings.Contains(v, "=") {
		value, ok := os.LookupEnv(v)
		if !ok {
			return nil
		}
		v += "=" + value
	}
	o.env = append(o.env, v)
	return nil
}

func oneOf(to *string, words ...string) func(string) error {
	return func(v string) error {
		for _, w := range words {
			if v == w {
				*to = v
				return nil
			}
		}
		return fmt.Errorf("want %s", strings.Join(words, ", "))
	}
}

func size(to *uint64) func(string) error {
	return func(v string) error {
		n, err := lang.ParseNumber(strings.ToLower(v))
		if err == nil {
			*to = n
		}
		return err
	}
}

func randomSeed() int64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}

// halfOfMemory is half of the machine's memory, in bytes; no limit if the host does not say.
func halfOfMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit) / 2 &^ 4095
}

// guestEnv is the environment of loaded programs: later settings of a name win.
func (o *options) guestEnv(base []string) []string {
	env := append([]string(nil), base...)
	for _, kv := range o.env {
		name, _, _ := strings.Cut(kv, "=")
		kept := env[:0]
		for _, have := range env {
			if !strings.HasPrefix(have, name+"=") {
				kept = append(kept, have)
			}
		}
		env = append(kept, kv)
	}
	return env
}

// workingDir is where guests start: --cwd, or where mmsh was started if the tree is the host's.
func (o *options) workingDir() string {
	if o.cwd != "" {
		return o.cwd
	}
	if dir, err := os.Getwd(); err == nil && o.root == "" {
		return filepath.Clean(dir)
	}
	return "/"
}

package loader

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// Linux's numbers for a program's first stack.
const (
	stackReserve = 128 << 10 // mapped below the strings: setup_arg_pages
	maxString    = 128 << 10 // longest argument, its zero byte included: MAX_ARG_STRLEN
	minArgSpace  = 128 << 10 // arguments that fit whatever RLIMIT_STACK: ARG_MAX
	maxArgSpace  = 6 << 20   // and those that fit at most: three quarters of _STK_LIM
)

const platformName = "x86_64"

// stack is the first stack of a program as it is being written: from the top
//
//	a zero word, file name, environment, arguments   (strings)
//	platform name, random bytes                      (secrets)
//	auxiliary vector, envp, argv, argc               (pointers; sp)
type stack struct {
	top memmap.Addr
	low memmap.Addr // of what is written so far
	buf []byte      // [low, top) at its end

	execfn, platform, random memmap.Addr
	args, envs               memmap.AddrRange
	argv, envp               []memmap.Addr
}

// newStack writes the strings of a stack that ends at top: E2BIG if they and their
// pointers are more than a stack of limit bytes may begin with.
func newStack(top memmap.Addr, o *Options, limit uint64) (*stack, error) {
	args := o.Args
	if len(args) == 0 { // as Linux 5.18 and later: argv[0] always exists
		args = []string{""}
	}
	if err := checkArgs(o.Path, args, o.Env, limit); err != nil {
		return nil, err
	}
	s := &stack{top: top, low: top}
	s.push(make([]byte, 8))
	s.execfn = s.pushString(o.Path)
	s.envs.End = s.low
	s.envp = s.pushStrings(o.Env)
	s.envs.Start, s.args.End = s.low, s.low
	s.argv = s.pushStrings(args)
	s.args.Start = s.low
	return s, nil
}

// checkArgs keeps the arguments within Linux's bounds.
func checkArgs(path string, args, env []string, limit uint64) error {
	const where = "arguments"
	space := uint64(len(path)) + 1 + 8*uint64(len(args)+len(env))
	for _, list := range [][]string{args, env} {
		for _, s := range list {
			if len(s)+1 > maxString {
				return &Error{Where: where, Err: unix.E2BIG,
					Reason: fmt.Sprintf("one has %d bytes, more than %d", len(s), maxString-1)}
			}
			space += uint64(len(s)) + 1
		}
	}
	if most := max(minArgSpace, min(limit/4, maxArgSpace)); space > most {
		return &Error{Where: where, Err: unix.E2BIG,
			Reason: fmt.Sprintf("argv and envp take %d bytes, more than %d (RLIMIT_STACK is %#x)", space, most, limit)}
	}
	return nil
}

// push writes b below what is there and returns where it begins.
func (s *stack) push(b []byte) memmap.Addr {
	s.low -= memmap.Addr(len(b))
	need := int(s.top - s.low)
	if need > len(s.buf) {
		grown := make([]byte, max(2*len(s.buf), need, memmap.PageSize))
		copy(grown[len(grown)-len(s.buf):], s.buf)
		s.buf = grown
	}
	copy(s.buf[len(s.buf)-need:], b)
	return s.low
}

func (s *stack) pushString(text string) memmap.Addr { return s.push(append([]byte(text), 0)) }

// pushStrings writes list so that it reads upwards.
func (s *stack) pushStrings(list []string) []memmap.Addr {
	at := make([]memmap.Addr, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		at[i] = s.pushString(list[i])
	}
	return at
}

// bytes returns what is to be written at low.
func (s *stack) bytes() []byte { return s.buf[len(s.buf)-int(s.top-s.low):] }

// pushSecrets writes what lies between strings and pointers.
func (s *stack) pushSecrets(random [16]byte) {
	s.push(make([]byte, s.low&15))
	s.platform = s.pushString(platformName)
	s.random = s.push(random[:])
}

// pushPointers writes auxv, envp, argv and argc, and returns the stack pointer.
func (s *stack) pushPointers(auxv []AuxEntry) memmap.Addr {
	le := binary.LittleEndian
	words := le.AppendUint64(nil, uint64(len(s.argv)))
	for _, list := range [][]memmap.Addr{s.argv, s.envp} {
		for _, at := range list {
			words = le.AppendUint64(words, uint64(at))
		}
		words = le.AppendUint64(words, 0)
	}
	for _, e := range append(auxv, AuxEntry{}) {
		words = le.AppendUint64(le.AppendUint64(words, e.Type), e.Value)
	}
	sp := (s.low - memmap.Addr(len(words))) &^ 15
	s.push(make([]byte, s.low-sp-memmap.Addr(len(words))))
	return s.push(words)
}

// mapStack maps s's pages and, below them, what Linux maps. It needs the strings
// only; what comes below them is small but for the pointers.
func (l *loading) mapStack(s *stack) error {
	strings := s.low
	s.pushSecrets(l.o.Random)
	pointers := memmap.Addr(8*(len(s.argv)+len(s.envp)+3) + 16*(maxAuxv+1) + 15)
	needed := uint64(s.top - (s.low - pointers).RoundDown())
	size := uint64(s.top-strings.RoundDown()) + stackReserve
	size = max(needed, min(size, l.stackLimit()&^(memmap.PageSize-1)))
	by := l.actor(memmap.ByKernel, "stack")
	ar, err := l.m.MapStack(by, size)
	if err != nil {
		return failed("stack", err)
	}
	l.img.stack, l.img.args, l.img.envs = ar, s.args, s.envs
	if !l.p.stackX {
		return nil
	}
	rwx := memmap.AnyAccess
	if err := l.m.MProtect(by, ar.Start, ar.Length(), rwx, false); err != nil {
		return failed("stack", err)
	}
	return nil
}

// writeStack writes all of s to memory.
func (l *loading) writeStack(s *stack) error {
	l.img.sp = s.pushPointers(l.img.auxv)
	if _, err := l.m.CopyOut(l.actor(memmap.ByKernel, "stack"), l.img.sp, s.bytes(), mm.IOOpts{}); err != nil {
		return failed("stack", err)
	}
	return nil
}

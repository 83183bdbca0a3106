package syscalls

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

// Format returns call nr as people write it: mmap(0, 0x2000, PROT_READ|PROT_WRITE,
// MAP_PRIVATE|MAP_ANONYMOUS, -1, 0). It looks at no memory: what an argument
// points to is an address.
func Format(nr uint64, args sentry.Args) string {
	if Name(nr) == "" {
		return fmt.Sprintf("call %d(%#x, %#x, %#x, %#x, %#x, %#x)", nr, args[0], args[1], args[2], args[3], args[4], args[5])
	}
	s := signatures[nr]
	words := make([]string, len(s.args))
	for i := range words {
		words[i] = formatArg(s.args[i], args[i])
	}
	return s.name + "(" + strings.Join(words, ", ") + ")"
}

// formatArg formats v, an argument of that kind: the letters of signatures.
func formatArg(kind byte, v uint64) string {
	switch kind {
	case 'd': // int
		return strconv.FormatInt(int64(int32(v)), 10)
	case 'l': // long, off_t
		return strconv.FormatInt(int64(v), 10)
	case 'u': // unsigned, size
		return strconv.FormatUint(v, 10)
	case 'o': // file mode
		return fmt.Sprintf("%#o", uint32(v))
	case 'D': // directory descriptor
		if int32(v) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return formatArg('d', v)
	}
	if f, ok := argFamilies[kind]; ok {
		return f(uint64(uint32(v)))
	}
	return hex(v) // 'x', and 'p' for addresses
}

// argFamilies are the kinds of argument whose numbers have names.
var argFamilies = map[byte]func(uint64) string{
	'P': bitsOf(protBits),
	'M': formatMapFlags,
	'R': bitsOf(mremapBits),
	'A': oneOf(madvices),
	'S': bitsOf(msyncBits),
	'O': formatOpenFlags,
	'T': bitsOf(atBits),
	'G': oneOf(signals),
	'B': oneOf(maskHow),
	'K': oneOf(clocks),
	'W': oneOf(whences),
	'w': bitsOf(waitBits),
	'C': formatCloneFlags,
	'F': formatFutexOp,
	'N': oneOf(fcntls),
	'L': oneOf(limits),
	'I': oneOf(ioctls),
	'H': oneOf(archCodes),
}

func hex(v uint64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", v)
}

// oneOf formats a number that is one of family.
func oneOf(family []constant) func(uint64) string {
	return func(v uint64) string {
		for _, c := range family {
			if c.value == v {
				return c.name
			}
		}
		return strconv.FormatInt(int64(int32(v)), 10)
	}
}

// bitsOf formats a set of family's bits; nothing is the family's name for 0, if it
// has one.
func bitsOf(family []constant) func(uint64) string {
	return func(v uint64) string { return bits(v, family) }
}

func bits(v uint64, family []constant) string {
	var words []string
	for _, c := range family {
		switch {
		case c.value == 0 && v == 0 && len(words) == 0:
			return c.name
		case c.value != 0 && v&c.value == c.value:
			words = append(words, c.name)
			v &^= c.value
		}
	}
	if v != 0 || len(words) == 0 {
		words = append(words, hex(v))
	}
	return strings.Join(words, "|")
}

// and joins the name of a part of a number to what is left of it.
func and(name string, rest uint64, family []constant) string {
	if rest == 0 {
		return name
	}
	return name + "|" + bits(rest, family)
}

func formatMapFlags(v uint64) string {
	kind := v & mapType
	if kind == 0 {
		return bits(v, mmapBits)
	}
	return and(oneOf(mmapTypes)(kind), v&^mapType, mmapBits)
}

func formatOpenFlags(v uint64) string {
	return and(oneOf(openModes)(v&unix.O_ACCMODE), v&^unix.O_ACCMODE, openBits)
}

// formatCloneFlags: the lowest byte is a signal.
func formatCloneFlags(v uint64) string {
	const signalMask = 0xff
	flags := v &^ signalMask
	switch sig := v & signalMask; {
	case sig == 0:
		return bits(flags, cloneBits)
	case flags == 0:
		return oneOf(signals)(sig)
	default:
		return bits(flags, cloneBits) + "|" + oneOf(signals)(sig)
	}
}

func formatFutexOp(v uint64) string {
	const flags = futexPrivate | futexClockRealtime
	name := oneOf(futexOps)(v &^ flags)
	if v&futexPrivate != 0 {
		name += "_PRIVATE"
	}
	if v&futexClockRealtime != 0 {
		name += "|FUTEX_CLOCK_REALTIME"
	}
	return name
}

package sentry

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"golang.org/x/sys/unix"
)

// The XSAVE area in standard format, as PTRACE_GETREGSET gives it and as a signal
// frame holds it: 512 bytes of FXSAVE, whose last 48 are for software, then a
// header, then the components where CPUID says.
const (
	fxsaveSize   = 512
	softwareArea = 464 // the kernel's words in the FXSAVE area; first word: features that are enabled
	xstateHeader = 512 // its first word: features that are not in their initial state
	xstateBody   = fxsaveSize + 64

	fcwOffset    = 0
	mxcsrOffset  = 24
	xmmOffset    = 160
	xmmEnd       = xmmOffset + 16*16
	featureSSE   = 1 << 1
	initialFCW   = 0x37f
	initialMXCSR = 0x1f80

	// xfeatureTileData is AMX's: 8 KiB that the kernel keeps out of frames until a
	// program asks for it by arch_prctl, which ours cannot.
	xfeatureTileData = 18

	// The words that a signal frame has in softwareArea, and behind the area.
	fpMagic1     = 0x46505853
	fpMagic2     = 0x46505845
	fpMagic2Size = 4

	xstateLeaf = 0xd // CPUID
)

// cpuid is in cpuid_amd64.s.
func cpuid(leaf, subleaf uint32) (a, b, c, d uint32)

// frameFeatures returns the features of full, a whole XSAVE area, that a signal
// frame holds, and the size of an area that holds these.
func frameFeatures(full []byte) (features uint64, size int) {
	if len(full) < xstateBody {
		return 0, fxsaveSize
	}
	features = binary.LittleEndian.Uint64(full[softwareArea:]) &^ (1 << xfeatureTileData)
	size = xstateBody
	for rest := features; rest != 0; rest &= rest - 1 {
		size = max(size, componentEnds()[bits.TrailingZeros64(rest)])
	}
	return features, min(size, len(full))
}

// componentEnds tells where each feature's component ends in a whole area; 0 for x87
// and SSE, which lie in the FXSAVE area. The processor is asked once: where it is a
// virtual one, that takes tens of microseconds.
var componentEnds = sync.OnceValue(func() *[64]int {
	var ends [64]int
	low, _, _, high := cpuid(xstateLeaf, 0)
	for rest := (uint64(high)<<32 | uint64(low)) &^ 3; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		length, offset, _, _ := cpuid(xstateLeaf, uint32(i))
		ends[i] = int(offset + length)
	}
	return &ends
})

// frameXState makes what a signal frame holds of full: its features' components,
// the kernel's words, and the second magic number behind it.
func frameXState(full []byte) []byte {
	features, size := frameFeatures(full)
	if features == 0 {
		return full[:size]
	}
	area := make([]byte, size+fpMagic2Size)
	copy(area, full[:size])
	le := binary.LittleEndian
	le.PutUint64(area[xstateHeader:], le.Uint64(area[xstateHeader:])&features)
	words := area[softwareArea:fxsaveSize]
	clear(words)
	le.PutUint32(words[0:], fpMagic1)
	le.PutUint32(words[4:], uint32(len(area)))
	le.PutUint64(words[8:], features)
	le.PutUint32(words[16:], uint32(size))
	le.PutUint32(area[size:], fpMagic2)
	return area
}

// initialXState is an area of n bytes that sets everything to what a program starts with.
func initialXState(n int) []byte {
	area := make([]byte, n)
	binary.LittleEndian.PutUint16(area[fcwOffset:], initialFCW)
	binary.LittleEndian.PutUint32(area[mxcsrOffset:], initialMXCSR)
	return area
}

// wholeXState turns the area of a signal frame back into one of n bytes. As Linux
// does, a frame without valid magic numbers counts as one of x87 and SSE state only.
func wholeXState(frame []byte, n int, features uint64) []byte {
	area := initialXState(n)
	le := binary.LittleEndian
	words := frame[softwareArea:fxsaveSize]
	size := int(le.Uint32(words[16:]))
	if !validFrameXState(frame, n) {
		copy(area, frame[:softwareArea])
		if n >= xstateBody {
			le.PutUint64(area[xstateHeader:], 3)
		}
		return area
	}
	copy(area[:softwareArea], frame)
	copy(area[xstateHeader:], frame[xstateHeader:size])
	used := le.Uint64(area[xstateHeader:]) & le.Uint64(words[8:]) & features
	if used&featureSSE == 0 && le.Uint32(area[mxcsrOffset:]) != initialMXCSR {
		// XRSTOR loads MXCSR, and refuses a wrong one, even if SSE's registers are
		// initial; ptrace looks at it only if they are not.
		clear(area[xmmOffset:xmmEnd])
		used |= featureSSE & features
	}
	le.PutUint64(area[xstateHeader:], used)
	return area
}

// validFrameXState reports whether a frame's area has both magic numbers and sizes
// that fit its n bytes at most.
func validFrameXState(frame []byte, n int) bool {
	le := binary.LittleEndian
	words := frame[softwareArea:fxsaveSize]
	size := int(le.Uint32(words[16:]))
	return le.Uint32(words) == fpMagic1 && size >= xstateBody && size <= n &&
		len(frame) >= size+fpMagic2Size && int(le.Uint32(words[4:])) >= size &&
		le.Uint32(frame[size:]) == fpMagic2
}

// Entries of the auxiliary vector that the host's kernel gives every process, us
// included.
const (
	atHWCap       = 16
	atHWCap2      = 26
	atMinSigStack = 51
)

// hostAux returns the host's value of an auxiliary vector entry, 0 if it has none.
func hostAux(entry uintptr) uint64 {
	aux, err := unix.Auxv()
	if err != nil {
		return 0
	}
	for _, pair := range aux {
		if pair[0] == entry {
			return uint64(pair[1])
		}
	}
	return 0
}

// MinSigStackSize returns what AT_MINSIGSTKSZ tells: the size of a signal frame
// with all vector state that the processor has, in bytes.
func MinSigStackSize() uint64 {
	if n := hostAux(atMinSigStack); n != 0 {
		return n
	}
	_, _, all, _ := cpuid(xstateLeaf, 0)
	const align = 64 + 16 // of the vector state and of the frame
	return uint64(all) + fpMagic2Size + frameSize + align
}

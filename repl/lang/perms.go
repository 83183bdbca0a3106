package lang

import "mmsh.dev/mmsh/memmap"

// ParsePerms reads permissions: rw, r-x, none, PROT_READ|PROT_WRITE.
func ParsePerms(s string) (memmap.AccessType, error) { panic("lang: unwritten") }

// IsPerms reports whether s is a permissions word.
func IsPerms(s string) bool { panic("lang: unwritten") }

// PermPattern is a pattern of permissions as maps prints them: r?x, ?w-p. A ? fits
// all; a fourth letter is p (private) or s (shared).
type PermPattern struct{ letters [4]byte }

// ParsePermPattern reads a pattern of three or four letters.
func ParsePermPattern(s string) (PermPattern, error) { panic("lang: unwritten") }

// Match reports whether a mapping's permissions fit.
func (p PermPattern) Match(a memmap.AccessType, shared bool) bool { panic("lang: unwritten") }

func (p PermPattern) String() string { panic("lang: unwritten") }

// MapWord returns the MAP_* bits of mmap's plain words: shared private fixed noreplace
// populate locked noreserve growsdown stack 32bit hugetlb, and of MAP_PRIVATE|MAP_FIXED.
func MapWord(s string) (flags uint64, ok bool) { panic("lang: unwritten") }

// Constant returns the value of a constant of the memory calls' headers: PROT_ MAP_
// MREMAP_ MADV_ MS_ MCL_ MLOCK_ MPOL_ and the like. Expressions know them after symbols.
func Constant(name string) (uint64, bool) { panic("lang: unwritten") }

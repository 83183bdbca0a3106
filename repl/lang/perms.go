package lang

import (
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// ParsePerms reads permissions: rw, r-x, none, ---, PROT_READ|PROT_WRITE.
func ParsePerms(s string) (memmap.AccessType, error) {
	if s == "none" {
		return memmap.NoAccess, nil
	}
	if bits, ok := joined(s, "PROT_"); ok && bits <= 7 {
		return memmap.AccessFromProt(int(bits)), nil
	}
	var a memmap.AccessType
	if !permLetters(s, &a) {
		return a, fmt.Errorf("%q is no permission: write rw, r-x, none or PROT_READ|PROT_WRITE", s)
	}
	return a, nil
}

// permLetters reads letters of rwx in that order, or three places of which a - is
// empty.
func permLetters(s string, a *memmap.AccessType) bool {
	if s == "" || len(s) > 3 {
		return false
	}
	bits := [3]*bool{&a.Read, &a.Write, &a.Execute}
	if strings.Contains(s, "-") {
		for i := range len(s) {
			if s[i] != '-' && s[i] != "rwx"[i] {
				return false
			}
			*bits[i] = s[i] != '-'
		}
		return len(s) == 3
	}
	from := 0
	for i := range len(s) {
		at := strings.IndexByte("rwx"[from:], s[i])
		if at < 0 {
			return false
		}
		*bits[from+at] = true
		from += at + 1
	}
	return true
}

// IsPerms reports whether s is a permissions word.
func IsPerms(s string) bool {
	_, err := ParsePerms(s)
	return err == nil
}

// PermPattern is a pattern of permissions as maps prints them: r?x, ?w-p. A ? fits
// all; a fourth letter is p (private) or s (shared).
type PermPattern struct{ letters [4]byte }

// ParsePermPattern reads a pattern of three or four letters.
func ParsePermPattern(s string) (PermPattern, error) {
	p := PermPattern{[4]byte{'?', '?', '?', '?'}}
	ok := len(s) == 3 || len(s) == 4
	for i := 0; ok && i < len(s); i++ {
		allowed := [4]string{"r-?", "w-?", "x-?", "ps?"}[i]
		ok = strings.IndexByte(allowed, s[i]) >= 0
		p.letters[i] = s[i]
	}
	if !ok {
		return PermPattern{}, fmt.Errorf("%q is no pattern of permissions: write as in r?x, ?w- or rw-p, ? for any", s)
	}
	return p, nil
}

// Match reports whether a mapping's permissions fit.
func (p PermPattern) Match(a memmap.AccessType, shared bool) bool {
	printed := a.String() + "p"
	if shared {
		printed = a.String() + "s"
	}
	for i := range p.letters {
		if p.letters[i] != '?' && p.letters[i] != printed[i] {
			return false
		}
	}
	return true
}

// String prints the pattern without a last ?.
func (p PermPattern) String() string {
	if p.letters[3] == '?' {
		return string(p.letters[:3])
	}
	return string(p.letters[:])
}

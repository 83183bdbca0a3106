package lang

import (
	"fmt"
	"strconv"
	"strings"
)

// Format is the /NFU of x and print.
type Format struct {
	Count  int  // how many; negative: backwards; 1 if not given
	Letter byte // x d u o t a c f s i z
	Unit   int  // bytes of one: 1 2 4 8
}

// ParseFormat reads the text behind x/ or print/: [-]COUNT, a letter of xduotacfsiz
// and a unit of bhwg in any order. What is not given is last's, but the count is 1.
// The zero last means x/w; a and c bring units of their own, 8 bytes and 1.
func ParseFormat(s string, last Format) (Format, error) {
	f := Format{Count: 1, Letter: last.Letter, Unit: last.Unit}
	if f.Letter == 0 {
		f.Letter = 'x'
	}
	if f.Unit == 0 {
		f.Unit = 4
	}
	var counted, lettered, sized bool
	for i := 0; i < len(s); {
		unit := strings.IndexByte("bh.w...g", s[i])
		switch {
		case (s[i] == '-' || '0' <= s[i] && s[i] <= '9') && !counted:
			end := i + 1
			for end < len(s) && '0' <= s[end] && s[end] <= '9' {
				end++
			}
			n, err := strconv.ParseInt(s[i:end], 10, 32)
			if err != nil {
				return f, fmt.Errorf("/%s: %q is no count", s, s[i:end])
			}
			f.Count, counted, i = int(n), true, end
			continue
		case strings.IndexByte("xduotacfsiz", s[i]) >= 0 && !lettered:
			f.Letter, lettered = s[i], true
		case unit >= 0 && s[i] != '.' && !sized:
			f.Unit, sized = unit+1, true
		default:
			return f, fmt.Errorf("/%s: %q is not expected: write [-]COUNT, one of xduotacfsiz and one of bhwg", s, s[i])
		}
		i++
	}
	if own := map[byte]int{'a': 8, 'c': 1}[f.Letter]; lettered && !sized && own != 0 {
		f.Unit = own
	}
	return f, nil
}

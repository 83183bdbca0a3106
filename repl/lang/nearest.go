package lang

// Nearest returns the candidate with the least edit distance to word, the first
// of equals in the alphabet; "" if none is close enough to be meant: one edit, and one
// more for each four letters.
func Nearest(word string, candidates []string) string {
	best, limit := "", 1+len(word)/4
	least := limit + 1
	for _, c := range candidates {
		if c == "" || max(len(c), len(word))-min(len(c), len(word)) > limit {
			continue
		}
		d := distance(word, c)
		if d < least && d < max(len(word), len(c)) || d == least && d <= limit && c < best {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment, by bytes).
func distance(a, b string) int {
	before := make([]int, len(b)+1) // two rows up
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

package lang

// Nearest returns the candidate with the least edit distance to word, the first
// of equals in the alphabet; "" if none is close enough to be meant.
func Nearest(word string, candidates []string) string { panic("lang: unwritten") }

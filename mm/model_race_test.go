//go:build race

package mm_test

// modelOps is how many operations TestModel plays: the race detector is slow.
const modelOps = 6_000

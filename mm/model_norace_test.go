//go:build !race

package mm_test

// modelOps is how many operations TestModel plays.
const modelOps = 1_000_000

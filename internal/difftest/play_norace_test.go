//go:build !race

package difftest

// playScripts is how many scripts TestDifferentialPlay plays unless told otherwise.
const playScripts = 2000

//go:build race

package difftest

// playScripts is how many scripts TestDifferentialPlay plays unless told otherwise: the
// race detector is slow.
const playScripts = 100

package sentry

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// random is where guests' random bytes come from.
type random struct {
	mu  sync.Mutex
	det *rand.ChaCha8 // nil: the host's
}

func (r *random) init(s Sched, seed int64) {
	if s != SchedDet {
		return
	}
	var key [32]byte
	copy(key[:], "mmsh guests' random bytes")
	binary.LittleEndian.PutUint64(key[24:], uint64(seed))
	r.det = rand.NewChaCha8(key)
}

func (r *random) read(p []byte) {
	if r.det == nil {
		_, _ = crand.Read(p) // never fails: crypto/rand ends the program instead
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.det.Read(p) // never fails
}

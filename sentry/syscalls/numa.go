package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

const (
	mbindStrict  = 1 << 0 // MPOL_MF_STRICT
	mbindMove    = 1 << 1 // MPOL_MF_MOVE
	mbindMoveAll = 1 << 2 // MPOL_MF_MOVE_ALL

	policyOfNode = 1 << 0 // MPOL_F_NODE
	policyAtAddr = 1 << 1 // MPOL_F_ADDR
	policyMems   = 1 << 2 // MPOL_F_MEMS_ALLOWED

	numNodes = 1
	wordBits = 64
)

// mbind(addr, length, mode, nodes, maxnode, flags).
func mbind(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "mbind"
	mode, flags := int(i32(a[2])), uint32(a[5])
	if err := mm.CheckPolicyMode(op, mode); err != nil {
		return 0, err
	}
	nodes, err := nodesArg(t, op, addr(a[3]), a[4])
	if err != nil {
		return 0, err
	}
	switch {
	case flags&^(mbindStrict|mbindMove|mbindMoveAll) != 0:
		return 0, invalid(op, "unknown flags %#x", flags)
	case flags&mbindMoveAll != 0 && !t.Process().Credentials().Effective.Has(sentry.CapSysNice):
		return 0, memmap.Refuse(op, unix.EPERM, "MPOL_MF_MOVE_ALL takes CAP_SYS_NICE")
	case !addr(a[0]).IsPageAligned():
		return 0, invalid(op, "%v is not page-aligned", addr(a[0]))
	}
	length, _ := memmap.PageRoundUp(a[1])
	if _, ok := addr(a[0]).ToRange(length); !ok {
		return 0, invalid(op, "%v and length %#x overflow", addr(a[0]), a[1])
	}
	if length == 0 {
		return 0, nil
	}
	p, err := mm.NewPolicy(op, mode, nodes)
	if err != nil {
		return 0, err
	}
	return 0, t.MM().SetPolicy(t.Actor(op), addr(a[0]), length, p, flags == mbindStrict)
}

// set_mempolicy(mode, nodes, maxnode).
func setMempolicy(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "set_mempolicy"
	mode := int(i32(a[0]))
	if err := mm.CheckPolicyMode(op, mode); err != nil {
		return 0, err
	}
	nodes, err := nodesArg(t, op, addr(a[1]), a[2])
	if err != nil {
		return 0, err
	}
	p, err := mm.NewPolicy(op, mode, nodes)
	if err != nil {
		return 0, err
	}
	t.SetMemPolicy(p)
	return 0, nil
}

// set_mempolicy_home_node(addr, length, node, flags).
func setMempolicyHomeNode(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "set_mempolicy_home_node"
	switch {
	case !addr(a[0]).IsPageAligned():
		return 0, invalid(op, "%v is not page-aligned", addr(a[0]))
	case a[3] != 0:
		return 0, invalid(op, "unknown flags %#x", a[3])
	case a[2] >= numNodes:
		return 0, invalid(op, "there is no node %d", a[2])
	}
	return 0, t.MM().SetHomeNode(t.Actor(op), addr(a[0]), a[1])
}

// get_mempolicy(mode, nodes, maxnode, addr, flags).
func getMempolicy(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "get_mempolicy"
	if a[1] != 0 && a[2] < numNodes {
		return 0, invalid(op, "a mask of %d nodes", a[2])
	}
	mode, nodes, err := toldPolicy(t, addr(a[3]), a[4])
	if err != nil {
		return 0, err
	}
	if err := copyOutUnlessNull(t, addr(a[0]), int32(mode)); err != nil || a[1] == 0 {
		return 0, err
	}
	return 0, copyNodes(t, addr(a[1]), a[2], nodes)
}

// toldPolicy is Linux's do_get_mempolicy.
func toldPolicy(t *sentry.Task, at memmap.Addr, flags uint64) (int, mm.Nodes, error) {
	const op = "get_mempolicy"
	var none mm.Nodes
	switch {
	case flags&^(policyOfNode|policyAtAddr|policyMems) != 0:
		return 0, none, invalid(op, "unknown flags %#x", flags)
	case flags == policyMems:
		return 0, mm.OurNodes(), nil
	case flags&policyMems != 0:
		return 0, none, invalid(op, "MPOL_F_MEMS_ALLOWED goes with no other flag")
	case flags&policyAtAddr == 0 && at != 0:
		return 0, none, invalid(op, "an address without MPOL_F_ADDR")
	}
	p := t.MemPolicy()
	if flags&policyAtAddr != 0 {
		var err error
		if p, err = t.MM().PolicyAt(at); err != nil {
			return 0, none, err
		}
	}
	mode, nodes := p.Told()
	if flags&policyOfNode == 0 {
		return mode, nodes, nil
	}
	switch {
	case flags&policyAtAddr != 0: // the node of the page, which comes in for it
		var b [1]byte
		if _, err := guestRead(t, op, at.RoundDown(), b[:]); err != nil {
			return 0, none, err
		}
	case p == nil || p.Mode != mm.PolicyInterleave && p.Mode != mm.PolicyWeightedInterleave:
		return 0, none, invalid(op, "only interleaving has a next node")
	}
	return 0, nodes, nil
}

// nodesArg is Linux's get_nodes: a mask of maxnode-1 bits.
func nodesArg(t *sentry.Task, op string, at memmap.Addr, maxnode uint64) (nodes mm.Nodes, err error) {
	const mostBits = memmap.PageSize * 8
	bits := maxnode - 1
	switch {
	case bits == 0 || at == 0:
		return nodes, nil
	case bits > mostBits:
		return nodes, invalid(op, "a mask of %d nodes", bits)
	}
	words := make([]uint64, (bits+wordBits-1)/wordBits)
	for i := len(words) - 1; i >= 0; i-- { // from the end, as Linux: EINVAL or EFAULT
		w, err := copyIn[uint64](t, at+memmap.Addr(i*8))
		if err != nil {
			return nodes, err
		}
		if left := bits - uint64(i)*wordBits; left < wordBits {
			w &= 1<<left - 1
		}
		if i >= len(nodes) && w != 0 {
			return nodes, invalid(op, "nodes beyond %d", mm.MaxNodes)
		}
		words[i] = w
	}
	copy(nodes[:], words)
	return nodes, nil
}

// copyNodes is Linux's copy_nodes_to_user, which knows as many nodes as there are.
func copyNodes(t *sentry.Task, at memmap.Addr, maxnode uint64, nodes mm.Nodes) error {
	n := (maxnode - 1 + wordBits - 1) / wordBits * 8
	switch {
	case n == 0:
		return nil
	case n > memmap.PageSize:
		return invalid("get_mempolicy", "a mask of %d nodes", maxnode)
	case n > 8:
		if err := t.CopyOut(at+8, make([]byte, n-8)); err != nil {
			return err
		}
	}
	return copyOut(t, at, nodes[0])
}

package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MaxNodes is how many NUMA nodes a mask may name: Linux's MAX_NUMNODES as
// distributions build it. There is one node, 0.
const MaxNodes = 1024

// Nodes is a set of NUMA nodes.
type Nodes [MaxNodes / 64]uint64

// IsEmpty reports whether n has no node.
func (n *Nodes) IsEmpty() bool { return *n == Nodes{} }

// hasOurs reports whether n has the only node there is.
func (n *Nodes) hasOurs() bool { return n[0]&1 != 0 }

// OurNodes are the nodes that there are.
func OurNodes() Nodes { return Nodes{1} }

// Modes of a memory policy, and the flags that are given with them: mbind(2).
const (
	PolicyDefault = iota
	PolicyPreferred
	PolicyBind
	PolicyInterleave
	PolicyLocal
	PolicyPreferredMany
	PolicyWeightedInterleave
	policyModes

	policyBalancing = 1 << 13
	policyRelative  = 1 << 14
	policyStatic    = 1 << 15
	policyFlags     = policyBalancing | policyRelative | policyStatic
)

// Policy says on which nodes memory should lie. It is kept, keeps mappings apart, and
// is told; there is one node, so that it changes nothing else. nil is the default.
// A Policy is never changed.
type Policy struct {
	Mode, Flags int
	User        Nodes // as asked
	Home        int   // the node that is preferred among them, -1: none
}

// NewPolicy makes a policy of mode and its flags, as callers give them, together:
// EINVAL what makes no sense, or names no node that there is.
func NewPolicy(op string, mode int, nodes Nodes) (*Policy, error) {
	p := Policy{Mode: mode &^ policyFlags, Flags: mode & policyFlags, User: nodes, Home: -1}
	if err := p.check(op); err != nil {
		return nil, err
	}
	switch {
	case p.Mode == PolicyDefault:
		return nil, nil
	case p.Mode == PolicyPreferred && nodes.IsEmpty():
		p.Mode = PolicyLocal
	}
	return &p, nil
}

// CheckPolicyMode refuses a mode, flags included, that is wrong whatever the nodes.
func CheckPolicyMode(op string, mode int) error {
	flags := mode & policyFlags
	mode &^= policyFlags
	switch {
	case mode < 0 || mode >= policyModes:
		return memmap.Refuse(op, unix.EINVAL, "there is no mode %d", mode)
	case flags&policyStatic != 0 && flags&policyRelative != 0:
		return memmap.Refuse(op, unix.EINVAL, "nodes cannot be static and relative")
	case flags&policyBalancing != 0 && mode != PolicyBind && mode != PolicyPreferredMany:
		return memmap.Refuse(op, unix.EINVAL, "MPOL_F_NUMA_BALANCING goes with MPOL_BIND and MPOL_PREFERRED_MANY only")
	}
	return nil
}

// check is Linux's mpol_new and mpol_set_nodemask.
func (p *Policy) check(op string) error {
	placed := p.Flags&(policyStatic|policyRelative) != 0
	empty := p.User.IsEmpty()
	switch p.Mode {
	case PolicyDefault:
		if !empty {
			return memmap.Refuse(op, unix.EINVAL, "the default policy has no nodes")
		}
		return nil
	case PolicyLocal:
		if !empty || placed {
			return memmap.Refuse(op, unix.EINVAL, "the local policy has no nodes")
		}
		return nil
	case PolicyPreferred:
		if empty && !placed {
			return nil
		}
	}
	if empty {
		return memmap.Refuse(op, unix.EINVAL, "the policy names no node")
	}
	if p.Flags&policyRelative == 0 && !p.User.hasOurs() {
		return memmap.Refuse(op, unix.EINVAL, "the policy names no node that there is")
	}
	return nil
}

// Told returns mode and nodes as get_mempolicy tells them.
func (p *Policy) Told() (mode int, nodes Nodes) {
	switch {
	case p == nil:
		return PolicyDefault, Nodes{}
	case p.Flags != 0:
		nodes = p.User
	case p.Mode != PolicyLocal:
		nodes = OurNodes()
	}
	return p.Mode | p.Flags, nodes
}

// samePolicy reports whether mappings with a and b may merge: Linux's mpol_equal.
func samePolicy(a, b *Policy) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Mode != b.Mode || a.Flags != b.Flags || a.Home != b.Home {
		return false
	}
	return a.Flags == 0 || a.User == b.User
}

// SetPolicy is mbind(2). strict is MPOL_MF_STRICT without MPOL_MF_MOVE: EIO if a page
// lies where p would not have it.
//
// Errors: EINVAL addr not page-aligned, an overflow; EFAULT a hole, with nothing
// done, but for the default policy (p is nil) only if nothing is mapped at all; ENOMEM vm.max_map_count.
func (mm *MemoryManager) SetPolicy(by *Actor, addr memmap.Addr, length uint64, p *Policy, strict bool) error {
	const op = "mbind"
	ar, err := policyRange(op, addr, length)
	if err != nil || ar.IsEmpty() {
		return err
	}
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	for hole := range mm.vmas.Gaps(ar) {
		if p == nil && hole != ar { // the default goes over holes
			break
		}
		return memmap.Refuse(op, unix.EFAULT, "%v is not mapped (%s)", hole.Start, mm.holeAt(hole.Start))
	}
	if strict && p != nil && !p.User.hasOurs() && mm.residentIn(ar) {
		return memmap.Refuse(op, unix.EIO, "pages in %v lie on node 0", ar)
	}
	mm.note(c, Event{Kind: EventPolicy, Range: ar, Addr: ar.Start})
	var refused error
	err = mm.eachPart(op, ar, func(seg vmaSeg, part memmap.AddrRange) error {
		refused = mm.bindPart(op, seg, part, p)
		return refused
	})
	if p == nil {
		return refused // holes do not matter
	}
	return err
}

// policyRange is the range of a call on policies. As in Linux an overflow of the
// rounding is 0.
func policyRange(op string, addr memmap.Addr, length uint64) (memmap.AddrRange, error) {
	if !addr.IsPageAligned() {
		return memmap.AddrRange{}, unaligned(op, addr)
	}
	length, _ = memmap.PageRoundUp(length)
	ar, ok := addr.ToRange(length)
	if !ok {
		return ar, memmap.Refuse(op, unix.EINVAL, "%v+%#x ends above all addresses", addr, length)
	}
	return ar, nil
}

func (mm *MemoryManager) bindPart(op string, seg vmaSeg, part memmap.AddrRange, p *Policy) error {
	if samePolicy(seg.Value.policy, p) {
		return nil
	}
	if err := mm.maySplit(op, part); err != nil {
		return err
	}
	mm.keepWrittenLocking(seg, part)
	mm.updateVMAs(part, func(v *vma) { v.policy = p })
	return nil
}

// residentIn reports whether a page that Linux would count lies in ar.
func (mm *MemoryManager) residentIn(ar memmap.AddrRange) bool {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	for p := range mm.pmas.In(ar) {
		if p.Value.rss != rssNone {
			return true
		}
	}
	return false
}

// SetHomeNode is set_mempolicy_home_node(2) for node 0.
//
// Errors: EINVAL as SetPolicy; EOPNOTSUPP a policy that is neither MPOL_BIND nor
// MPOL_PREFERRED_MANY, what lies before it is done; ENOENT no policy at all.
func (mm *MemoryManager) SetHomeNode(by *Actor, addr memmap.Addr, length uint64) error {
	const op = "set_mempolicy_home_node"
	ar, err := policyRange(op, addr, length)
	if err != nil || ar.IsEmpty() {
		return err
	}
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	result := error(memmap.Refuse(op, unix.ENOENT, "nothing in %v has a policy", ar))
	refused := mm.eachPart(op, ar, func(seg vmaSeg, part memmap.AddrRange) error {
		old := seg.Value.policy
		if old == nil {
			return nil
		}
		if old.Mode != PolicyBind && old.Mode != PolicyPreferredMany {
			result = memmap.Refuse(op, unix.EOPNOTSUPP, "%v has a policy without a home", part)
			return result
		}
		homed := *old
		homed.Home = 0
		result = mm.bindPart(op, seg, part, &homed)
		mm.note(c, Event{Kind: EventPolicy, Range: part, Addr: part.Start})
		return result
	})
	_ = refused // a hole is no error here, and the rest is result
	return result
}

// PolicyAt returns the policy of the mapping at addr: EFAULT if there is none.
func (mm *MemoryManager) PolicyAt(addr memmap.Addr) (*Policy, error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	seg, ok := mm.vmas.Find(addr)
	if !ok {
		return nil, mm.notMapped("get_mempolicy", addr)
	}
	return seg.Value.policy, nil
}

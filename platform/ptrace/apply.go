package ptrace

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Apply implements platform.AddressSpace.
func (as *AddressSpace) Apply(via platform.Context, ops []platform.MapOp) error {
	for i := range ops {
		if err := as.check(&ops[i]); err != nil {
			return err
		}
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	fs, err := as.files(ops)
	defer as.done(fs)
	if err != nil {
		return err
	}
	c, ok := via.(*Context)
	if !ok || c.as != as {
		return as.keeper.hold(func(t *tracee) error { return as.apply(t, ops, fs) })
	}
	c.stale = true
	return as.apply(c.tracee, ops, fs)
}

// check refuses an op that breaks the contract.
func (as *AddressSpace) check(op *platform.MapOp) error {
	var why string
	switch {
	case op.AR.IsEmpty() || !op.AR.Start.IsPageAligned() || !op.AR.End.IsPageAligned():
		why = "is empty or not page-aligned"
	case !as.p.at.userRange().IsSupersetOf(op.AR):
		why = "leaves the user range " + as.p.at.userRange().String()
	case op.File == nil:
		return nil
	case op.Offset%memmap.PageSize != 0:
		why = fmt.Sprintf("maps from unaligned offset %#x", uint64(op.Offset))
	case !op.At.Any():
		why = "maps with no access"
	case op.At.Write && op.File.FD() < 0:
		why = "maps zeroes writable"
	default:
		return nil
	}
	return fmt.Errorf("map %v: %w: the range %s", op.AR, unix.EINVAL, why)
}

// files knows the stubs' numbers of the descriptors that a few ops name.
type files []struct{ ours, theirs int }

// files returns what the stubs call the descriptors of ops, until done. New ones are
// passed to them first.
func (as *AddressSpace) files(ops []platform.MapOp) (files, error) {
	var fs files
	for i := range ops {
		if ops[i].File == nil {
			continue
		}
		fd := ops[i].File.FD()
		if fd < 0 || fs.find(fd) >= 0 {
			continue
		}
		theirs, err := as.zygote.fd(fd)
		if err != nil {
			return fs, err
		}
		fs = append(fs, struct{ ours, theirs int }{fd, theirs})
	}
	return fs, nil
}

// done says that the descriptors of fs are not named any more.
func (as *AddressSpace) done(fs files) {
	for _, f := range fs {
		as.zygote.fds.done(f.ours)
	}
}

// find returns the stubs' number of our descriptor fd, -1 if fs has it not.
func (fs files) find(fd int) int {
	for _, f := range fs {
		if f.ours == fd {
			return f.theirs
		}
	}
	return -1
}

// apply makes t perform ops: one alone by its registers, many by batches of slots,
// one stop for each.
func (as *AddressSpace) apply(t *tracee, ops []platform.MapOp, fs files) error {
	for len(ops) > 1 {
		n := min(len(ops), slotsPerBatch)
		slots := as.slots.slots()
		for i := range n {
			fill(&slots[i], &ops[i], fs)
		}
		done, err := t.batch(n)
		if cannotRead(err) {
			break
		}
		if err != nil {
			return failedOp(&ops[done], err)
		}
		ops = ops[n:]
	}
	for i := range ops {
		var s slot
		fill(&s, &ops[i], fs)
		if _, err := t.callSlot(&s); err != nil {
			return failedOp(&ops[i], err)
		}
	}
	return nil
}

// cannotRead reports whether a batch failed because the guest has told the
// processor (wrpkru) that its thread may not read memory, the slots included.
func cannotRead(err error) bool {
	const segvPkuErr = 4
	var e *injectError
	return errors.As(err, &e) && e.sig == unix.SIGSEGV && e.si.Code == segvPkuErr
}

func failedOp(op *platform.MapOp, err error) error {
	if op.File == nil {
		return fmt.Errorf("unmap %v: %w", op.AR, err)
	}
	return fmt.Errorf("map %v %v: %w", op.AR, op.At, err)
}

// fill writes the system call that performs op.
func fill(s *slot, op *platform.MapOp, fs files) {
	start, length := uint64(op.AR.Start), op.AR.Length()
	if op.File == nil {
		*s = slot{nr: unix.SYS_MUNMAP, args: [6]uint64{start, length}}
		return
	}
	flags, fd, offset := unix.MAP_FIXED|unix.MAP_SHARED, ^uint64(0), uint64(op.Offset)
	if n := op.File.FD(); n >= 0 {
		fd = uint64(fs.find(n))
	} else {
		flags, offset = unix.MAP_FIXED|unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, 0
	}
	if op.Populate {
		flags |= unix.MAP_POPULATE
	}
	*s = slot{nr: unix.SYS_MMAP, args: [6]uint64{start, length, uint64(op.At.Effective().Prot()), uint64(flags), fd, offset}}
}

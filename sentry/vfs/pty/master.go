package pty

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// master is the open master.
type master struct {
	end
	node   *node
	closed atomic.Bool
}

// PRead implements vfs.File. In packet mode the first byte says what the others are.
func (m *master) PRead(b []byte, _ int64) (n int, err error) {
	m.do(func() { n, err = m.readMaster(b) })
	return n, err
}

func (m *master) readMaster(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case m.packet && m.status != 0:
		b[0], m.status = m.status, 0
		return 1, nil
	case len(m.out.queue) == 0 && m.left:
		return 0, fmt.Errorf("%w: the terminal is not open any more", unix.EIO)
	case len(m.out.queue) == 0:
		return 0, vfs.ErrWouldBlock
	case m.packet:
		b[0] = unix.TIOCPKT_DATA
		return 1 + m.out.take(b[1:]), nil
	}
	return m.out.take(b), nil
}

// PWrite implements vfs.File: it is as if typed.
func (m *master) PWrite(b []byte, _ int64) (n int, err error) {
	m.do(func() {
		if !m.held {
			n = m.typed(b)
		}
	})
	if n < len(b) {
		return n, vfs.ErrWouldBlock
	}
	return n, nil
}

// Ready implements vfs.Waiter.
func (m *master) Ready() int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.masterEvents()
}

// Wait implements vfs.Waiter.
func (m *master) Wait(events int16) (<-chan struct{}, func()) {
	return m.masters.Wait(events, m.Ready)
}

// Queued implements vfs.Queued.
func (m *master) Queued() (n int, err error) {
	m.do(func() { n = min(len(m.out.queue), masterRead) })
	return n, nil
}

// Flush implements vfs.Terminal: of the master's own queues.
func (m *master) Flush(queue int) (err error) {
	m.do(func() {
		switch queue {
		case unix.TCIFLUSH:
			m.out.queue = nil
		case unix.TCOFLUSH:
			m.onHold = nil
		case unix.TCIOFLUSH:
			m.out.queue, m.onHold = nil, nil
		default:
			err = unix.EINVAL
		}
	})
	return err
}

// Flow implements vfs.Terminal. The master has no characters that stop anything.
func (m *master) Flow(action int) (err error) {
	m.do(func() {
		switch action {
		case unix.TCOOFF:
			m.held = true
		case unix.TCOON:
			m.held = false
		case unix.TCIOFF:
			m.typed([]byte{'S' & 31})
		case unix.TCION:
			m.typed([]byte{'Q' & 31})
		default:
			err = unix.EINVAL
		}
	})
	return err
}

// Insert implements vfs.Terminal.
func (m *master) Insert(b byte) error {
	m.do(func() {
		if m.out.room() > 0 {
			m.out.put(b)
		}
	})
	return nil
}

// Pace implements vfs.Terminal.
func (m *master) Pace() vfs.Pace { return vfs.Pace{Least: 1} }

// Arrival implements vfs.Terminal.
func (m *master) Arrival() (<-chan struct{}, func()) { return m.Wait(unix.POLLIN) }

// Number implements vfs.Master.
func (m *master) Number() int { return m.number }

// Locked and Lock implement vfs.Master.
func (m *master) Locked() (on bool) {
	m.do(func() { on = m.locked })
	return on
}

func (m *master) Lock(on bool) { m.do(func() { m.locked = on }) }

// PacketMode and SetPacketMode implement vfs.Master.
func (m *master) PacketMode() (on bool) {
	m.do(func() { on = m.packet })
	return on
}

func (m *master) SetPacketMode(on bool) {
	m.do(func() {
		if on && !m.packet {
			m.status = 0
		}
		m.packet = on
	})
}

// Peer implements vfs.Master.
func (m *master) Peer(flags int) (*vfs.Description, error) {
	n := m.fs.slaveNode(m.pair)
	f, err := n.Open(flags)
	if err != nil {
		return nil, err
	}
	return vfs.NewOpenFile(m.fs, f, flags, m.fs.path(m.number)), nil
}

// Signal implements vfs.Master.
func (m *master) Signal(sig unix.Signal) { m.do(func() { m.signal(sig) }) }

// Reopen implements vfs.Reopener: it is another pair.
func (m *master) Reopen(flags int) (vfs.File, error) { return m.node.Open(flags) }

// Release implements vfs.File: the terminal is hung up.
func (m *master) Release() error {
	if m.closed.Swap(true) {
		return nil
	}
	m.fs.remove(m.number)
	m.do(func() {
		m.hung = true
		m.in.reset()
		m.out = output{}
		m.onHold = nil
	})
	if jobs := m.fs.jobs(); jobs != nil {
		jobs.Hangup(&m.tty)
	}
	return nil
}

package ipc

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

const page = memmap.PageSize

// newTable returns a table whose memory must be empty in the end.
func newTable(t *testing.T) *Table {
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := New(mem, func() time.Time { return time.Unix(100, 0) })
	t.Cleanup(func() {
		table.Close()
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

var root = Caller{PID: 2, Owner: true, Admin: true, Lock: true}

func wantErrno(t *testing.T, what string, err error, want unix.Errno) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// A key leads to one segment until that is removed.
func TestKeys(t *testing.T) {
	table := newTable(t)
	_, err := table.Get(root, 7, page, 0o600)
	wantErrno(t, "no such key", err, unix.ENOENT)
	id, err := table.Get(root, 7, 5000, unix.IPC_CREAT|0o640)
	wantErrno(t, "made", err, 0)
	for _, tt := range []struct {
		size  uint64
		flags int32
		want  unix.Errno
	}{
		{5000, unix.IPC_CREAT | unix.IPC_EXCL, unix.EEXIST},
		{5001, 0, unix.EINVAL},
		{8192, unix.IPC_CREAT, unix.EINVAL},
		{0, 0, 0},
		{5000, unix.IPC_CREAT, 0},
	} {
		got, err := table.Get(root, 7, tt.size, tt.flags)
		wantErrno(t, "again", err, tt.want)
		if err == nil && got != id {
			t.Errorf("id %d, want %d", got, id)
		}
	}
	private, err := table.Get(root, unix.IPC_PRIVATE, page, 0o600)
	if err != nil || private != id+1 {
		t.Errorf("private: %d, %v", private, err)
	}
	wantErrno(t, "removal", table.Remove(root, id), 0)
	_, err = table.Get(root, 7, 0, 0)
	wantErrno(t, "removed", err, unix.ENOENT)
	if again, err := table.Get(root, 7, page, unix.IPC_CREAT); err != nil || again != private+1 {
		t.Errorf("ids go on: %d, %v", again, err)
	}
}

// Permissions are asked as for files, and changes are the owner's.
func TestPermissions(t *testing.T) {
	table := newTable(t)
	id, err := table.Get(root, 7, page, unix.IPC_CREAT|0o640)
	wantErrno(t, "made", err, 0)
	other, group := Caller{UID: 5, GID: 5}, Caller{UID: 5, GID: 5, Groups: []uint32{0}}
	_, err = table.Get(other, 7, 0, 0)
	wantErrno(t, "nothing asked for", err, 0)
	_, err = table.Get(other, 7, 0, 0o400)
	wantErrno(t, "reading", err, unix.EACCES)
	_, _, err = table.Attach(group, id, 0)
	wantErrno(t, "the group writes", err, unix.EACCES)
	a, o, err := table.Attach(group, id, unix.SHM_RDONLY)
	if err != nil || o.MaxPerms.Write {
		t.Fatal(o, err)
	}
	a.DecRef()
	wantErrno(t, "another removes", table.Remove(other, id), unix.EPERM)
	wantErrno(t, "another locks", table.Lock(other, id, true, true), unix.EPERM)
	wantErrno(t, "another sets", table.Set(other, id, 5, 5, 0o777), unix.EPERM)
	wantErrno(t, "nobody owns", table.Set(root, id, ^uint32(0), 0, 0), unix.EINVAL)
	wantErrno(t, "given away", table.Set(root, id, 5, 5, 0o7600), 0)
	wantErrno(t, "the new owner, without a limit", table.Lock(other, id, true, false), unix.EPERM)
	wantErrno(t, "the new owner", table.Lock(other, id, true, true), 0)
	s, err := table.ByID(id)
	if err != nil || s.Stat().Mode != modeLocked|0o600 {
		t.Errorf("mode %o, %v", s.Stat().Mode, err)
	}
	wantErrno(t, "no such segment", table.Remove(root, id+1), unix.EINVAL)
}

// A removed segment lives as long as it is attached, without a key.
func TestRemovalWaitsForTheLastAttachment(t *testing.T) {
	table := newTable(t)
	id, err := table.Get(root, 7, 3*page, unix.IPC_CREAT|0o600)
	wantErrno(t, "made", err, 0)
	a, o, err := table.Attach(root, id, 0)
	if err != nil || o.Length != 3*page || o.Identity.MappedName() != "/SYSV00000007 (deleted)" || o.Identity.InodeID() != uint64(id) {
		t.Fatal(o, err)
	}
	mr := memmap.MappableRange{End: page}
	if _, err := o.Mappable.Translate(mr, mr, memmap.Write); err != nil {
		t.Fatal(err)
	}
	wantErrno(t, "removal", table.Remove(root, id), 0)
	b, _, err := table.Attach(root, id, 0)
	wantErrno(t, "attached once more", err, 0)
	a.DecRef()
	s, err := table.ByID(id)
	if err != nil || s.Stat().Key != 0 || s.Stat().Mode != modeDest|0o600 || s.Stat().Resident == 0 {
		t.Errorf("%+v, %v", s.Stat(), err)
	}
	b.DecRef()
	_, err = table.ByID(id)
	wantErrno(t, "gone", err, unix.EINVAL)
}

// Sizes and numbers have Linux's bounds.
func TestBounds(t *testing.T) {
	table := newTable(t)
	for _, size := range []uint64{0, ^uint64(0), MaxSize + 1, MaxSize} {
		_, err := table.Get(root, unix.IPC_PRIVATE, size, 0o600)
		wantErrno(t, "size", err, unix.EINVAL)
	}
	for range MaxSegments {
		if _, err := table.Get(root, unix.IPC_PRIVATE, 1, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := table.Get(root, unix.IPC_PRIVATE, 1, 0o600)
	wantErrno(t, "one too many", err, unix.ENOSPC)
	wantErrno(t, "removal", table.Remove(root, 17), 0)
	if id, err := table.Get(root, unix.IPC_PRIVATE, 1, 0o600); err != nil || id != 1<<indexBits|17 {
		t.Errorf("the next round: %#x, %v", id, err)
	}
}

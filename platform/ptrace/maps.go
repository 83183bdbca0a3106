package ptrace

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// parseMaps reads the text of a /proc/PID/maps, without the vsyscall page, which
// every process has.
func parseMaps(text string) ([]platform.HostMapping, error) {
	var ms []platform.HostMapping
	for line := range strings.Lines(text) {
		m, err := parseMapsLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("maps line %q: %w", line, err)
		}
		if m.Name != "[vsyscall]" {
			ms = append(ms, m)
		}
	}
	return ms, nil
}

// parseMapsLine reads one line:
//
//	00010000-00011000 r-xp 00001000 00:01 1234      /memfd:mmsh-stub (deleted)
func parseMapsLine(line string) (platform.HostMapping, error) {
	var m platform.HostMapping
	var fields [5]string
	rest := line
	for i := range fields {
		fields[i], rest, _ = strings.Cut(rest, " ")
	}
	m.Name = strings.TrimLeft(rest, " ")

	var err error
	hex := func(s string) uint64 {
		v, e := strconv.ParseUint(s, 16, 64)
		if e != nil && err == nil {
			err = e
		}
		return v
	}
	start, end, _ := strings.Cut(fields[0], "-")
	m.AR = memmap.AddrRange{Start: memmap.Addr(hex(start)), End: memmap.Addr(hex(end))}
	perms := fields[1]
	if len(perms) != 4 {
		return m, fmt.Errorf("permissions %q", perms)
	}
	m.Perms = memmap.AccessType{Read: perms[0] == 'r', Write: perms[1] == 'w', Execute: perms[2] == 'x'}
	m.Shared = perms[3] == 's'
	m.Offset = hex(fields[2])
	major, minor, _ := strings.Cut(fields[3], ":")
	m.Dev = unix.Mkdev(uint32(hex(major)), uint32(hex(minor)))
	inode, e := strconv.ParseUint(fields[4], 10, 64)
	if e != nil && err == nil {
		err = e
	}
	m.Inode = inode
	return m, err
}

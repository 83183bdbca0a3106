package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sqlite compiles the guest of the tests below, with Debian's sqlite3 in it.
func sqlite(t *testing.T) string {
	t.Helper()
	guest := filepath.Join(t.TempDir(), "sqlite")
	cmd := exec.Command("gcc", "-static", "-O1", "-o", guest, "testdata/sqlite.c", "-lsqlite3", "-lm", "-lpthread", "-ldl")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return guest
}

// rows asks sqlite on the host whether the database is whole, and how many rows it has.
func rows(t *testing.T, guest, db string) int {
	t.Helper()
	out, err := exec.Command(guest, "check", db).CombinedOutput()
	var n int
	if _, scan := fmt.Sscanf(string(out), "ok\n%d\n", &n); err != nil || scan != nil {
		t.Fatalf("integrity_check: %v\n%s", err, out)
	}
	return n
}

// TestDatabase: sqlite3 keeps a database with a shared index in a directory of the
// host's, several guests at once, and the host finds it whole; so it does in the
// private layer, and the host finds nothing.
func TestDatabase(t *testing.T) {
	guest, dir := sqlite(t), t.TempDir()
	for i, flags := range [][]string{{"run"}, {"run", "--rw", dir}, {"--batch", "-c", "run", "--rw", dir}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			file := filepath.Join(dir, fmt.Sprintf("%d.db", i))
			r := mmsh(t, "", append(append(flags, "--"), guest, "insert", file)...)
			needs(t, "output", r.out, `journal wal`, `another process counts 8100`, `10000 safe`)
			if r.status != 0 {
				t.Fatalf("status %d: %s", r.status, r.err)
			}
			found, err := filepath.Glob(file + "*")
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if len(found) > 0 {
					t.Errorf("the host has %v", found)
				}
				return
			}
			if n := rows(t, guest, file); n != 10000 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

// TestDatabaseKilled: mmsh is killed while its guest inserts. What sqlite said is
// safe is there, and the database is whole.
func TestDatabaseKilled(t *testing.T) {
	guest, dir := sqlite(t), t.TempDir()
	db := filepath.Join(dir, "x.db")
	cmd := exec.Command(builtMmsh, "run", "--rw", dir, "--", guest, "insert", db)
	cmd.WaitDelay = time.Minute
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	safe := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "%d safe", &safe); err == nil && safe == 3000 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if n := rows(t, guest, db); safe < 3000 || n < safe {
		t.Errorf("%d rows, %d were said to be safe", n, safe)
	}
}

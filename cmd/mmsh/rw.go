package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
)

// writablePath is one --rw.
type writablePath struct {
	given string // as it was typed
	host  string // real, absolute
	guest string // its place in the guests' tree
}

// resolveWritable finds where every --rw lies, and refuses what cannot be written.
func (o *options) resolveWritable() error {
	for i := range o.rw {
		w := &o.rw[i]
		if err := o.resolve(w); err != nil {
			return fmt.Errorf("--rw %s: %w", w.given, err)
		}
		fs, err := hostfs.NewWritable(w.host, nil, hostfs.Options{})
		if err != nil {
			return fmt.Errorf("--rw %s: %w", w.given, err)
		}
		_ = fs.Close() // it was opened to be refused now rather than later
	}
	return nil
}

// resolve fills in host and guest.
func (o *options) resolve(w *writablePath) (err error) {
	if w.host, err = real(w.given); err != nil {
		return err
	}
	w.guest = w.host
	if o.root == "" {
		return nil
	}
	root, err := real(o.root)
	if err != nil {
		return fmt.Errorf("--root %s: %w", o.root, err)
	}
	rest, inside := strings.CutPrefix(w.host, strings.TrimSuffix(root, "/"))
	if !inside || rest != "" && rest[0] != '/' {
		return fmt.Errorf("%w: it lies outside of --root %s", unix.EXDEV, o.root)
	}
	w.guest = "/" + strings.TrimPrefix(rest, "/")
	return nil
}

// real returns the absolute path without symbolic links.
func real(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// writables are the file systems of all --rw.
type writables []*hostfs.FS

// mountWritable mounts every --rw over tree. The caller closes what is returned.
func (m *machine) mountWritable(tree *vfs.Tree, cache *pagecache.Cache) (writables, error) {
	var all writables
	for _, w := range m.options.rw {
		fs, err := hostfs.NewWritable(w.host, cache, hostfs.Options{At: w.guest})
		if err != nil {
			all.close()
			return nil, fmt.Errorf("--rw %s: %w", w.given, err)
		}
		tree.Mount(w.guest, fs)
		all = append(all, fs)
	}
	return all, nil
}

// setClock gives the files the guests' time.
func (all writables) setClock(k *sentry.Kernel) {
	for _, fs := range all {
		fs.SetClock(k.Clock().Now)
	}
}

func (all writables) close() {
	for _, fs := range all {
		_ = fs.Close() // the root's handle: nothing is written through it
	}
}

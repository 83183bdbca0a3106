package syscalls

import "mmsh.dev/mmsh/sentry"

// Protection keys are answered as by Linux on a processor without them.

// pkey_mprotect(addr, length, prot, pkey): only -1, no key, can be meant.
func pkeyMprotect(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[3]) == -1 || a[1] == 0 {
		return mprotect(t, a)
	}
	if err := checkMprotect(a); err != nil {
		return 0, err
	}
	return 0, invalid("pkey_mprotect", "key %d is not allocated: the processor has none", i32(a[3]))
}

// pkey_alloc(flags, rights).
func pkeyAlloc(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const accessMask = 0x3 // PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE
	if a[0] != 0 || a[1]&^accessMask != 0 {
		return 0, invalid("pkey_alloc", "flags %#x, rights %#x", a[0], a[1])
	}
	return 0, t.MM().AllocKey()
}

// pkey_free(pkey).
func pkeyFree(_ *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, invalid("pkey_free", "key %d is not allocated", i32(a[0]))
}

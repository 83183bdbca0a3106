// What the guests share that use a userfaultfd.
#include "guest.h"
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <sys/ioctl.h>

#define AT(i) ((char *)PLACE + (i) * PAGE)
#define RANGE(at, n) { .start = (unsigned long)(at), .len = (n) }

static int uffd;

static inline long ctl(unsigned long request, void *arg)
{
	long r = ioctl(uffd, request, arg);
	return r < 0 ? -errno : r;
}

static inline void protect(void *at, unsigned long n, unsigned long mode)
{
	struct uffdio_writeprotect w = { .range = RANGE(at, n), .mode = mode };
	printf("writeprotect %p+%#lx mode %#lx = %s\n", at, n, mode, outcome(ctl(UFFDIO_WRITEPROTECT, &w)));
}

static sigjmp_buf back;

static inline void caught(int sig, siginfo_t *si, void *u)
{
	(void)u;
	printf("signal %d code %d at %p\n", sig, si->si_code, si->si_addr);
	siglongjmp(back, 1);
}

static inline void load(char *p)
{
	if (!sigsetjmp(back, 1))
		printf("load %p: %02x\n", p, *(volatile char *)p);
}

static inline void store(char *p, char c)
{
	if (!sigsetjmp(back, 1)) {
		*(volatile char *)p = c;
		printf("store %p\n", p);
	}
}

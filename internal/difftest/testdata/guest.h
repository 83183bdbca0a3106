// What all guests of the differential tests use: raw calls, printed with what they
// returned or the name of their errno.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_mseal // newer than some C libraries
#define SYS_mseal 462
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

#define PAGE 4096UL
// A place where the layout has nothing: fixed addresses of tests.
#define PLACE 0x20000000UL

static inline long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);
	return r == -1 ? -errno : r;
}

static inline const char *outcome(long r)
{
	static char text[4][64];
	static int turn;
	char *s = text[turn++ % 4];
	if (r < 0 && r > -4096)
		snprintf(s, 64, "%s", strerrorname_np(-r) ? strerrorname_np(-r) : "E?");
	else
		snprintf(s, 64, "%#lx", (unsigned long)r);
	return s;
}

#define ARG(x) ((long)(x))
#define CALL6(name, a, b, c, d, e, f) \
	printf("%s(%s, %s, %s, %s, %s, %s) = %s\n", #name, #a, #b, #c, #d, #e, #f, \
	       outcome(raw(SYS_##name, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))))
#define CALL(name, ...) CALLN(name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALLN(name, a, b, c, d, e, f, ...) CALL6(name, a, b, c, d, e, f)
#define NR(name, ...) RAWN(SYS_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAWN(nr, a, b, c, d, e, f, ...) raw(nr, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))

// pace is n times the milliseconds that the environment's SETTLE gives the host's kernel
// to pass on what was written: see ComparePaced.
static inline struct timespec pace(long n)
{
	const char *ms = getenv("SETTLE");
	long ns = n * 1000000 * (ms ? atol(ms) : 5);
	return (struct timespec){ns / 1000000000, ns % 1000000000};
}

// slurp reads a file of /proc whole. The next call overwrites it.
static inline char *slurp(const char *path)
{
	static char text[1 << 18];
	int fd = open(path, O_RDONLY);
	long n, len = 0;
	while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	return text;
}

// keep_ringing rings SIGALRM again and again, or no more: one that rings once may come before
// the call that it is to interrupt.
static inline void keep_ringing(int on)
{
	struct itimerval t = {{0, on ? 20000 : 0}, {0, on ? 20000 : 0}};
	setitimer(ITIMER_REAL, &t, NULL);
}

// INTERRUPTED is CALL of what waits until a signal comes.
#define INTERRUPTED(name, ...) \
	do { \
		keep_ringing(1); \
		long r_ = NR(name, __VA_ARGS__); \
		keep_ringing(0); \
		printf("interrupted %s(%s) = %s\n", #name, #__VA_ARGS__, outcome(r_)); \
	} while (0)

// show_maps prints /proc/self/maps.
static inline void show_maps(const char *when)
{
	printf("maps %s:\n%s", when, slurp("/proc/self/maps"));
	fflush(stdout);
}

// show_maps_in prints the lines of maps that touch [from, to).
static inline void show_maps_in(const char *when, unsigned long from, unsigned long to)
{
	printf("maps %s:\n", when);
	for (char *l = strtok(slurp("/proc/self/maps"), "\n"); l; l = strtok(NULL, "\n")) {
		unsigned long a, b;
		if (sscanf(l, "%lx-%lx", &a, &b) == 2 && a < to && b > from)
			printf("  %s\n", l);
	}
}

// core prints which of the pages are in memory.
static inline void core(unsigned long addr, unsigned long pages)
{
	unsigned char vec[64];
	memset(vec, 9, sizeof vec);
	printf(" core %s:", outcome(NR(mincore, addr, pages * PAGE, vec)));
	for (unsigned long i = 0; i < pages; i++)
		printf(" %d", vec[i] & 1);
	printf("\n");
}

// DO prints a call of the C library and whether it failed.
#define DO(x) \
	do { \
		errno = 0; \
		long r_ = (long)(x); \
		printf("  %s = %s\n", #x, r_ == -1 ? strerrorname_np(errno) : "ok"); \
	} while (0)

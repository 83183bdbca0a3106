// mlock and its family: ranges, holes, kinds of memory, modes, limits, and what
// mmap, mremap, mprotect, brk, fork and munmap make of locked memory.
#include "guest.h"
#include <sys/resource.h>

#define N(a) (sizeof(a) / sizeof *(a))

static void status(const char *when)
{
	static char buf[1 << 14];
	int fd = open("/proc/self/status", O_RDONLY);
	long n = read(fd, buf, sizeof buf - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	char *l = strstr(buf, "VmLck:");
	printf("%s: %.*s\n", when, l ? (int)strcspn(l, "\n") : 0, l ? l : "");
}

static void setup(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, 2 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 7 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
	NR(mmap, PLACE + 10 * PAGE, PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mprotect, PLACE + 3 * PAGE, PAGE, 0);
}

static void ranges(void)
{
	static const unsigned long addrs[] = {PLACE, PLACE + 1, PLACE + 2 * PAGE, PLACE + 3 * PAGE, PLACE + 4 * PAGE, PLACE + 5 * PAGE, PLACE + 7 * PAGE, PLACE + 8 * PAGE, PLACE + 10 * PAGE, PLACE + 20 * PAGE, 0x7ffffffff000, -PAGE};
	static const unsigned long lens[] = {0, 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE, 8 * PAGE, -PAGE, -1UL};
	for (int way = 0; way < 4; way++)
		for (int a = 0; a < N(addrs); a++)
			for (int l = 0; l < N(lens); l++) {
				setup();
				if (way == 3)
					NR(mlock2, PLACE, 3 * PAGE, 1);
				long r = way == 0 ? NR(mlock, addrs[a], lens[l]) : way == 3 ? NR(munlock, addrs[a], lens[l]) : NR(mlock2, addrs[a], lens[l], way - 1);
				printf("way %d (%#lx, %#lx) = %s", way, addrs[a], lens[l], outcome(r));
				core(PLACE, 4);
				status("locked");
				show_maps_in("locked", PLACE, PLACE + 64 * PAGE);
			}
	CALL(mlock2, PLACE, PAGE, 2);
	CALL(mlock2, PLACE, PAGE, -1);
}

static void others(void)
{
	setup();
	NR(mlock, PLACE, 2 * PAGE);
	CALL(munmap, PLACE + PAGE, PAGE);
	status("unmapped");
	CALL(mremap, PLACE, PAGE, 2 * PAGE, 0, 0);
	core(PLACE, 4);
	status("grown");
	CALL(mremap, PLACE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE + 30 * PAGE);
	core(PLACE + 30 * PAGE, 4);
	status("moved");
	CALL(mprotect, PLACE + 30 * PAGE, PAGE, 1);
	show_maps_in("moved", PLACE, PLACE + 64 * PAGE);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, MADV_DONTNEED);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, 24); // DONTNEED_LOCKED
	core(PLACE + 30 * PAGE, 4);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, MADV_FREE);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, 20);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, 21);
	CALL(madvise, PLACE + 31 * PAGE, PAGE, MADV_REMOVE);
	CALL(msync, PLACE + 30 * PAGE, PAGE, MS_INVALIDATE);
	CALL(mmap, PLACE + 30 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	status("replaced");
	NR(munmap, PLACE, 64 * PAGE);
	status("nothing");
	// Locked memory that becomes writable comes in at once.
	NR(mmap, PLACE, 4 * PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CALL(mlock, PLACE, 4 * PAGE);
	CALL(mprotect, PLACE, PAGE, 1);
	core(PLACE, 4);
	CALL(mprotect, PLACE + PAGE, PAGE, 3);
	core(PLACE, 4);
	CALL(mmap, PLACE + 8 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0);
	CALL(mmap, PLACE + 10 * PAGE, 2 * PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0);
	core(PLACE + 8 * PAGE, 4);
	status("mmap");
	fflush(stdout);
	if (fork() == 0) {
		status("child");
		show_maps_in("child", PLACE, PLACE + 64 * PAGE);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	show_maps_in("parent", PLACE, PLACE + 64 * PAGE);
	CALL(munlock, PLACE, 4 * PAGE);
	status("unlocked");
	NR(munmap, PLACE, 64 * PAGE);
}

static void all(void)
{
	static const int flags[] = {0, -1, 4, 8, 2, 6, 2 | 4, 0x100};
	for (int i = 0; i < N(flags); i++) {
		CALL(mlockall, flags[i]);
		CALL(mmap, PLACE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		core(PLACE, 2);
		CALL(mmap, PLACE + 2 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0);
		core(PLACE + 2 * PAGE, 2);
		CALL(mmap, PLACE + 4 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
		core(PLACE + 4 * PAGE, 2);
		status("all");
		show_maps_in("all", PLACE, PLACE + 64 * PAGE);
		CALL(munlockall, 0);
		status("none");
		NR(munmap, PLACE, 64 * PAGE);
	}
	setup();
	CALL(mlockall, 1 | 4);
	core(PLACE, 4);
	CALL(mmap, PLACE + 20 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	show_maps_in("current", PLACE, PLACE + 64 * PAGE);
	CALL(mlockall, 1);
	core(PLACE, 4);
	core(PLACE + 5 * PAGE, 2);
	show_maps_in("eager", PLACE, PLACE + 64 * PAGE);
	CALL(munlockall, 0);
	status("end");
}

static void limit(unsigned long cur)
{
	struct rlimit r = {cur, 1 << 20};
	printf("limit %lu: %s\n", cur, outcome(NR(prlimit64, 0, RLIMIT_MEMLOCK, &r, 0)));
}

static void unprivileged(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 32 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	limit(8 * PAGE);
	printf("setuid %d\n", setresuid(65534, 65534, 65534));
	CALL(mlock, PLACE, 9 * PAGE);
	CALL(mlock, PLACE, 8 * PAGE);
	CALL(mlock, PLACE + 4 * PAGE, 5 * PAGE);
	CALL(mlock, PLACE + 4 * PAGE, 4 * PAGE);
	CALL(mlock2, PLACE + 8 * PAGE, PAGE, 1);
	CALL(mlock, PLACE, -PAGE);
	CALL(mlock, -PAGE, PAGE);
	CALL(mlock, PLACE + 40 * PAGE, PAGE);
	CALL(mlockall, 1);
	CALL(mlockall, 2);
	CALL(mmap, PLACE + 40 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CALL(mmap, PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CALL(mmap, PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0);
	CALL(mremap, PLACE, PAGE, 34 * PAGE, MREMAP_MAYMOVE, 0);
	CALL(munlockall, 0);
	status("unlocked");
	CALL(mlock, PLACE, 2 * PAGE);
	CALL(mremap, PLACE + PAGE, PAGE, 20 * PAGE, MREMAP_MAYMOVE, 0);
	limit(0);
	CALL(mlock, PLACE, PAGE);
	CALL(mlock, PLACE, 0);
	CALL(mlock2, PLACE, PAGE, 4);
	CALL(munlock, PLACE, PAGE);
	CALL(mlockall, 1);
	CALL(mlockall, 8);
	CALL(munlockall, 0);
	CALL(mmap, PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0);
	CALL(mmap, PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	status("limit 0");
}

int main(void)
{
	static char out[1 << 16];
	setvbuf(stdout, out, _IOFBF, sizeof out);
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	ranges();
	others();
	all();
	unprivileged();
	return 0;
}

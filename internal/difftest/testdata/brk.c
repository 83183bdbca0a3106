// The break: exact bytes, what growing and shrinking keeps, limits.
#include "guest.h"
#include <sys/resource.h>

int main(void)
{
	setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
	unsigned long start = NR(brk, 0);
	long steps[] = {1, PAGE, PAGE + 1, 3 * PAGE, 100 * PAGE, 3 * PAGE - 1, 2 * PAGE, 0, -1, 10 * PAGE};
	printf("start %#lx\n", start);
	for (int i = 0; i < sizeof steps / sizeof *steps; i++)
		printf("brk(start%+ld) = start%+ld\n", steps[i], NR(brk, start + steps[i]) - start);
	CALL(brk, 1);
	CALL(brk, 0x7ffffffff000);
	CALL(brk, -1);
	char *p = (char *)start;
	memset(p, 'x', 10 * PAGE);
	NR(brk, start + 5 * PAGE + 100);
	NR(brk, start + 10 * PAGE);
	printf("after shrinking into page 5: %d %d %d\n", p[5 * PAGE + 99], p[5 * PAGE + 101], p[6 * PAGE]);
	// Something in the way.
	unsigned long end = (start + 10 * PAGE + PAGE - 1) & -PAGE;
	NR(mmap, end + 4 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	printf("into a mapping: start%+ld\n", NR(brk, end + 10 * PAGE) - start);
	printf("up to a mapping: start%+ld\n", NR(brk, end + 4 * PAGE) - start);
	struct rlimit l = {1 << 20, RLIM_INFINITY};
	setrlimit(RLIMIT_DATA, &l);
	NR(munmap, end + 4 * PAGE, PAGE);
	printf("beyond RLIMIT_DATA: start%+ld\n", NR(brk, start + (4 << 20)) - start);
	l.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_DATA, &l);
	NR(brk, start + PAGE);
	show_maps("with a small heap");
	return 0;
}

// remap_file_pages on shared anonymous memory, and membarrier's registrations.
#include "guest.h"

#define N(a) (sizeof(a) / sizeof *(a))

static void setup(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 6 * PAGE, PAGE, 1, MAP_SHARED | MAP_FIXED, 3, 0);
	for (int i = 0; i < 4; i++)
		*(char *)(PLACE + i * PAGE) = 'a' + i;
}

static void remaps(void)
{
	static const unsigned long addrs[] = {PLACE, PLACE + 1, PLACE + PAGE, PLACE + 3 * PAGE, PLACE + 4 * PAGE, PLACE + 5 * PAGE, PLACE + 6 * PAGE, -PAGE};
	static const unsigned long sizes[] = {0, 1, PAGE, 2 * PAGE, 3 * PAGE, 8 * PAGE, -PAGE};
	static const unsigned long offs[] = {0, 1, 2, 3, 1UL << 40, -1UL};
	for (int a = 0; a < N(addrs); a++)
		for (int s = 0; s < N(sizes); s++)
			for (int o = 0; o < N(offs); o++) {
				setup();
				printf("remap %#lx %#lx page %lx: %s\n", addrs[a], sizes[s], offs[o], outcome(NR(remap_file_pages, addrs[a], sizes[s], 0, offs[o], 0)));
				show_maps_in("remapped", PLACE, PLACE + 64 * PAGE);
			}
	setup();
	CALL(remap_file_pages, PLACE, PAGE, 1, 1, 0);
	CALL(remap_file_pages, PLACE, 2 * PAGE, 0, 2, MAP_NONBLOCK);
	for (int i = 0; i < 4; i++)
		printf(" %c", *(char *)(PLACE + i * PAGE));
	CALL(mprotect, PLACE + PAGE, PAGE, 1);
	CALL(remap_file_pages, PLACE, 2 * PAGE, 0, 0, 0);
	CALL(remap_file_pages, PLACE + PAGE, PAGE, 0, 0, 0);
	show_maps_in("protected", PLACE, PLACE + 64 * PAGE);
}

static void barriers(void)
{
	static const int order[] = {0, 1, 2, 8, 32, 128, 512, 4, 512, 64, 8, 32, 512, 256, 128, 512, 16, 8, 512, 1024, -1, 3};
	for (int i = 0; i < N(order); i++)
		printf("membarrier %d: %s %s\n", order[i], outcome(NR(membarrier, order[i], 0, 0)), outcome(NR(membarrier, order[i], 2, 0)));
	fflush(stdout);
	if (fork() == 0) {
		printf("child %s %s\n", outcome(NR(membarrier, 512, 0, 0)), outcome(NR(membarrier, 8, 0, 0)));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int main(void)
{
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	remaps();
	barriers();
	return 0;
}

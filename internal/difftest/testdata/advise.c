// madvise, msync and mincore: ranges, holes and what is left in the pages.
#include "guest.h"

#define N(a) (sizeof(a) / sizeof *(a))

static void setup(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, 2 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 7 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
	for (int i = 0; i < 8; i++)
		if (i != 4)
			*(char *)(PLACE + i * PAGE) = 'a' + i;
	NR(mprotect, PLACE + 3 * PAGE, PAGE, 0);
}

static void contents(void)
{
	for (int i = 0; i < 8; i++)
		if (i != 3 && i != 4)
			printf(" %02x", *(unsigned char *)(PLACE + i * PAGE));
	printf("\n");
}

static void resident(unsigned long addr, unsigned long len)
{
	unsigned char vec[16];
	memset(vec, 9, sizeof vec);
	printf("mincore(%#lx, %#lx) = %s:", addr, len, outcome(NR(mincore, addr, len, vec)));
	for (int i = 0; i < 8; i++)
		printf(" %d", vec[i] & 1 ? 1 : vec[i]);
	printf("\n");
}

int main(void)
{
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	static const int advices[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, 5, 7, MADV_FREE, 11, 12, 13, 14, 15, 16, 17, 19, 20, 22, 23, 24, 26, 99, 104, 1000, -1};
	static const unsigned long addrs[] = {PLACE, PLACE + 1, PLACE + 2 * PAGE, PLACE + 4 * PAGE, PLACE + 5 * PAGE, PLACE + 7 * PAGE, PLACE + 20 * PAGE, 0x7ffffffff000, -PAGE};
	static const unsigned long lens[] = {0, 1, PAGE, 3 * PAGE, 8 * PAGE, -PAGE, -1UL};
	for (int v = 0; v < N(advices); v++)
		for (int a = 0; a < N(addrs); a++)
			for (int l = 0; l < N(lens); l++) {
				setup();
				printf("madvise(%#lx, %#lx, %d) = %s;", addrs[a], lens[l], advices[v], outcome(NR(madvise, addrs[a], lens[l], advices[v])));
				contents();
			}
	static const int populate[] = {22, 23};
	for (int v = 0; v < N(populate); v++) {
		NR(munmap, PLACE, 64 * PAGE);
		NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		NR(mmap, PLACE + 4 * PAGE, PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		NR(mmap, PLACE + 6 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
		printf("populate %d: %s\n", populate[v], outcome(NR(madvise, PLACE, 2 * PAGE, populate[v])));
		resident(PLACE, 4 * PAGE);
		printf("populate %d: %s\n", populate[v], outcome(NR(madvise, PLACE + 4 * PAGE, PAGE, populate[v])));
		printf("populate %d: %s\n", populate[v], outcome(NR(madvise, PLACE + 3 * PAGE, 4 * PAGE, populate[v])));
		printf("populate %d: %s\n", populate[v], outcome(NR(madvise, PLACE + 6 * PAGE, 2 * PAGE, populate[v])));
		resident(PLACE, 5 * PAGE);
	}
	for (int flags = 0; flags < 9; flags++)
		for (int a = 0; a < N(addrs); a++)
			for (int l = 0; l < N(lens); l++) {
				setup();
				printf("msync(%#lx, %#lx, %d) = %s\n", addrs[a], lens[l], flags, outcome(NR(msync, addrs[a], lens[l], flags)));
			}
	setup();
	for (int a = 0; a < N(addrs); a++)
		for (int l = 0; l < N(lens); l++)
			resident(addrs[a], lens[l]);
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 8 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	resident(PLACE, 8 * PAGE);
	*(volatile char *)(PLACE + PAGE) = 1;
	(void)*(volatile char *)(PLACE + 3 * PAGE);
	resident(PLACE, 8 * PAGE);
	NR(madvise, PLACE, 2 * PAGE, MADV_DONTNEED);
	resident(PLACE, 8 * PAGE);
	printf("mincore into nothing: %s\n", outcome(NR(mincore, PLACE, PAGE, 8)));
	printf("mincore beyond: %s\n", outcome(NR(mincore, PLACE, PAGE, -PAGE)));
	return 0;
}

// mremap: every flag with every relation of old and new.
#include "guest.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define AREA (64 * PAGE)

// setup maps, from PLACE: 4 pages rw private | 2 pages r private | hole of 2 |
// 2 pages shared anonymous | hole | 1 page of a file.
static void setup(void)
{
	NR(munmap, PLACE, AREA);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 4; i++)
		*(char *)(PLACE + i * PAGE) = 'a' + i;
	NR(mmap, PLACE + 4 * PAGE, 2 * PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 8 * PAGE, 2 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*(char *)(PLACE + 8 * PAGE) = 's';
	*(char *)(PLACE + 9 * PAGE) = 't';
	NR(mmap, PLACE + 12 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
}

// after shows the area, and what its readable pages begin with.
static void after(void)
{
	static char line[256];
	FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b, x;
		char perms[5];
		if (sscanf(line, "%lx-%lx %4s", &a, &b, perms) != 3 || b <= PLACE || a >= PLACE + AREA)
			continue;
		char *name = strchr(line, 0x2f);
		line[31] = 0; // range, rights, offset
		printf("  %s:", line);
		for (x = a; x < b; x += PAGE) // a file of one page
			if (perms[0] == 'r' && (x == a || !name))
				printf(" %c", *(char *)x ? *(char *)x : '0');
		printf("\n");
	}
	fclose(f);
}

int main(void)
{
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	static const unsigned long old[] = {PLACE, PLACE + PAGE, PLACE + 1, PLACE + 2 * PAGE, PLACE + 6 * PAGE, PLACE + 8 * PAGE, PLACE + 12 * PAGE, 0x7ffffffff000};
	static const unsigned long sizes[] = {0, 1, PAGE, 2 * PAGE, 4 * PAGE, 5 * PAGE, 12 * PAGE, -PAGE, -1UL};
	static const unsigned long news[] = {PLACE + 32 * PAGE, PLACE, PLACE + PAGE, PLACE + 32 * PAGE + 1, 0x7ffffffff000};
	static const unsigned long flags[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	for (int f = 0; f < N(flags); f++)
		for (int o = 0; o < N(old); o++)
			for (int s = 0; s < N(sizes); s++)
				for (int n = 0; n < N(sizes); n++) {
					int wild = flags[f] & 6 && (sizes[s] != sizes[n] || s > 5);
					for (int w = 0; w < (flags[f] & 2 && !wild ? N(news) : 1); w++) {
						setup();
						long r = NR(mremap, old[o], sizes[s], sizes[n], flags[f], news[w]);
						printf("mremap(%#lx, %#lx, %#lx, %#lx, %#lx) = %s\n", old[o], sizes[s], sizes[n], flags[f], news[w], outcome(r));
						if (r > 0) {
							after();
							if ((unsigned long)r < PLACE || (unsigned long)r >= PLACE + AREA)
								NR(munmap, r, sizes[n]);
						}
					}
				}
	return 0;
}

// munmap and mprotect over every kind of range.
#include "guest.h"

static const unsigned long addrs[] = {PLACE, PLACE + 1, PLACE - PAGE, PLACE + 2 * PAGE, PLACE + 8 * PAGE, 0, 0x7ffffffff000, 0x800000000000, -PAGE};
static const unsigned long lens[] = {0, 1, PAGE, 2 * PAGE, 3 * PAGE - 1, 20 * PAGE, 1UL << 47, 1UL << 63, -PAGE, -1UL};
#define N(a) (sizeof(a) / sizeof *(a))

// setup maps rw, none, r, hole, rw, and a file; the pages hold their numbers.
static void setup(void)
{
	NR(munmap, PLACE - 16 * PAGE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 4; i++)
		*(char *)(PLACE + i * PAGE) = 'a' + i;
	NR(mprotect, PLACE + 2 * PAGE, PAGE, 0);
	NR(mprotect, PLACE + 3 * PAGE, PAGE, 1);
	NR(mmap, PLACE + 5 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 7 * PAGE, PAGE, 1, MAP_SHARED | MAP_FIXED, 3, 0);
}

int main(void)
{
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	for (int a = 0; a < N(addrs); a++)
		for (int l = 0; l < N(lens); l++) {
			if (addrs[a] < 0x10000 && lens[l] >= 1UL << 46 && lens[l] < 0x7fffffffffff)
				continue; // would take the program itself
			setup();
			printf("munmap(%#lx, %#lx) = %s\n", addrs[a], lens[l], outcome(NR(munmap, addrs[a], lens[l])));
			show_maps_in("after", PLACE - 16 * PAGE, PLACE + 32 * PAGE);
		}
	static const unsigned long prots[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x80000001, 0x01000000, 0x01000003, 0x02000000, 0x02000003, 0x03000000, 0x03000010, 0x100000001};
	for (int p = 0; p < N(prots); p++)
		for (int a = 0; a < N(addrs); a++)
			for (int l = 0; l < N(lens); l++) {
				if (l > 3 && p % 3)
					continue;
				setup();
				printf("mprotect(%#lx, %#lx, %#lx) = %s\n", addrs[a], lens[l], prots[p], outcome(NR(mprotect, addrs[a], lens[l], prots[p])));
				show_maps_in("after", PLACE - 16 * PAGE, PLACE + 32 * PAGE);
			}
	// Growing down: to the start of the vma.
	NR(munmap, PLACE - 16 * PAGE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	CALL(mprotect, PLACE + 2 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN);
	show_maps_in("grown", PLACE - 16 * PAGE, PLACE + 32 * PAGE);
	CALL(mprotect, PLACE - PAGE, PAGE, PROT_READ | PROT_GROWSDOWN);
	CALL(mprotect, PLACE - PAGE, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_GROWSDOWN);
	show_maps_in("grown", PLACE - 16 * PAGE, PLACE + 32 * PAGE);
	return 0;
}

// Memory policies on one node.
#include "guest.h"

#define N(a) (sizeof(a) / sizeof *(a))

static unsigned long masks[][20] = {{0}, {1}, {2}, {3}, {0, 1}, {1, 1}, {0, 0, 0, 1}, {[15] = 1UL << 63}, {[16] = 1}};

static void setup(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
}

static void told(unsigned long addr, unsigned long maxnode, unsigned long flags)
{
	int mode = 77;
	unsigned long mask[40];
	memset(mask, 0xee, sizeof mask);
	printf("get %#lx %lu %lu: %s", addr, maxnode, flags, outcome(NR(get_mempolicy, &mode, mask, maxnode, addr, flags)));
	printf(" mode %d mask", mode);
	for (int i = 0; i < 3; i++)
		printf(" %lx", mask[i]);
	printf(" .. %lx\n", mask[16]);
}

static void binds(void)
{
	static const int flags[] = {0, 1 << 13, 1 << 14, 1 << 15, 3 << 14, 1 << 12};
	static const unsigned long most[] = {0, 1, 2, 64, 65, 1024, 1025, 1026, 1200, 32769, 32770};
	for (int mode = -1; mode < 8; mode++)
		for (int f = 0; f < N(flags); f++)
			for (int m = 0; m < N(masks); m++) {
				setup();
				printf("mbind mode %d flags %x mask %d: %s %s\n", mode, flags[f], m,
				       outcome(NR(mbind, PLACE + PAGE, PAGE, mode | flags[f], masks[m], 1200, 0)),
				       outcome(NR(set_mempolicy, mode | flags[f], masks[m], 1200)));
				show_maps_in("bound", PLACE, PLACE + 64 * PAGE);
				told(PLACE + PAGE, 1024, 2);
				told(0, 1024, 0);
				told(0, 1024, 1);
				NR(set_mempolicy, 0, 0, 0);
			}
	for (int m = 0; m < N(most); m++) {
		setup();
		printf("maxnode %lu: %s %s\n", most[m], outcome(NR(mbind, PLACE, PAGE, 2, masks[1], most[m], 0)), outcome(NR(mbind, PLACE, PAGE, 2, 8, most[m], 0)));
		told(PLACE, most[m], 2);
	}
	printf("no mask: %s\n", outcome(NR(mbind, PLACE, PAGE, 2, 0, 64, 0)));
}

static void ranges(void)
{
	static const unsigned long addrs[] = {PLACE, PLACE + 1, PLACE + 3 * PAGE, PLACE + 4 * PAGE, PLACE + 20 * PAGE, -PAGE};
	static const unsigned long lens[] = {0, 1, PAGE, 3 * PAGE, 8 * PAGE, -PAGE, -1UL};
	for (int a = 0; a < N(addrs); a++)
		for (int l = 0; l < N(lens); l++) {
			setup();
			printf("(%#lx, %#lx): %s", addrs[a], lens[l], outcome(NR(mbind, addrs[a], lens[l], 2, masks[1], 64, 0)));
			printf(" home %s", outcome(NR(set_mempolicy_home_node, addrs[a], lens[l], 0, 0)));
			NR(mbind, PLACE + PAGE, PAGE, 3, masks[1], 64, 0);
			printf(" home %s\n", outcome(NR(set_mempolicy_home_node, addrs[a], lens[l], 0, 0)));
			show_maps_in("bound", PLACE, PLACE + 64 * PAGE);
		}
	setup();
	CALL(set_mempolicy_home_node, PLACE, PAGE, 1, 0);
	CALL(set_mempolicy_home_node, PLACE, PAGE, 0, 1);
	CALL(set_mempolicy_home_node, PLACE, PAGE, -1, 0);
	for (int flags = 0; flags < 9; flags++) {
		setup();
		printf("flags %d: %s", flags, outcome(NR(mbind, PLACE, PAGE, 4, 0, 0, flags)));
		*(char *)PLACE = 1;
		printf(" %s %s\n", outcome(NR(mbind, PLACE, PAGE, 4, 0, 0, flags)), outcome(NR(mbind, PLACE, PAGE, 2, masks[1], 64, flags)));
	}
	for (int flags = 0; flags < 9; flags++) {
		told(PLACE, 1024, flags);
		told(PLACE + 30 * PAGE, 1024, flags);
		told(0, 64, flags);
	}
	printf("nowhere: %s\n", outcome(NR(get_mempolicy, 8, 0, 0, 0, 0)));
	printf("nothing: %s\n", outcome(NR(get_mempolicy, 0, 0, 0, 0, 0)));
	NR(set_mempolicy, 3, masks[1], 64);
	fflush(stdout);
	if (fork() == 0) {
		told(0, 64, 0);
		told(PLACE, 64, 2);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	CALL(mprotect, PLACE, 4 * PAGE, 1);
	CALL(mbind, PLACE, 4 * PAGE, 0, 0, 0, 0);
	show_maps_in("default", PLACE, PLACE + 64 * PAGE);
}

// holes: the default policy is set over them, no other is.
static void holes(void)
{
	unsigned long none = 0;
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE + 4 * PAGE, PAGE, 5, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 6 * PAGE, PAGE, 5, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int mode = 0; mode < 5; mode++)
		for (int flags = 0; flags < 4; flags++) {
			printf("mode %d flags %d\n", mode, flags);
			CALL(mbind, PLACE + 4 * PAGE, 3 * PAGE, mode, &none, 64, flags);
			CALL(mbind, PLACE, 5 * PAGE, mode, &none, 64, flags);
			CALL(mbind, PLACE + 6 * PAGE, 5 * PAGE, mode, &none, 64, flags);
			CALL(mbind, PLACE + 20 * PAGE, 5 * PAGE, mode, &none, 64, flags);
		}
	NR(munmap, PLACE, 64 * PAGE);
}

int main(void)
{
	static char out[1 << 16];
	setvbuf(stdout, out, _IOFBF, sizeof out);
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	binds();
	ranges();
	holes();
	return 0;
}

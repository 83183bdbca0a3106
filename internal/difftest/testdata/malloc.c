// The C library's allocator at work: blocks of all sizes, checked all the time.
#include "guest.h"

#define SLOTS 500

int main(void)
{
	static struct { unsigned char *p; size_t n; unsigned char fill; } slot[SLOTS];
	unsigned long seed = 12345, sum = 0, moved = 0;
	for (int round = 0; round < 20000; round++) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		int i = (seed >> 33) % SLOTS;
		size_t n = (seed >> 40) % (round % 100 == 0 ? 400000 : round % 10 == 0 ? 20000 : 300) + 1;
		for (size_t j = 0; j < slot[i].n; j += slot[i].n / 4 + 1)
			if (slot[i].p[j] != slot[i].fill)
				return printf("round %d: slot %d is spoilt\n", round, i), 1;
		unsigned char *old = slot[i].p;
		if (seed & 1 && old) {
			slot[i].p = realloc(old, n);
			moved += slot[i].p != old;
		} else {
			free(old);
			slot[i].p = seed & 2 ? calloc(1, n) : malloc(n);
			if (seed & 2)
				for (size_t j = 0; j < n; j++)
					sum += slot[i].p[j];
		}
		slot[i].n = n;
		slot[i].fill = round;
		memset(slot[i].p, round, n);
		sum += n;
	}
	printf("sum %lu, moved %lu, break %p\n", sum, moved, sbrk(0));
	show_maps("at the end");
	return 0;
}

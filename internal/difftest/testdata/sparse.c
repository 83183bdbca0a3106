// Touches 1,000 pages of a sparse file of 4 GiB at random, reading and writing through
// a shared mapping and reading through a private one: sparse FILE.
#include "guest.h"

int main(int argc, char **argv)
{
	unsigned long size = 4UL << 30, bad = 0;
	uint32_t seed = 1;
	int fd = open(argv[1], O_RDWR);
	char *shared = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(0, size, PROT_READ, MAP_PRIVATE, fd, 0);
	for (int i = 0; i < 1000; i++) {
		seed = seed * 1664525 + 1013904223;
		unsigned long at = (unsigned long)(seed >> 12) << 12;
		bad += private[at] != 0 || shared[at + 1] != 0;
		shared[at] = 1 + i % 100;
	}
	seed = 1;
	for (int i = 0; i < 1000; i++) {
		seed = seed * 1664525 + 1013904223;
		unsigned long at = (unsigned long)(seed >> 12) << 12;
		bad += private[at] != 1 + i % 100;
	}
	printf("wrong: %lu\n", bad);
	return 0;
}

// /proc/self/maps through a life: line for line what the host shows.
#include "guest.h"

int main(void)
{
	show_maps("at the start");
	char *p = malloc(200000), *q = malloc(100);
	show_maps("after malloc");
	free(p);
	NR(mmap, PLACE, 16 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mprotect, PLACE + 4 * PAGE, 2 * PAGE, 1);
	NR(mprotect, PLACE + 8 * PAGE, PAGE, 0);
	NR(mprotect, PLACE + 10 * PAGE, PAGE, 2);
	NR(mprotect, PLACE + 12 * PAGE, PAGE, 7);
	NR(munmap, PLACE + 14 * PAGE, PAGE);
	show_maps("after mprotect");
	NR(mprotect, PLACE, 14 * PAGE, 3);
	show_maps("merged again");
	int fd = open("data/poem.txt", O_RDONLY);
	NR(mmap, PLACE + 20 * PAGE, 4 * PAGE, 1, MAP_SHARED | MAP_FIXED, fd, 0);
	NR(mmap, PLACE + 24 * PAGE, 4 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
	NR(mmap, PLACE + 28 * PAGE, 4 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, fd, 5 * PAGE);
	NR(mmap, PLACE + 32 * PAGE, 4 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mprotect, PLACE + 33 * PAGE, PAGE, 1);
	NR(mmap, 2 * PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	NR(mmap, PLACE + 44 * PAGE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK | MAP_NORESERVE, -1, 0);
	close(fd);
	show_maps("with files");
	char *big = alloca(1 << 20);
	big[0] = q[0] = 1;
	*(volatile char *)(2 * PLACE - 8) = 1;
	show_maps("with a grown stack");
	NR(munmap, PLACE, 64 * PAGE);
	fflush(stdout);
	if (fork() == 0) {
		show_maps("in the child");
		_exit(0);
	}
	wait(NULL);
	show_maps("at the end");
	return 0;
}

/*
 * share: the three ways in which parent and child can have a page: shared
 * memory stays one, private memory becomes two when written, and a page that
 * was only ever read is the zero page for everybody.
 */
#include "guest.h"

int main(int argc, char **argv)
{
	enum { RW = PROT_READ | PROT_WRITE };
	volatile uchar *shared = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
	volatile uchar *private = mmap(0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	volatile uchar *untouched = mmap(0, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	struct line l = { .len = 0 };
	ulong sum = 0;
	long child;

	(void)argc, (void)argv;
	*shared = 1;
	*private = 1;
	child = fork();
	if (child == 0) {
		*shared = 2;
		*private = 2;
		exit(0);
	}
	wait_for(child);
	for (int i = 0; i < 16; i++)
		sum += touch(untouched + i * PAGE); /* zero-map: costs no memory */
	put(&l, "shared ");
	put_number(&l, *shared, 10);
	put(&l, " private ");
	put_number(&l, *private, 10);
	put(&l, " untouched ");
	put_number(&l, sum, 10);
	end(&l);
	return 0;
}

/*
 * grow: two regions that grow without mmap: the heap, which the break moves up,
 * and the stack, which faults move down.
 */
#include "guest.h"

enum { FRAME = 64 * 1024, DEPTH = 8 };

/* deep uses a frame of 64 KiB and calls itself: the stack grows below 132 KiB. */
static __attribute__((noinline)) ulong deep(int depth)
{
	volatile uchar frame[FRAME];

	frame[0] = (uchar)depth; /* the lowest byte of the frame: stack-grow */
	return depth == 0 ? frame[0] : deep(depth - 1) + frame[0];
}

/* heap moves the break up by n bytes and writes the first byte of every new page. */
static uchar *heap(ulong n)
{
	uchar *old = brk(0);
	uchar *new = brk(old + n);

	for (uchar *p = old; p < new; p += PAGE)
		*p = 1; /* zero-fill */
	return old;
}

int main(int argc, char **argv)
{
	struct line l = { .len = 0 };
	uchar *start;

	(void)argc, (void)argv;
	start = heap(8 * PAGE);
	put(&l, "heap  ");
	put_address(&l, start);
	put(&l, " grew by 8 pages");
	end(&l);

	brk(start + 2 * PAGE); /* back down: six pages are given back */
	put(&l, "heap  shrank to 2 pages");
	end(&l);

	put(&l, "stack sum ");
	put_number(&l, deep(DEPTH), 10);
	end(&l);
	return 0;
}

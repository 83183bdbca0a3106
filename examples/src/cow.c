/*
 * cow: a fork shares every private page; the first of the two to write a page
 * pays for a copy, the last one left takes the page over for nothing.
 */
#include "guest.h"

enum { PAGES = 4 };

static void write_page(uchar *buf, int page, uchar value) { buf[page * PAGE] = value; }

static void show(const char *who, const uchar *buf)
{
	struct line l = { .len = 0 };

	put(&l, who);
	put(&l, " sees");
	for (int i = 0; i < PAGES; i++) {
		put(&l, " ");
		put_number(&l, buf[i * PAGE], 10);
	}
	end(&l);
}

int main(int argc, char **argv)
{
	uchar *buf = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	long child;

	(void)argc, (void)argv;
	for (int i = 0; i < PAGES; i++)
		write_page(buf, i, (uchar)(10 + i)); /* zero-fill */
	child = fork();
	if (child == 0) {
		write_page(buf, 0, 99); /* cow-copy: the parent still has it */
		show("child ", buf);
		exit(7);
	}
	wait_for(child);
	write_page(buf, 0, 20); /* cow-reuse: the child has its own copy */
	write_page(buf, 1, 21); /* cow-reuse: the child is gone */
	show("parent", buf);
	return 0;
}

/*
 * maps: how mappings split, merge and move. mprotect in the middle of one makes
 * three; giving the rights back makes one again; mremap takes the pages along.
 */
#include "guest.h"

enum { PAGES = 6 };

static void say_at(const char *what, const void *p)
{
	struct line l = { .len = 0 };

	put(&l, what);
	put_address(&l, p);
	end(&l);
}

int main(int argc, char **argv)
{
	uchar *buf, *moved;

	(void)argc, (void)argv;
	buf = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	say_at("mapped    ", buf);
	for (int i = 0; i < PAGES; i++)
		buf[i * PAGE] = (uchar)('a' + i);

	mprotect(buf + 2 * PAGE, 2 * PAGE, PROT_READ); /* one vma becomes three */
	say_at("read-only ", buf + 2 * PAGE);
	mprotect(buf + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE); /* and one again */
	say_at("writable  ", buf + 2 * PAGE);

	munmap(buf + 5 * PAGE, PAGE);
	moved = mremap(buf, 5 * PAGE, 16 * PAGE, MREMAP_MAYMOVE, 0); /* no room to grow in place below another mapping */
	say_at("moved to  ", moved);

	madvise(moved + PAGE, PAGE, MADV_DONTNEED); /* page 1 reads as zero now */
	{
		struct line l = { .len = 0 };

		put(&l, "contents  ");
		for (int i = 0; i < 5; i++) {
			char c[2] = { (char)moved[i * PAGE], 0 };

			put(&l, c[0] ? c : ".");
		}
		end(&l);
	}
	return 0;
}

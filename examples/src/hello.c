/* hello: the smallest guest that says something. What a program has before it
 * has done anything: its own image, a stack, the vdso. */
#include "guest.h"

int main(int argc, char **argv)
{
	struct line l = { .len = 0 };

	put(&l, "hello from a process with no memory of its own making");
	for (int i = 1; i < argc; i++) {
		put(&l, i == 1 ? ": " : " ");
		put(&l, argv[i]);
	}
	end(&l);
	return 0;
}

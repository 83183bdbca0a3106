// Stores here and there in a sparse file that is mapped shared make a page each, and no
// more: holes FILE.
#include "guest.h"

int main(int argc, char **argv)
{
	const unsigned long size = 64UL << 20;
	int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, size);
	char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct stat st;
	for (unsigned long at = 5 * PAGE; at < size; at += 1777 * PAGE) {
		p[at] = 1;
		fstat(fd, &st);
		printf("%#lx: %ld\n", at, (long)st.st_blocks);
	}
	return unlink(argv[1]);
}

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
	char at_end[300] = "x";
	pwrite(fd, at_end, sizeof at_end, size - 100);
	p[size - PAGE] = 1;
	fstat(fd, &st);
	printf("over the end: %ld of %ld\n", (long)st.st_blocks, (long)st.st_size);
	ftruncate(fd, 9 * PAGE);
	p[8 * PAGE] = 1;
	fstat(fd, &st);
	printf("cut: %ld\n", (long)st.st_blocks);
	fsync(fd);
	fstat(fd, &st);
	printf("synced: %ld\n", (long)st.st_blocks);
	return unlink(argv[1]);
}

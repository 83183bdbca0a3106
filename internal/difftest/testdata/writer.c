// Writes a file through a shared mapping and says how writing it back went: writer
// FILE BYTES [wait|leave|end]. With wait it is not at its end then; with leave and end
// it leaves the writing back to others, and waits or ends.
#include "guest.h"

int main(int argc, char **argv)
{
	long size = atol(argv[2]);
	int fd = open(argv[1], O_RDWR | O_CREAT, 0644), again = open(argv[1], O_RDWR);
	if (fd < 0 || ftruncate(fd, size) < 0) {
		printf("%s: %s\n", argv[1], strerrorname_np(errno));
		return 9;
	}
	char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (long i = 0; i < size; i++)
		p[i] = 'a' + i % 23;
	if (argc < 4 || !strcmp(argv[3], "wait")) {
		CALL(msync, p, size, MS_SYNC);
		CALL(fsync, again);
		CALL(close, again);
	}
	printf("written\n");
	fflush(stdout);
	if (argc > 3 && strcmp(argv[3], "end"))
		pause();
	return 0;
}

// The end of a file in the middle of a copy: what read(2) puts into a private
// mapping stays private, also when the copy runs on to where the file has no page.
#include "guest.h"

static unsigned sum(volatile unsigned char *p)
{
	unsigned s = 0;
	for (int i = 0; i < PAGE; i++)
		s = s * 31 + p[i];
	return s;
}

static void copy(int fd, unsigned char *p, int prot)
{
	mprotect(p, 3 * PAGE, prot);
	printf(" copied %s", outcome(NR(pread64, fd, p + 1000, 2 * PAGE, 0)));
	mprotect(p, 3 * PAGE, 3);
	printf(" holds %x", sum(p));
}

int main(int argc, char **argv)
{
	struct stat s;
	int fd = open(argv[0], O_RDONLY);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (fstat(fd, &s))
		return 1;
	for (int prot = PROT_WRITE; prot <= (PROT_READ | PROT_WRITE); prot++)
		for (int how = 0; how < 4; how++) {
			unsigned char *p = mmap(0, 3 * PAGE, 3, MAP_PRIVATE, fd, s.st_size / PAGE * PAGE);
			if (how & 1) // the page is there when the copy comes
				sum(p);
			if (how < 2)
				copy(fd, p, prot);
			else if (fork() == 0) {
				copy(fd, p, prot);
				_exit(0);
			}
			wait(NULL);
			madvise(p, PAGE, MADV_DONTNEED);
			printf(" the file holds %x\n", sum(p));
			munmap(p, 3 * PAGE);
		}
	return 0;
}

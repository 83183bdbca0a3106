// Maps more files than anyone needs, from argv[2] on: all are mapped at once, each is
// looked at twice, the second time when all others have been.
#include "guest.h"

int main(int argc, char **argv)
{
	int n = atoi(argv[2]);
	volatile char **at = calloc(n, sizeof *at);
	long sum = 0;
	write(2, "start", 5);
	for (int i = 0; i < n; i++) {
		char name[256];
		snprintf(name, sizeof name, "%s/%d", argv[1], i);
		int fd = open(name, O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, 2 * PAGE)) {
			printf("%d: %s\n", i, strerrorname_np(errno));
			return 1;
		}
		at[i] = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		at[i][0] = i;
		close(fd);
	}
	for (int i = 0; i < n; i++) {
		at[i][PAGE] = i + 1;
		sum += at[i][0] + at[i][PAGE];
	}
	write(2, "mapped", 6);
	for (int i = 0; i < n; i++)
		munmap((void *)at[i], 2 * PAGE);
	write(2, "unmapped", 8);
	printf("%d files, sum %ld\n", n, sum);
	return 0;
}

// What is resident, by statm: reading costs nothing, writing a page.
#include "guest.h"

static long resident(void)
{
	char buf[128];
	int fd = open("/proc/self/statm", O_RDONLY);
	long n = read(fd, buf, sizeof buf - 1), size, rss;
	buf[n > 0 ? n : 0] = 0;
	close(fd);
	return sscanf(buf, "%ld %ld", &size, &rss) == 2 ? rss : -1;
}

int main(void)
{
	volatile char *p = mmap((void *)PLACE, 1024 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	unsigned char vec[1024];
	long sum = 0, before = resident();
	before = resident();
	for (int i = 0; i < 256; i++)
		sum += p[i * PAGE];
	printf("256 pages read: %ld kB, sum %ld\n", (resident() - before) * 4, sum);
	p[7 * PAGE] = 1;
	printf("one written: %ld kB\n", (resident() - before) * 4);
	for (int i = 300; i < 400; i++)
		p[i * PAGE] = 1;
	printf("a hundred more: %ld kB\n", (resident() - before) * 4);
	madvise((void *)(PLACE + 300 * PAGE), 50 * PAGE, MADV_DONTNEED);
	printf("fifty given back: %ld kB\n", (resident() - before) * 4);
	mincore((void *)PLACE, 1024 * PAGE, vec);
	for (int i = 0; i < 1024; i++)
		sum += (vec[i] & 1) << i % 7;
	printf("mincore %ld\n", sum);
	munmap((void *)PLACE, 1024 * PAGE);
	printf("unmapped: %ld kB\n", (resident() - before) * 4);
	return 0;
}

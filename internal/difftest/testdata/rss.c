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

static long before, counting;

static void report(const char *what, long sum)
{
	printf("%s: %ld kB, sum %ld\n", what, counting * (resident() - before) * 4, sum);
}

int main(void)
{
	static unsigned char vec[1024];
	static char buffer[4096];
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	volatile char *p = mmap((void *)PLACE, 1024 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	long sum = 0;
	// All code and data that is used below becomes resident first.
	before = resident();
	madvise((void *)PLACE, PAGE, MADV_DONTNEED);
	mincore((void *)PLACE, 1024 * PAGE, vec);
	munmap((void *)(PLACE - PAGE), PAGE);
	report("warm", 0);
	counting = 1;
	before = resident();
	for (int i = 0; i < 256; i++)
		sum += p[i * PAGE];
	report("256 pages read", sum);
	p[7 * PAGE] = 1;
	report("one written", sum);
	for (int i = 300; i < 400; i++)
		p[i * PAGE] = 1;
	report("a hundred more", sum);
	madvise((void *)(PLACE + 300 * PAGE), 50 * PAGE, MADV_DONTNEED);
	report("fifty given back", sum);
	mincore((void *)PLACE, 1024 * PAGE, vec);
	for (int i = 0; i < 1024; i++)
		sum += (vec[i] & 1) << i % 7;
	report("mincore", sum);
	munmap((void *)PLACE, 1024 * PAGE);
	report("unmapped", sum);
	return 0;
}

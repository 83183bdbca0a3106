// Populates more than there is: that is no error, and leaves what fits; what is asked
// for as an answer is one.
#include "guest.h"

static unsigned char in[1 << 14], deep[1 << 16];

static long resident(unsigned char *p, long n)
{
	long pages = 0;
	mincore(p, n, in);
	for (long i = 0; i < n / PAGE; i++)
		pages += in[i] & 1;
	return pages;
}

int main(void)
{
	long n = 32 << 20;
	volatile unsigned char stack[1 << 14];
	memset(in, 1, sizeof in); // what is touched below is there before memory is short
	memset(deep, 1, sizeof deep);
	memset((void *)stack, 1, sizeof stack);
	setvbuf(stdout, (char *)deep, _IOFBF, sizeof deep);
	printf("begin %s\n", outcome(-EINVAL));
	unsigned char *p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE, -1, 0);
	long some = resident(p, n);
	printf("%d\n", p != MAP_FAILED && some > (8 << 20) / PAGE && some < (16 << 20) / PAGE);
	CALL(munmap, p, n);
	p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CALL(madvise, p, n, MADV_POPULATE_WRITE);
	CALL(munmap, p, n);
	p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CALL(mlock, p, n);
	CALL(munmap, p, n);
	return 0;
}

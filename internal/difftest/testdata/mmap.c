// Every way of asking for a mapping, at fixed places, and what maps shows of it.
#include "guest.h"

static const unsigned long flags[] = {
	0, MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, 4, 0xf, // and not 8: a host may have MAP_DROPPABLE or not
	MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_32BIT, MAP_GROWSDOWN, MAP_NORESERVE, MAP_POPULATE,
	MAP_LOCKED, MAP_STACK, MAP_HUGETLB, MAP_NONBLOCK, MAP_SYNC, 0x80, 0x10000000, 0x40000000,
};
#define N(a) (sizeof(a) / sizeof *(a))

static void one(unsigned long addr, unsigned long len, long prot, long fl, long fd, unsigned long off)
{
	long r = NR(mmap, addr, len, prot, fl, fd, off);
	printf("mmap(%#lx, %#lx, %#lx, %#lx, %ld, %#lx) = %s\n", addr, len, prot, fl, fd, off, outcome(r));
	if (r > 0)
		NR(munmap, r, len);
}

int main(void)
{
	int ro = open("/etc/passwd", O_RDONLY), wo = open("/dev/null", O_WRONLY), dir = open("/", O_RDONLY);
	int path = open("/etc/passwd", O_PATH), pipes[2];
	if (pipe(pipes))
		return 1;
	// Kinds and flags, one and two at a time, anonymous and of a file.
	for (int i = 0; i < N(flags); i++)
		for (int j = 0; j <= i; j++) {
			long f = flags[i] | flags[j];
			if (f & MAP_32BIT && f & (MAP_FIXED | MAP_FIXED_NOREPLACE))
				continue; // tried below
			if ((f & 0xf) == 8)
				continue;
			if (f & MAP_HUGETLB && f & MAP_NORESERVE)
				continue; // a mapping of huge pages that nobody promises
			one(PLACE, 2 * PAGE, 3, f | MAP_ANONYMOUS, -1, 0);
			one(PLACE, 2 * PAGE, 3, f | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
			one(PLACE, PAGE, 1, f, ro, 0);
			one(PLACE, PAGE, 1, f | MAP_PRIVATE, ro, 0);
			one(PLACE, PAGE, 3, f | MAP_SHARED, ro, 0);
		}
	// Addresses, lengths and offsets.
	// Below 0x14000 the sandbox has its own pages.
	unsigned long addrs[] = {0x14000, 0x14001, PLACE, PLACE + 1, 0x7fffffffe000, 0x7fffffffefff, 0x7ffffffff000,
				 0x800000000000, 0xffffffffff600000, -PAGE, -1UL};
	unsigned long lens[] = {0, 1, PAGE, PAGE + 1, 1UL << 30, 0x7ffffffff000, 0x7ffffffff001, 1UL << 47, 1UL << 63, -PAGE, -PAGE + 1, -1UL};
	long how[] = {MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE,
		      MAP_SHARED_VALIDATE | MAP_ANONYMOUS, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE};
	for (int h = 0; h < N(how); h++)
		for (int a = 0; a < N(addrs); a++)
			for (int l = 0; l < N(lens); l++)
				one(addrs[a], lens[l], 0, how[h], -1, 0);
	unsigned long offs[] = {0, 1, PAGE, 1UL << 43, (1UL << 63) - PAGE, 1UL << 63, -PAGE, -PAGE * 2, -1UL};
	for (int o = 0; o < N(offs); o++)
		for (int l = 0; l < 4; l++) {
			one(PLACE, lens[l], 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, offs[o]);
			one(PLACE, lens[l], 1, MAP_SHARED | MAP_ANONYMOUS, -1, offs[o]);
			one(PLACE, lens[l], 1, MAP_PRIVATE, wo, offs[o]);
		}
	// Descriptors and rights.
	int fds[] = {-1, 1000, ro, wo, dir, path, pipes[0]};
	for (int f = 0; f < N(fds); f++)
		for (long prot = 0; prot < 8; prot++)
			for (long type = 0; type < 4; type++)
				one(PLACE, PAGE, prot, type, fds[f], 0);
	// What a shared read-only mapping may become.
	char *m = mmap((void *)PLACE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 0);
	printf("shared file %p: %.4s\n", m, m);
	CALL(mprotect, m, PAGE, PROT_READ | PROT_WRITE);
	CALL(mprotect, m, PAGE, PROT_READ | PROT_EXEC);
	munmap(m, PAGE);
	m = mmap((void *)PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, ro, 0);
	m[0] = 'X';
	printf("private file: %.4s\n", m);
	munmap(m, PAGE);
	// In use or not.
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	one(PLACE + 3 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	one(PLACE + 4 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	one(PLACE - 2 * PAGE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	one(PLACE - 2 * PAGE, 3 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	one(PLACE + PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	// Bits that are none of the kernel's, and halves of words that do not count.
	one(PLACE, PAGE, 0x80000003, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	one(PLACE, PAGE, 0x100000003, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	one(PLACE, PAGE, 3, 0x100000000 | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	one(PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26, -1, 0);
	one(PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << 26, -1, 0);
	one(PLACE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 22 << 26, -1, 0);
	// Where things go without a hint.
	void *a = mmap(0, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *b = mmap(0, 3 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *c = mmap(0, 3 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *d = mmap(0, 4 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *e = mmap(0, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	void *f = mmap(0, 2 << 20, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	munmap(b, PAGE);
	void *g = mmap(0, PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *h = mmap(0, 16 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	void *i = mmap(0, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("%p %p %p %p %p %p %p %p %p\n", a, b, c, d, e, f, g, h, i);
	show_maps("at the end");
	return 0;
}

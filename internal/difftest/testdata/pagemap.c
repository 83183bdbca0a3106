// /proc/self/pagemap and /proc/self/mem: what is there, whose it is, and bytes read
// and written past permissions.
#include "guest.h"
#include <sys/prctl.h>

#define FRAME ((1UL << 55) - 1)

static int pagemap, mem;

// show prints the bits of a run of pages and how many distinct frames it has.
static void show(const char *what, volatile char *p, int pages)
{
	uint64_t e[32];
	long n = pread(pagemap, e, pages * 8, (unsigned long)p / PAGE * 8);
	int frames = 0;
	printf("%s (%ld):", what, n);
	for (int i = 0; i < pages; i++) {
		int seen = !(e[i] >> 63);
		for (int k = 0; k < i; k++)
			seen |= (e[i] & FRAME) == (e[k] & FRAME);
		frames += !seen;
		// Soft-dirty (bit 55) is a matter of the host's configuration.
		printf(" %lx", (e[i] & ~FRAME & ~(1UL << 55)) >> 55);
	}
	printf(", %d frames\n", frames);
	fflush(stdout);
}

static volatile char *map(int at, int pages, int prot, int flags, int fd)
{
	return mmap((void *)(PLACE + at * PAGE), pages * PAGE, prot, flags | MAP_FIXED, fd, 0);
}

static void touch(volatile char *p, int from, int to)
{
	for (int i = from; i < to; i++)
		p[i * PAGE] = 'a' + i;
}

static void get(const char *what, volatile char *p, long n)
{
	static char buf[64 * PAGE];
	memset(buf, '-', 8);
	long r = pread(mem, buf, n, (unsigned long)p);
	printf("read %s: %s %.4s\n", what, outcome(r < 0 ? -errno : r), r > 0 ? buf : "");
}

static void put(const char *what, volatile char *p, long n)
{
	static char buf[64 * PAGE];
	memset(buf, 'z', sizeof buf);
	long r = pwrite(mem, buf, n, (unsigned long)p);
	printf("write %s: %s\n", what, outcome(r < 0 ? -errno : r));
}

int main(void)
{
	uint64_t e;
	int fd = open("../../../loader/testdata/mutations.txt", O_RDONLY);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	mem = open("/proc/self/mem", O_RDWR);
	volatile char *anon = map(0, 8, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	volatile char *shared = map(32, 8, 3, MAP_SHARED | MAP_ANONYMOUS, -1);
	volatile char *file = map(64, 4, 3, MAP_PRIVATE, fd);
	volatile char *same = map(96, 4, 1, MAP_SHARED, fd);
	volatile char sum = 0;

	show("untouched", anon, 8);
	touch(anon, 0, 3);
	sum += anon[4 * PAGE] + anon[5 * PAGE];
	touch(shared, 0, 3);
	for (int i = 0; i < 4; i++)
		sum += file[i * PAGE];
	show("written and read", anon, 8);
	show("shared", shared, 8);
	show("file", file, 4);
	for (int i = 0; i < 4; i++)
		sum += same[i * PAGE];
	show("file twice", file, 4);
	touch(file, 1, 3);
	show("file copied", file, 4);
	show("file once more", same, 4);
	show("over the end of mappings", anon + 6 * PAGE, 4);
	show("unmapped", anon - 4 * PAGE, 4);
	if (fork() == 0) {
		show("in the child, before it opens its own", anon, 8);
		close(pagemap);
		pagemap = open("/proc/self/pagemap", O_RDONLY);
		show("in the child", anon, 8);
		touch(anon, 1, 2);
		show("in the child, one written", anon, 8);
		sum += shared[0];
		show("in the child, shared", shared, 1);
		_exit(0);
	}
	wait(NULL);
	show("alone again", anon, 8);
	NR(madvise, anon + PAGE, 2 * PAGE, 102); // MADV_GUARD_INSTALL
	show("two guards", anon, 8);
	NR(madvise, anon + PAGE, 2 * PAGE, 103); // MADV_GUARD_REMOVE
	show("no guards", anon, 8);
	printf("odd offset: %s\n", outcome(NR(pread64, pagemap, &e, 8, 4)));
	printf("odd length: %s\n", outcome(NR(pread64, pagemap, &e, 7, 8)));
	printf("no length: %s\n", outcome(NR(pread64, pagemap, &e, 0, 8)));
	printf("last page: %s\n", outcome(NR(pread64, pagemap, &e, 8, ((1UL << 47) / PAGE - 2) * 8)));
	printf("beyond: %s\n", outcome(NR(pread64, pagemap, &e, 8, ((1UL << 47) / PAGE - 1) * 8)));
	printf("write: %s\n", outcome(NR(pwrite64, pagemap, &e, 8, 0)));
	printf("seek to the end: %s\n", outcome(NR(lseek, pagemap, 0, SEEK_END)));
	printf("seek: %s\n", outcome(NR(lseek, pagemap, 80, SEEK_SET)));

	volatile char *none = map(128, 4, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	touch(none, 0, 4);
	mprotect((void *)none, 2 * PAGE, PROT_NONE);
	get("private", anon, 100);
	get("a page never touched", anon + 7 * PAGE, 100);
	show("after that", anon, 8);
	get("over the end", anon + 7 * PAGE, 2 * PAGE);
	get("PROT_NONE", none, 2 * PAGE);
	get("nothing", anon - PAGE, 10);
	get("zero bytes of nothing", anon - PAGE, 0);
	get("a file", same, 100);
	put("private", anon + 10, 5);
	put("PROT_NONE", none + PAGE, 2 * PAGE);
	put("shared", shared, 10);
	put("a shared file", same, 10);
	put("over the end", anon + 7 * PAGE + 4000, PAGE);
	put("nothing", anon - PAGE, 10);
	mprotect((void *)shared, 2 * PAGE, PROT_READ);
	put("shared, read-only", shared, 10);
	put("shared, the second half read-only", shared + 2 * PAGE - 10, 20);
	mprotect((void *)shared, PAGE, PROT_READ | PROT_WRITE);
	put("shared, then read-only", shared + PAGE - 10, 20);
	mprotect((void *)file, 4 * PAGE, PROT_READ);
	put("a private file, read-only", file, 4 * PAGE);
	show("copied by that", file, 4);
	printf("%.6s %c %c\n", (char *)anon + 8, shared[PAGE - 1], file[5]);
	get("with SEEK_END", anon, 10);
	printf("seek to the end: %s\n", outcome(NR(lseek, mem, 0, SEEK_END)));
	return 0;
}

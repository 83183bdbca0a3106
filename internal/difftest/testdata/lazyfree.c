// MADV_FREE and clear_refs: what smaps says of memory that was given away, until it is
// written again; what clear_refs takes.
#include "guest.h"

#define AT(i) ((char *)PLACE + (i) * PAGE)

static void show(const char *what)
{
	static const char *const lines[] = { "Rss", "Shared_", "Private_", "Anonymous", "LazyFree", "VmFlags" };
	char line[256];
	int ours = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	printf("%s:\n", what);
	while (fgets(line, sizeof line, f)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			ours = start >= PLACE && start < PLACE + 64 * PAGE;
			if (ours)
				printf("  %s", line);
		}
		for (unsigned i = 0; ours && i < sizeof lines / sizeof *lines; i++)
			if (!strncmp(line, lines[i], strlen(lines[i])))
				printf("  %s", line);
	}
	fclose(f);
}

// drain has the host's processors put the pages that they hold back on its lists: a page
// that another one holds is not given away. MPOL_MF_MOVE does so first of all.
static void drain(void) { NR(mbind, PLACE, 8 * PAGE, 0, 0, 0, 2); }

static void give(int at, int n) { printf("free %d+%d = %s\n", at, n, outcome(NR(madvise, AT(at), n * PAGE, MADV_FREE))); }

static void put(int fd, const char *text) { printf("clear_refs %s = %s\n", text, outcome(NR(write, fd, text, strlen(text)))); }

static void dirty(const char *what)
{
	uint64_t e[8];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, e, sizeof e, PLACE / PAGE * 8);
	close(fd);
	printf("%s:", what);
	for (int i = 0; i < 8; i++)
		printf(" %d", (int)(e[i] >> 63));
	printf("\n");
}

int main(void)
{
	mmap(AT(0), 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 6; i++)
		AT(i)[0] = 'a' + i;
	(void)*(volatile char *)AT(6);
	drain();
	give(1, 3);
	give(6, 2);
	drain();
	show("given away");
	printf("%c%c\n", AT(1)[0], AT(2)[0]);
	AT(1)[1] = 'x';
	show("1 written");
	if (fork() == 0) {
		AT(2)[1] = 'y';
		show("child");
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	show("parent");
	madvise(AT(2), PAGE, MADV_DONTNEED);
	show("2 dropped");
	AT(3)[0] = 'z';
	show("3 written");
	int fd = open("/proc/self/clear_refs", O_WRONLY);
	put(fd, "1"), put(fd, "2\n"), put(fd, "3"), put(fd, "0"), put(fd, "6"), put(fd, "x"), put(fd, ""), put(fd, "5"), put(fd, "4");
	char c;
	printf("read %s\n", outcome(NR(read, fd, &c, 1)));
	close(fd);
	dirty("before");
	AT(0)[0]++, AT(7)[0]++;
	dirty("after");
	printf("%c%c%c %d\n", AT(0)[0], AT(1)[0], AT(3)[0], AT(7)[0]);
	return 0;
}

// Who has which pages, by smaps and smaps_rollup: private, shared, of files, before
// and after fork and copy-on-write.
#include "guest.h"
#include <sys/prctl.h>

// show prints the entries of smaps at PLACE whole.
static void show(const char *when)
{
	int shown = 0;
	printf("smaps %s:\n", when);
	for (char *l = strtok(slurp("/proc/self/smaps"), "\n"); l; l = strtok(NULL, "\n")) {
		unsigned long a, b;
		if (sscanf(l, "%lx-%lx ", &a, &b) == 2)
			shown = a >= PLACE && a < PLACE + 1024 * PAGE;
		if (shown)
			puts(l);
	}
	fflush(stdout);
}

// show_flags prints the flags of every mapping.
static void show_flags(void)
{
	char *head = "", *name;
	for (char *l = strtok(slurp("/proc/self/smaps"), "\n"); l; l = strtok(NULL, "\n")) {
		unsigned long a, b;
		if (sscanf(l, "%lx-%lx ", &a, &b) == 2)
			head = l;
		if (strncmp(l, "VmFlags", 7) == 0) {
			name = strrchr(head, '[');
			printf("%s %s\n", name ? name : head, l);
		}
	}
	printf("the last entry:\n%s", strstr(slurp("/proc/self/smaps"), "[vsyscall]"));
}

// show_rollup prints the shape of smaps_rollup, and how much each sum has grown
// since it was last called; the first time, with no word, nothing. How much of a
// program's own code is resident depends on what the host reads ahead.
static void show_rollup(const char *when)
{
	static long before[64];
	int i = 0;
	if (when)
		printf("rollup %s:\n", when);
	for (char *l = strtok(slurp("/proc/self/smaps_rollup"), "\n"); l; l = strtok(NULL, "\n"), i++) {
		char name[32];
		long kb;
		if (sscanf(l, "%31s %ld kB", name, &kb) == 2 && strchr(name, ':')) {
			if (when && strcmp(name, "Rss:") && strcmp(name, "Referenced:") &&
			    strcmp(name, "Pss:") && strcmp(name, "Pss_File:") && strcmp(name, "Private_Clean:"))
				printf("%s %+ld, line of %zu\n", name, kb - before[i], strlen(l));
			before[i] = kb;
		} else if (when) {
			puts(strchr(l, '-') + 1);
		}
	}
	fflush(stdout);
}

static volatile char *map(int at, int pages, int prot, int flags, int fd)
{
	return mmap((void *)(PLACE + at * PAGE), pages * PAGE, prot, flags | MAP_FIXED, fd, 0);
}

static void touch(volatile char *p, int from, int to)
{
	for (int i = from; i < to; i++)
		p[i * PAGE] = 1;
}

static long look(volatile char *p, int pages)
{
	long sum = 0;
	for (int i = 0; i < pages; i++)
		sum += p[i * PAGE];
	return sum;
}

int main(void)
{
	int down[2], up[2];
	char c;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	pipe(down), pipe(up);
	int fd = open("../../../loader/testdata/mutations.txt", O_RDONLY);
	puts(fd < 0 ? "no file" : "all code and buffers come in first");
	show("of nothing");
	show_flags();

	volatile char *anon = map(0, 16, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	volatile char *shared = map(32, 8, 3, MAP_SHARED | MAP_ANONYMOUS, -1);
	volatile char *file = map(64, 4, 3, MAP_PRIVATE, fd);
	volatile char *again = map(96, 4, 1, MAP_SHARED, fd);
	map(128, 4, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map(160, 4, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	map(192, 4, 5, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map(224, 4, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	show("of untouched mappings");
	show_flags();

	look(anon, 16);
	touch(anon, 0, 7);
	touch(shared, 0, 5);
	look(file, 4);
	show("of touched mappings");
	look(again, 4);
	show("of a file mapped twice");
	touch(file, 1, 4);
	mprotect((void *)(anon + 2 * PAGE), 2 * PAGE, PROT_READ);
	mprotect((void *)(file + 2 * PAGE), PAGE, PROT_READ);
	show("after writes to the file's copy and mprotect");
	madvise((void *)(anon + 12 * PAGE), PAGE, MADV_DONTFORK);
	madvise((void *)(shared + PAGE), PAGE, MADV_DONTDUMP);
	madvise((void *)again, PAGE, MADV_SEQUENTIAL);
	madvise((void *)(again + PAGE), PAGE, MADV_RANDOM);
	mlock((void *)(anon + 5 * PAGE), 4 * PAGE);
	mlock2((void *)(anon + 14 * PAGE), PAGE, MLOCK_ONFAULT);
	show("of locked mappings");
	munlockall();

	show_rollup(NULL);
	touch(anon, 8, 11);
	show_rollup("after three pages more");

	if (fork() == 0) {
		show("of the child");
		touch(anon, 0, 1);
		touch(anon, 8, 9);
		touch(shared, 0, 6);
		look(again, 4);
		look(file, 4);
		show("of the child after writes");
		write(up[1], "x", 1);
		read(down[0], &c, 1);
		if (fork() == 0) {
			show("of the grandchild");
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	read(up[0], &c, 1);
	touch(anon, 1, 2);
	show("of the parent beside the child");
	write(down[1], "x", 1);
	wait(NULL);
	show("of the parent alone");
	return 0;
}

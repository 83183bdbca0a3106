// MAP_DROPPABLE: what it goes with, what it implies, what advice and locks make of it, and
// what a child gets.
#include "guest.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#ifndef MAP_DROPPABLE // newer than some C libraries
#define MAP_DROPPABLE 0x08
#endif

#define AT(i) ((char *)PLACE + (i) * PAGE)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_ANONYMOUS | MAP_FIXED)

// show prints what smaps says of the mappings in our place.
static void show(const char *when)
{
	static char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");
	int on = 0;
	printf("%s:\n", when);
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			on = a >= PLACE && b <= PLACE + 64 * PAGE;
			if (on)
				fputs(line, stdout);
		} else if (on && (!strncmp(line, "Rss:", 4) || !strncmp(line, "Anonymous:", 10) || !strncmp(line, "LazyFree:", 9) || !strncmp(line, "Locked:", 7) || !strncmp(line, "VmFlags:", 8)))
			fputs(line, stdout);
	}
	fclose(f);
}

static void clean(void) { munmap(AT(0), 64 * PAGE); }

static void flags(void)
{
	CALL(mmap, AT(0), 4 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
	show("droppable");
	CALL(mmap, AT(4), 4 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 4 * PAGE);
	show("its like beside it");
	CALL(mmap, AT(8), 4 * PAGE, RW, ANON | MAP_PRIVATE, -1, 0);
	show("private beside it");
	clean();
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_LOCKED, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_HUGETLB, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_GROWSDOWN, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_PRIVATE, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_SHARED, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_SHARED_VALIDATE, -1, 0);
	CALL(mmap, AT(0), PAGE, RW, ANON | MAP_DROPPABLE | MAP_STACK | MAP_NORESERVE, -1, 0);
	CALL(mmap, AT(1), 2 * PAGE, RW, ANON | MAP_DROPPABLE | MAP_POPULATE, -1, 0);
	show("populated");
	int fd = open("/proc/self/exe", O_RDONLY);
	printf("of a file: %s\n", outcome(NR(mmap, AT(0), PAGE, PROT_READ, MAP_FIXED | MAP_DROPPABLE, fd, 0)));
	close(fd);
	clean();
}

static void advice(void)
{
	static const struct { int advice; const char *name; } all[] = {
		{ MADV_KEEPONFORK, "KEEPONFORK" }, { MADV_WIPEONFORK, "WIPEONFORK" }, { MADV_DODUMP, "DODUMP" }, { MADV_DONTDUMP, "DONTDUMP" },
		{ MADV_DONTFORK, "DONTFORK" }, { MADV_DOFORK, "DOFORK" }, { MADV_FREE, "FREE" }, { MADV_MERGEABLE, "MERGEABLE" },
		{ MADV_UNMERGEABLE, "UNMERGEABLE" }, { MADV_COLD, "COLD" }, { MADV_PAGEOUT, "PAGEOUT" }, { MADV_WILLNEED, "WILLNEED" },
		{ MADV_REMOVE, "REMOVE" }, { MADV_HUGEPAGE, "HUGEPAGE" }, { MADV_NOHUGEPAGE, "NOHUGEPAGE" }, { 102, "GUARD_INSTALL" }, { 103, "GUARD_REMOVE" },
		{ 22, "POPULATE_READ" }, { 23, "POPULATE_WRITE" }, { 24, "DONTNEED_LOCKED" }, { MADV_DONTNEED, "DONTNEED" }, { MADV_RANDOM, "RANDOM" },
	};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		mmap(AT(0), 4 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
		printf("MADV_%s = %s\n", all[i].name, outcome(NR(madvise, AT(1), PAGE, all[i].advice)));
		show("after it");
	}
	clean();
}

static void locks(void)
{
	mmap(AT(0), 4 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
	CALL(mlock, AT(0), 2 * PAGE);
	show("mlock");
	CALL(mlock2, AT(0), 4 * PAGE, 1);
	show("mlock2");
	CALL(madvise, AT(0), 4 * PAGE, MADV_DONTNEED);
	CALL(mlockall, MCL_CURRENT | MCL_ONFAULT);
	show("mlockall");
	CALL(munlockall, 0);
	CALL(munlock, AT(0), 4 * PAGE);
	mmap(AT(4), PAGE, RW, ANON | MAP_PRIVATE, -1, 0);
	CALL(mlock, AT(2), 3 * PAGE);
	show("mlock with private memory behind");
	CALL(munlock, AT(4), PAGE);
	CALL(madvise, AT(0), 4 * PAGE, MADV_DONTNEED);
	CALL(mlockall, MCL_FUTURE | MCL_ONFAULT);
	CALL(mmap, AT(8), 2 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
	show("MCL_FUTURE");
	CALL(munlockall, 0);
	show("munlockall");
	clean();
}

static void changes(void)
{
	mmap(AT(0), 8 * PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
	memset(AT(0), 7, 8 * PAGE);
	show("written");
	CALL(mprotect, AT(2), 2 * PAGE, PROT_READ);
	CALL(mremap, AT(4), 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(20));
	show("protected and moved");
	printf("moved: %d %d\n", *AT(20), *AT(22));
	CALL(mremap, AT(6), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, AT(30));
	CALL(mremap, AT(0), 0, PAGE, MREMAP_MAYMOVE);
	CALL(mprotect, AT(2), 2 * PAGE, RW);
	CALL(mseal, AT(0), PAGE, 0);
	CALL(madvise, AT(0), PAGE, MADV_DONTNEED);
	show("at last");
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		show("in a child");
		printf("child: %d %d\n", *AT(1), *AT(20));
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
	printf("parent: %d %d\n", *AT(1), *AT(20));
	int fd = syscall(SYS_userfaultfd, 1);
	struct uffdio_api api = { .api = UFFD_API };
	ioctl(fd, UFFDIO_API, &api);
	struct uffdio_register reg = { .range = { PLACE + 20 * PAGE, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	long r = ioctl(fd, UFFDIO_REGISTER, &reg);
	printf("userfaultfd: %s\n", outcome(r < 0 ? -errno : r));
	close(fd);
}

// Memory that can be dropped is not reserved, but data all the same.
static void limits(void)
{
	struct rlimit none = { 4096, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	setrlimit(RLIMIT_DATA, &none);
	CALL(mmap, AT(40), PAGE, RW, ANON | MAP_DROPPABLE, -1, 0);
	setrlimit(RLIMIT_DATA, &all);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	flags();
	advice();
	locks();
	changes();
	limits();
	return 0;
}

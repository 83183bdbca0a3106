// userfaultfd(2): what it refuses, where it is registered, faults that a child resolves
// for its parent, protection of pages, SIGBUS and asynchronous modes.
#include "uffd.h"
#include <poll.h>

#ifndef UFFD_FEATURE_WP_ASYNC // newer than some headers
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

static void make(long flags, unsigned long features)
{
	uffd = syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	long r = ctl(UFFDIO_API, &api);
	printf("api %#lx = %s, has %d, basic %d\n", features, outcome(r), (api.features & features) == features, (api.ioctls & 3) == 3);
}

static void map(int at, int n)
{
	mmap(AT(at), n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

// The calls below that all ranges can be answered with.
#define CALLS (1UL << _UFFDIO_WAKE | 1UL << _UFFDIO_COPY | 1UL << _UFFDIO_ZEROPAGE | 1UL << _UFFDIO_WRITEPROTECT)

static void reg(void *at, unsigned long n, unsigned long mode)
{
	struct uffdio_register r = { .range = RANGE(at, n), .mode = mode };
	long got = ctl(UFFDIO_REGISTER, &r);
	printf("register %p+%#lx mode %#lx = %s, calls %#lx\n", at, n, mode, outcome(got), (unsigned long)r.ioctls & CALLS);
}

static void unreg(void *at, unsigned long n)
{
	struct uffdio_range r = RANGE(at, n);
	printf("unregister %p+%#lx = %s\n", at, n, outcome(ctl(UFFDIO_UNREGISTER, &r)));
}

static void wake(void *at, unsigned long n)
{
	struct uffdio_range r = RANGE(at, n);
	printf("wake %p+%#lx = %s\n", at, n, outcome(ctl(UFFDIO_WAKE, &r)));
}

static void copy(void *to, const void *from, unsigned long n, unsigned long mode)
{
	struct uffdio_copy c = { .dst = (unsigned long)to, .src = (unsigned long)from, .len = n, .mode = mode, .copy = 12345 };
	long r = ctl(UFFDIO_COPY, &c);
	printf("copy %p+%#lx mode %#lx = %s, copied %ld\n", to, n, mode, outcome(r), (long)c.copy);
}

static void zero(void *to, unsigned long n, unsigned long mode)
{
	struct uffdio_zeropage z = { .range = RANGE(to, n), .mode = mode, .zeropage = 12345 };
	long r = ctl(UFFDIO_ZEROPAGE, &z);
	printf("zeropage %p+%#lx mode %#lx = %s, done %ld\n", to, n, mode, outcome(r), (long)z.zeropage);
}

// show prints maps and VmFlags of what lies at PLACE.
static void show(const char *what)
{
	char line[256];
	int ours = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	printf("%s:\n", what);
	while (fgets(line, sizeof line, f)) {
		unsigned long start;
		if (sscanf(line, "%lx-", &start) == 1 && strchr(line, '-') && line[0] != 'S')
			ours = start >= PLACE && start < PLACE + 64 * PAGE;
		if (ours && (sscanf(line, "%lx-", &start) == 1 || !strncmp(line, "VmFlags", 7) || !strncmp(line, "Rss", 3)))
			printf("  %s", line);
	}
	fclose(f);
}

// pagemap prints the bits of n pages from at.
static void pagemap(const char *what, char *at, int n)
{
	uint64_t e[16];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, e, n * 8, (unsigned long)at / PAGE * 8);
	close(fd);
	printf("%s:", what);
	for (int i = 0; i < n; i++)
		printf(" %lx", (unsigned long)(e[i] >> 55 & ~1UL));
	printf("\n");
}

static void refusals(void)
{
	printf("userfaultfd(0x4) = %s\n", outcome(NR(userfaultfd, 4)));
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffd_msg msg;
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	struct uffdio_range r = RANGE(AT(0), PAGE);
	printf("early: read %s wake %s", outcome(NR(read, uffd, &msg, sizeof msg)), outcome(ctl(UFFDIO_WAKE, &r)));
	poll(&p, 1, 0);
	printf(" poll %#x write %s\n", p.revents, outcome(NR(write, uffd, &msg, sizeof msg)));
	struct uffdio_api api = { .api = 7 };
	printf("api 7 = %s", outcome(ctl(UFFDIO_API, &api)));
	printf(" -> %llx %llx %llx\n", api.api, api.features, api.ioctls);
	api = (struct uffdio_api){ .api = UFFD_API, .features = 1UL << 40 };
	printf("feature 40 = %s", outcome(ctl(UFFDIO_API, &api)));
	printf(" -> %llx %llx %llx\n", api.api, api.features, api.ioctls);
	printf("api at 8 = %s\n", outcome(ctl(UFFDIO_API, (void *)8)));
	api = (struct uffdio_api){ .api = UFFD_API };
	printf("api = %s, again", outcome(ctl(UFFDIO_API, &api)));
	printf(" %s\n", outcome(ctl(UFFDIO_API, &api)));
	printf("read %s, short %s, ", outcome(NR(read, uffd, &msg, sizeof msg)), outcome(NR(read, uffd, &msg, 31)));
	poll(&p, 1, 0);
	printf("poll %#x, request 77 %s\n", p.revents, outcome(ctl(_IO(UFFDIO, 77), 0)));
	char link[64], path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", uffd);
	long n = readlink(path, link, sizeof link);
	printf("it is %.*s\n", (int)n, link);

	map(0, 8);
	munmap(AT(4), PAGE);
	mmap(AT(5), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int fd = open("/proc/self/exe", O_RDONLY);
	mmap(AT(10), PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	close(fd);
	reg(AT(0), 4 * PAGE, 0);
	reg(AT(0), 4 * PAGE, 8);
	reg(AT(0), 0, 1);
	reg(AT(0) + 1, PAGE, 1);
	reg(AT(0), PAGE + 1, 1);
	reg(AT(0), -PAGE, 1);
	reg((void *)-PAGE, PAGE, 1);
	reg(AT(4), PAGE, 1);
	reg(AT(20), PAGE, 1);
	reg(AT(8), 4 * PAGE, 1);
	reg((void *)0, PAGE, 1);
	printf("register at 8 = %s\n", outcome(ctl(UFFDIO_REGISTER, (void *)8)));
	reg(AT(1), 5 * PAGE, UFFDIO_REGISTER_MODE_MISSING);
	show("registered 1-6");
	reg(AT(2), PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	reg(AT(3), PAGE, UFFDIO_REGISTER_MODE_WP);
	show("2 and 3 otherwise");
	int first = uffd;
	make(O_NONBLOCK, 0);
	reg(AT(0), 4 * PAGE, 1);
	unreg(AT(0), 4 * PAGE);
	reg(AT(0), PAGE, 1);
	close(uffd);
	uffd = first;
	show("another closed");
	unreg(AT(20), PAGE);
	unreg(AT(0), 0);
	unreg(AT(10), PAGE);
	unreg(AT(2), PAGE);
	show("2 unregistered");
	mprotect(AT(0), 2 * PAGE, PROT_READ);
	show("0 and 1 read-only");
	mprotect(AT(0), 2 * PAGE, PROT_READ | PROT_WRITE);

	static char src[4 * PAGE] __attribute__((aligned(4096)));
	memset(src, 'x', sizeof src);
	copy(AT(0), src, PAGE, 0);
	copy(AT(1), src, 0, 0);
	copy(AT(1), src, PAGE, 4);
	copy(AT(1) + 1, src, PAGE, 0);
	copy(AT(1), src, 2 * PAGE, 0);
	copy(AT(1), src, PAGE, UFFDIO_COPY_MODE_WP);
	copy(AT(1), (void *)8, PAGE, 0);
	copy(AT(20), src, PAGE, 0);
	copy(AT(1), src + 1, PAGE, 0);
	copy(AT(1), src, PAGE, 0);
	copy(AT(3), src, PAGE, UFFDIO_COPY_MODE_WP);
	pagemap("copied", AT(0), 8);
	zero(AT(0), PAGE, 0);
	zero(AT(3), PAGE, 0);
	zero(AT(5), PAGE, 2);
	zero(AT(5), PAGE, 1);
	pagemap("zeroed", AT(0), 8);
	protect(AT(5), PAGE, 1);
	protect(AT(3), PAGE, 3);
	protect(AT(3), PAGE, 4);
	protect(AT(3), 0, 1);
	protect(AT(3), PAGE, 0);
	protect(AT(3), PAGE, 1);
	protect(AT(2), 2 * PAGE, 1);
	protect(AT(3), 2 * PAGE, 1);
	protect(AT(3), 3 * PAGE, 0);
	protect(AT(20), PAGE, 1);
	wake(AT(0), 0);
	wake(AT(0), PAGE);
	wake(AT(40), PAGE);
	close(uffd);
	munmap(AT(0), 16 * PAGE);
}

// partial: what is in the way ends a fill.
static void partial(void)
{
	static char src[8 * PAGE] __attribute__((aligned(4096)));
	for (int i = 0; i < 8; i++)
		src[i * PAGE] = '0' + i;
	make(O_NONBLOCK, 0);
	map(0, 8);
	AT(4)[0] = 'k';
	reg(AT(0), 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING);
	copy(AT(2), src, 4 * PAGE, 0);
	copy(AT(4), src, PAGE, 0);
	zero(AT(0), 8 * PAGE, 0);
	zero(AT(5), 3 * PAGE, UFFDIO_ZEROPAGE_MODE_DONTWAKE);
	for (int i = 0; i < 8; i++)
		printf(" %02x", AT(i)[0]);
	char *edge = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(edge + PAGE, PAGE);
	edge[0] = 'e';
	madvise(AT(0), 8 * PAGE, MADV_DONTNEED);
	printf("\n");
	copy(AT(0), edge, 2 * PAGE, 0);
	pagemap("after", AT(0), 8);
	munmap(edge, PAGE);
	close(uffd);
	munmap(AT(0), 8 * PAGE);
}

static void handle(void)
{
	struct sigaction sa = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
	sigaction(SIGBUS, &sa, 0);
	sigaction(SIGSEGV, &sa, 0);
}

static void sigbus(void)
{
	int fds[2];
	make(O_NONBLOCK, UFFD_FEATURE_SIGBUS);
	map(0, 4);
	AT(3)[0] = 'd';
	reg(AT(0), 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	load(AT(0) + 5);
	store(AT(1) + 7, 'x');
	pipe(fds);
	printf("write from missing %s, ", outcome(NR(write, fds[1], AT(0), 1)));
	NR(write, fds[1], "ab", 2);
	printf("read into missing %s\n", outcome(NR(read, fds[0], AT(0), 1)));
	printf("populate %s\n", outcome(NR(madvise, AT(0), PAGE, MADV_POPULATE_READ)));
	zero(AT(0), PAGE, 0);
	load(AT(0));
	store(AT(0), 'y');
	protect(AT(0), 4 * PAGE, 1);
	pagemap("protected", AT(0), 4);
	store(AT(0), 'z');
	load(AT(0));
	store(AT(3), 'z');
	printf("read into protected %s\n", outcome(NR(read, fds[0], AT(3), 1)));
	mprotect(AT(0), 4 * PAGE, PROT_READ);
	mprotect(AT(0), 4 * PAGE, PROT_READ | PROT_WRITE);
	store(AT(3), 'z');
	if (fork() == 0) { // who has it not
		pagemap("child", AT(0), 4);
		show("child");
		store(AT(3), 'c');
		load(AT(1));
		_exit(0);
	}
	wait(0);
	store(AT(3), 'z');
	char *moved = mremap(AT(2), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(8));
	store(moved + PAGE, 'm');
	load(moved);
	show("moved");
	madvise(AT(0), PAGE, MADV_DONTNEED);
	pagemap("dropped", AT(0), 2);
	zero(AT(0), PAGE, 0);
	store(AT(0), 'q');
	protect(AT(0), PAGE, 1);
	unreg(AT(0), PAGE);
	store(AT(0), 'r');
	close(uffd);
	store(AT(1), 's');
	close(fds[0]), close(fds[1]);
	munmap(AT(0), 16 * PAGE);
}

// async: a write ends the protection and nobody hears of it.
static void async(void)
{
	make(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC);
	map(0, 4);
	AT(0)[0] = AT(1)[0] = 'a';
	reg(AT(0), 4 * PAGE, UFFDIO_REGISTER_MODE_WP);
	pagemap("registered", AT(0), 4);
	protect(AT(0), 4 * PAGE, 1);
	pagemap("protected", AT(0), 4);
	AT(1)[0] = 'b';
	load(AT(2));
	AT(3)[0] = 'b';
	pagemap("written", AT(0), 4);
	madvise(AT(0), 4 * PAGE, MADV_DONTNEED);
	pagemap("dropped", AT(0), 4);
	close(uffd);
	munmap(AT(0), 4 * PAGE);
	int fd = open("/proc/self/exe", O_RDONLY);
	mmap(AT(0), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	close(fd);
	make(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	load(AT(0));
	reg(AT(0), PAGE, UFFDIO_REGISTER_MODE_WP);
	protect(AT(0), PAGE, 1);
	pagemap("of a file", AT(0), 1);
	store(AT(0), 'f');
	pagemap("written", AT(0), 1);
	close(uffd);
	munmap(AT(0), PAGE);
}

// serve answers n faults of the parent.
static void serve(int n)
{
	static char src[PAGE] __attribute__((aligned(4096)));
	while (n-- > 0) {
		struct uffd_msg m;
		struct pollfd p = { .fd = uffd, .events = POLLIN };
		int events = poll(&p, 1, -1);
		long r = read(uffd, &m, sizeof m);
		printf("child: poll %d %#x read %ld event %#x flags %#llx at %#llx thread %d\n", events, p.revents, r, m.event,
		       m.arg.pagefault.flags, m.arg.pagefault.address, m.arg.pagefault.feat.ptid == (unsigned)getppid());
		fflush(stdout);
		char *at = (char *)((unsigned long)m.arg.pagefault.address & -PAGE);
		if (n == 0) { // who goes on now prints
			struct uffdio_writeprotect w = { .range = RANGE(at, PAGE) };
			ioctl(uffd, UFFDIO_WRITEPROTECT, &w);
			_exit(0);
		}
		if (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			protect(at, PAGE, 0);
		} else {
			memset(src, 'A' + n, PAGE);
			copy(at, src, PAGE, n == 1 ? UFFDIO_COPY_MODE_DONTWAKE : n == 3 ? UFFDIO_COPY_MODE_WP : 0);
			if (n == 1)
				wake(at, PAGE);
		}
		fflush(stdout);
	}
}

static void resolved(unsigned long features)
{
	int fds[2];
	make(O_NONBLOCK, features);
	map(0, 8);
	AT(6)[0] = 'p';
	reg(AT(0), 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	protect(AT(6), PAGE, 1);
	pipe(fds);
	fflush(stdout);
	if (fork() == 0)
		serve(7);
	printf("parent: %c\n", ((volatile char *)AT(0))[3]);
	((volatile char *)AT(1))[7] = '1';
	printf("parent: %c %c\n", AT(1)[6], AT(1)[7]);
	NR(write, fds[1], "hello", 5);
	printf("parent: reads %s", outcome(NR(read, fds[0], AT(2), 5)));
	printf(" %.6s\n", AT(2));
	printf("parent: writes %s", outcome(NR(write, fds[1], AT(3), 3)));
	printf(" %.2s\n", AT(3));
	AT(3)[1] = 'w';
	printf("parent: opens %s\n", outcome(NR(open, AT(4), O_RDONLY)));
	AT(6)[1] = 'q';
	printf("parent: %.2s\n", AT(6));
	fflush(stdout);
	wait(0);
	close(uffd), close(fds[0]), close(fds[1]);
	munmap(AT(0), 8 * PAGE);
}

static void nothing(int sig)
{
	(void)sig;
	write(1, "parent: handler\n", 16);
}

// interrupted: a signal's handler runs while the access waits, and closing wakes.
static void interrupted(void)
{
	make(O_NONBLOCK, 0);
	map(0, 1);
	reg(AT(0), PAGE, UFFDIO_REGISTER_MODE_MISSING);
	signal(SIGUSR1, nothing);
	int fds[2];
	pipe(fds);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct pollfd p = { .fd = uffd, .events = POLLIN };
		poll(&p, 1, -1);
		kill(getppid(), SIGUSR1);
		struct uffd_msg m;
		do
			poll(&p, 1, -1);
		while (read(uffd, &m, sizeof m) < 0);
		static char src[PAGE] __attribute__((aligned(4096)));
		src[0] = 'i';
		struct uffdio_copy c = { .dst = (unsigned long)AT(0), .src = (unsigned long)src, .len = PAGE };
		ioctl(uffd, UFFDIO_COPY, &c);
		_exit(0);
	}
	printf("parent: %c\n", *(volatile char *)AT(0));
	fflush(stdout);
	wait(0);
	madvise(AT(0), PAGE, MADV_DONTNEED);
	child = fork();
	if (child == 0) {
		struct pollfd p = { .fd = uffd, .events = POLLIN };
		char c;
		close(fds[1]);
		poll(&p, 1, -1);
		read(fds[0], &c, 1); // the parent has closed its own
		_exit(0);
	}
	int mine = uffd;
	close(mine), close(fds[1]);
	printf("parent: %02x, the last one closed\n", *(volatile char *)AT(0));
	wait(0);
	close(fds[0]);
	munmap(AT(0), PAGE);
}

int main(void)
{
	setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
	handle();
	refusals();
	partial();
	sigbus();
	async();
	fflush(stdout);
	resolved(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	resolved(UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS);
	interrupted();
	return 0;
}

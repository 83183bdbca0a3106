// userfaultfd(2) over shared memory (missing and minor faults, protection), UFFDIO_MOVE,
// UFFDIO_POISON.
#include "uffd.h"

// Newer than some headers.
#ifndef UFFDIO_MOVE
struct uffdio_move { uint64_t dst, src, len, mode; int64_t move; };
#define UFFDIO_MOVE _IOWR(UFFDIO, 5, struct uffdio_move)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison { struct uffdio_range range; uint64_t mode; int64_t updated; };
#define UFFDIO_POISON _IOWR(UFFDIO, 8, struct uffdio_poison)
#endif
#define MOVE_ALLOW_SRC_HOLES 2
#define WP_ASYNC (1 << 15)
#define POPULATE_WRITE 23

#define RW (PROT_READ | PROT_WRITE)
enum { MISSING = 1, WP = 2, MINOR = 4 };

static char src[8 * PAGE] __attribute__((aligned(4096)));

static void make(long flags, unsigned long features)
{
	uffd = syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	printf("api %#lx = %s\n", features, outcome(ctl(UFFDIO_API, &api)));
}

static void reg(void *at, unsigned long n, unsigned long mode)
{
	struct uffdio_register r = { .range = RANGE(at, n), .mode = mode };
	printf("register %p+%#lx mode %#lx = %s", at, n, mode, outcome(ctl(UFFDIO_REGISTER, &r)));
	printf(", calls %#lx\n", (unsigned long)r.ioctls);
}

static void copy(void *to, unsigned long n, unsigned long mode)
{
	struct uffdio_copy c = { .dst = (unsigned long)to, .src = (unsigned long)src, .len = n, .mode = mode, .copy = 12345 };
	long r = ctl(UFFDIO_COPY, &c);
	printf("copy %p+%#lx mode %#lx = %s, copied %ld\n", to, n, mode, outcome(r), (long)c.copy);
}

static void ranged(const char *name, unsigned long request, void *to, unsigned long n, unsigned long mode)
{
	struct { struct uffdio_range range; uint64_t mode; int64_t done; } a = { .range = RANGE(to, n), .mode = mode, .done = 12345 };
	long r = ctl(request, &a);
	printf("%s %p+%#lx mode %#lx = %s, done %ld\n", name, to, n, mode, outcome(r), (long)a.done);
}
#define ZERO(...) ranged("zeropage", UFFDIO_ZEROPAGE, __VA_ARGS__)
#define CONTINUE(...) ranged("continue", UFFDIO_CONTINUE, __VA_ARGS__)
#define POISON(...) ranged("poison", UFFDIO_POISON, __VA_ARGS__)

static void move(void *to, void *from, unsigned long n, unsigned long mode)
{
	struct uffdio_move m = { .dst = (unsigned long)to, .src = (unsigned long)from, .len = n, .mode = mode, .move = 12345 };
	long r = ctl(UFFDIO_MOVE, &m);
	printf("move %p+%#lx to %p mode %#lx = %s, moved %ld\n", from, n, to, mode, outcome(r), (long)m.move);
}

// pagemap prints the bits of n pages from at but for soft-dirty and exclusive.
static void pagemap(const char *what, char *at, int n)
{
	uint64_t e[16];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, e, n * 8, (unsigned long)at / PAGE * 8);
	close(fd);
	printf("%s:", what);
	for (int i = 0; i < n; i++)
		printf(" %lx", (unsigned long)(e[i] >> 57));
	printf("\n");
}

static void flags(const char *what)
{
	char line[256];
	int ours = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	printf("%s:\n", what);
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
			ours = a >= PLACE && b <= PLACE + 64 * PAGE;
		if (ours && !strncmp(line, "VmFlags", 7))
			printf("  %s", line);
	}
	fclose(f);
}

static int shared(int at, int n)
{
	int fd = memfd_create("shared", 0);
	ftruncate(fd, n * PAGE);
	mmap(AT(at), n * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	return fd;
}

static void missing(void)
{
	make(1, UFFD_FEATURE_SIGBUS);
	int fd = shared(0, 8);
	pwrite(fd, "a", 1, 0);
	pwrite(fd, "b", 1, PAGE);
	ftruncate(fd, 6 * PAGE);
	reg(AT(0), 8 * PAGE, MISSING);
	flags("missing");
	load(AT(0));
	store(AT(1), 'B');
	load(AT(2));
	store(AT(2), 2);
	load(AT(6));
	copy(AT(2), PAGE, 0);
	copy(AT(2), PAGE, 0);
	copy(AT(0), PAGE, 0);
	copy(AT(6), PAGE, 0);
	ZERO(AT(3), PAGE, 0);
	ZERO(AT(3), PAGE, 0);
	CONTINUE(AT(0), PAGE, 0);
	CONTINUE(AT(4), PAGE, 0);
	copy(AT(4), 4 * PAGE, 0);
	load(AT(2));
	load(AT(3));
	load(AT(4));
	char c[6];
	for (int i = 0; i < 6; i++)
		pread(fd, c + i, 1, i * PAGE);
	printf("file: %02x %02x %02x %02x %02x %02x\n", c[0], c[1], c[2], c[3], c[4], c[5]);
	CALL(madvise, AT(2), PAGE, MADV_DONTNEED);
	load(AT(2));
	CALL(madvise, AT(3), PAGE, MADV_REMOVE);
	load(AT(3));
	CALL(madvise, AT(5), PAGE, POPULATE_WRITE);
	printf("read into it: %s\n", outcome(NR(pread64, open("/proc/self/exe", O_RDONLY), AT(3), 8, 0)));
	// A private mapping of it has pages of its own.
	mmap(AT(16), 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	CALL(fallocate, fd, 3, PAGE, PAGE);
	reg(AT(16), 4 * PAGE, MISSING);
	load(AT(16));
	load(AT(17));
	store(AT(17), 1);
	copy(AT(17), PAGE, 0);
	load(AT(17));
	load(AT(1));
	munmap(AT(0), 32 * PAGE);
	close(fd);
	close(uffd);
}

static void minor(void)
{
	make(1, UFFD_FEATURE_SIGBUS);
	int fd = shared(0, 8);
	for (int i = 0; i < 6; i++)
		pwrite(fd, &"abcdef"[i], 1, i * PAGE);
	mmap(AT(10), PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	reg(AT(10), PAGE, MINOR);
	reg(AT(0), 8 * PAGE, MINOR);
	flags("minor");
	load(AT(0));
	store(AT(0), 1);
	CONTINUE(AT(0), PAGE, 0);
	CONTINUE(AT(0), PAGE, 0);
	CONTINUE(AT(1), PAGE, 4);
	CONTINUE(AT(1), 0, 0);
	CONTINUE(AT(1), PAGE, 2);
	CONTINUE(AT(6), PAGE, 0);
	CONTINUE(AT(10), PAGE, 0);
	CONTINUE(AT(4), 4 * PAGE, 1);
	load(AT(0));
	store(AT(0), 'A');
	load(AT(1));
	load(AT(4));
	load(AT(7)); // nobody has it: no minor fault
	reg(AT(0), 8 * PAGE, MINOR | MISSING | WP);
	flags("all");
	load(AT(1));
	load(AT(6));
	CONTINUE(AT(2), PAGE, 2);
	copy(AT(6), PAGE, UFFDIO_COPY_MODE_WP);
	load(AT(2));
	store(AT(2), 2);
	store(AT(6), 2);
	pagemap("protected", AT(0), 8);
	protect(AT(0), 8 * PAGE, 1);
	pagemap("all protected", AT(0), 8);
	store(AT(0), 2);
	CALL(madvise, AT(0), PAGE, MADV_DONTNEED);
	pagemap("dropped", AT(0), 8);
	load(AT(0));
	protect(AT(0), 8 * PAGE, 0);
	store(AT(2), 'C');
	pagemap("open", AT(0), 8);
	munmap(AT(0), 16 * PAGE);
	close(fd);
	close(uffd);
}

static void moves(void)
{
	make(1, UFFD_FEATURE_SIGBUS);
	mmap(AT(0), 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(AT(20), 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(AT(24), 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 8; i < 16; i++)
		*AT(i) = '0' + i;
	CALL(madvise, AT(11), PAGE, MADV_DONTNEED);
	CALL(madvise, AT(13), PAGE, MADV_DONTNEED);
	load(AT(13));
	reg(AT(0), 8 * PAGE, MISSING);
	move(AT(0), AT(8), PAGE, 0);
	move(AT(0), AT(9), PAGE, 0);
	move(AT(1), AT(8), PAGE, 0);
	move(AT(1), AT(9), 4 * PAGE, 0);
	move(AT(3), AT(11), PAGE, 0);
	move(AT(3), AT(11), PAGE, MOVE_ALLOW_SRC_HOLES);
	move(AT(4), AT(13), PAGE, 1);
	move(AT(4), AT(14), PAGE, 4);
	move(AT(5), AT(14) + 1, PAGE, 0);
	move(AT(5), AT(14), 0, 0);
	move(AT(5), AT(20), PAGE, 0);
	move(AT(5), AT(24), PAGE, 0);
	move(AT(20), AT(14), PAGE, 0);
	move(AT(5), AT(40), PAGE, 0);
	move(AT(40), AT(14), PAGE, 0);
	move(AT(9), AT(14), PAGE, 0);
	move(AT(7), AT(14), 2 * PAGE, 0);
	load(AT(0));
	load(AT(1));
	load(AT(2));
	load(AT(3));
	load(AT(4));
	load(AT(8));
	pagemap("moved", AT(0), 16);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	move(AT(5), AT(14), PAGE, 0);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	move(AT(5), AT(14), PAGE, 0);
	store(AT(5), '5');
	load(AT(14));
	munmap(AT(0), 32 * PAGE);
	close(uffd);
}

static void poisons(void)
{
	make(1, UFFD_FEATURE_SIGBUS);
	mmap(AT(0), 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int fd = shared(8, 4);
	*AT(1) = 1;
	POISON(AT(0), PAGE, 0);
	reg(AT(0), 8 * PAGE, MISSING);
	reg(AT(8), 4 * PAGE, MISSING);
	POISON(AT(0), PAGE, 0);
	POISON(AT(0), PAGE, 1);
	POISON(AT(1), PAGE, 0);
	POISON(AT(2), PAGE, 2);
	POISON(AT(2), 2 * PAGE, 1);
	POISON(AT(8), PAGE, 0);
	ftruncate(fd, 2 * PAGE);
	POISON(AT(10), PAGE, 0);
	CONTINUE(AT(10), PAGE, 0);
	ZERO(AT(2), PAGE, 1);
	ZERO(AT(1), 2 * PAGE, 1);
	pagemap("poisoned", AT(0), 9);
	load(AT(0));
	store(AT(2), 1);
	load(AT(8));
	load(AT(4));
	CALL(madvise, AT(2), PAGE, POPULATE_WRITE);
	printf("read into it: %s\n", outcome(NR(pread64, open("/proc/self/exe", O_RDONLY), AT(2), 8, 0)));
	copy(AT(2), PAGE, 0);
	load(AT(2));
	CALL(madvise, AT(0), PAGE, MADV_DONTNEED);
	load(AT(0));
	close(uffd);
	load(AT(3));
	load(AT(4));
	load(AT(9));
	char *to = mremap(AT(3), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(32));
	load(to);
	load(AT(8));
	munmap(AT(0), 40 * PAGE);
	close(fd);
}

// Who waits is told what kind of fault it is.
static void messages(void)
{
	make(0, 0);
	int fd = shared(0, 4);
	pwrite(fd, "m", 1, 0);
	reg(AT(0), 4 * PAGE, MISSING | MINOR | WP);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		for (int i = 0; i < 5; i++) {
			struct uffd_msg m;
			read(uffd, &m, sizeof m);
			char *at = (char *)(m.arg.pagefault.address & -PAGE);
			printf("told %#x flags %#lx at %p\n", m.event, (unsigned long)m.arg.pagefault.flags, at);
			if (m.arg.pagefault.flags & 4)
				CONTINUE(at, PAGE, 0);
			else if (m.arg.pagefault.flags & 2)
				protect(at, PAGE, 0);
			else
				copy(at, PAGE, UFFDIO_COPY_MODE_WP);
			fflush(stdout);
		}
		_exit(0);
	}
	char a = *(volatile char *)AT(0);
	char b = *(volatile char *)AT(1);
	*(volatile char *)AT(2) = 'w';
	*(volatile char *)AT(1) = 'x';
	waitpid(child, 0, 0);
	printf("read %02x %02x, wrote %02x %02x\n", a, b, *AT(1), *AT(2));
	munmap(AT(0), 4 * PAGE);
	close(fd);
	close(uffd);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
	sigaction(SIGBUS, &sa, 0);
	sigaction(SIGSEGV, &sa, 0);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (int i = 0; i < 8; i++)
		src[i * PAGE] = 'S' + i;
	missing();
	minor();
	moves();
	poisons();
	messages();
	return 0;
}

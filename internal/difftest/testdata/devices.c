// The devices of memory: what they do on reads, writes, seeks, mappings and ioctls.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <linux/random.h>

static const char *names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

static void kind(const char *name, int fd)
{
	struct stat s;
	struct pollfd p = {fd, -1 & 0x7fff};
	fstat(fd, &s);
	printf("%s: mode %o device %d:%d", name, s.st_mode, major(s.st_rdev), minor(s.st_rdev));
	printf(" links %ld blksize %ld size %ld\n", (long)s.st_nlink, (long)s.st_blksize, (long)s.st_size);
	printf("poll %s", outcome(NR(poll, &p, 1, 0)));
	printf(" %#x\n", p.revents);
}

static void transfers(int fd)
{
	char b[64];
	struct iovec v[3] = {{b, 3}, {(void *)8, 5}, {b, 2}};
	CALL(read, fd, b, sizeof b);
	CALL(read, fd, b, 0);
	CALL(read, fd, 8, 10);
	CALL(read, fd, 8, 0);
	CALL(read, fd, -1L, 10);
	CALL(readv, fd, v, 3);
	CALL(pread64, fd, b, 10, 1000);
	CALL(pread64, fd, b, 10, -1L);
	CALL(write, fd, b, sizeof b);
	CALL(write, fd, b, 0);
	CALL(write, fd, 8, 10);
	CALL(write, fd, 8, 0x10000000000);
	CALL(write, fd, -1L, 10);
	CALL(writev, fd, v, 3);
	CALL(pwrite64, fd, b, 10, 1000);
	CALL(pwrite64, fd, b, 10, -1L);
	CALL(ftruncate, fd, 0);
	CALL(fallocate, fd, 0, 0, 4096);
	CALL(fsync, fd);
	CALL(fdatasync, fd);
	CALL(flock, fd, 1);
	CALL(getdents64, fd, b, sizeof b);
}

static void seeks(int fd)
{
	for (long whence = -1; whence < 7; whence++) {
		CALL(lseek, fd, 1234, whence);
		CALL(lseek, fd, -5, whence);
		CALL(lseek, fd, 1L << 62, whence);
	}
}

static void ioctls(int fd)
{
	static const unsigned long requests[] = {
		FIONREAD, TIOCOUTQ, FIONBIO, FIOASYNC, FIOQSIZE, 2, 0x5401, 0x5402, 0x5413, 0x540f, 0x5410, 0x540e, 0x5429, 0x5412, 0x540b,
		0x80045430, 0x5441, 0x802c542a, RNDGETENTCNT, RNDZAPENTCNT, RNDCLEARPOOL, RNDRESEEDCRNG, 0x5203, 0, 0xffffffff, 0x1260,
	};
	for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
		char b[256];
		memset(b, 0, sizeof b);
		printf("ioctl %#lx = %s", requests[i], outcome(NR(ioctl, fd, requests[i], b)));
		printf(" %d\n", *(int *)b);
		if (requests[i] != FIOQSIZE)
			printf("ioctl %#lx at 8 = %s\n", requests[i], outcome(NR(ioctl, fd, requests[i], 8)));
	}
	int n = 8, less = -1;
	CALL(ioctl, fd, RNDADDTOENTCNT, &n);
	CALL(ioctl, fd, RNDADDTOENTCNT, &less);
	struct { int count, size, buf[4]; } pool = {8, 16, {1}}, negative = {-8, 16, {1}}, wild = {8, -1, {1}};
	CALL(ioctl, fd, RNDADDENTROPY, &pool);
	CALL(ioctl, fd, RNDADDENTROPY, &negative);
	CALL(ioctl, fd, RNDADDENTROPY, &wild);
}

static void mappings(const char *name, int fd)
{
	for (int flags = 0; flags < 5; flags++)
		for (int prot = 0; prot < 8; prot++) {
			void *p = (void *)PLACE;
			long r = NR(mmap, p, 2 * PAGE, prot, flags | MAP_FIXED, fd, PAGE);
			printf("mmap prot %d flags %d: %s\n", prot, flags, outcome(r));
			if (r == (long)p) {
				show_maps_in(name, PLACE, PLACE + 2 * PAGE);
				munmap(p, 2 * PAGE);
			}
		}
	static const int modes[] = {O_RDONLY, O_WRONLY};
	for (int i = 0; i < 2; i++) {
		int other = open(name, modes[i] | O_TRUNC);
		CALL(mmap, PLACE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, other, 0);
		CALL(mprotect, PLACE, PAGE, PROT_READ | PROT_WRITE);
		CALL(munmap, PLACE, PAGE);
		CALL(mmap, PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other, 0);
		CALL(munmap, PLACE, PAGE);
		CALL(mmap, PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, other, 0);
		CALL(munmap, PLACE, PAGE);
		close(other);
	}
	CALL(mmap, PLACE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN, fd, 0);
	CALL(mmap, PLACE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 1);
	CALL(mmap, PLACE, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED, fd, 0);
	CALL(munmap, PLACE, PAGE);
}

static void on_bus(int sig)
{
	printf("signal %d\n", sig);
	fflush(stdout);
	_exit(0);
}

// shared: a mapping of /dev/zero is memory of its own, which children share.
static void shared(int fd)
{
	char *p = mmap((void *)PLACE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	char *q = mmap((void *)(PLACE + 2 * PAGE), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	strcpy(p, "first");
	printf("the second says \"%s\"\n", q);
	fflush(stdout);
	if (fork() == 0) {
		strcpy(p + PAGE, "from the child");
		_exit(0);
	}
	wait(NULL);
	printf("the first says \"%s\"\n", p + PAGE);
	CALL(msync, p, 2 * PAGE, MS_SYNC);
	char *r = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(PLACE + 16 * PAGE));
	printf("moved: \"%s\"\n", r);
	show_maps_in("moved", PLACE, PLACE + 32 * PAGE);
	fflush(stdout);
	if (fork() == 0) {
		signal(SIGBUS, on_bus);
		r[2 * PAGE] = 1;
		_exit(1);
	}
	wait(NULL);
	munmap(q, 2 * PAGE);
	munmap(r, 4 * PAGE);
	p = mmap((void *)PLACE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
	p[0] = 1;
	printf("at an offset: the first page is there\n");
	fflush(stdout);
	if (fork() == 0) {
		signal(SIGBUS, on_bus);
		p[PAGE] = 1;
		_exit(1);
	}
	wait(NULL);
	munmap(p, 2 * PAGE);
}

// private: anonymous memory that shows where it comes from.
static void private(int fd)
{
	char *p = mmap((void *)PLACE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 7 * PAGE);
	printf("%d %d\n", p[0], p[PAGE]);
	strcpy(p + PAGE, "mine");
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	show_maps_in("split", PLACE, PLACE + 4 * PAGE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	show_maps_in("joined", PLACE, PLACE + 4 * PAGE);
	fflush(stdout);
	if (fork() == 0) {
		printf("child: %s\n", p + PAGE);
		strcpy(p + PAGE, "the child's");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	printf("%s\n", p + PAGE);
	CALL(madvise, p, 4 * PAGE, MADV_DONTNEED);
	printf("%d\n", p[PAGE]);
	p[0] = 1;
	CALL(mremap, p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE + 16 * PAGE);
	show_maps_in("moved", PLACE, PLACE + 32 * PAGE);
	p = (char *)PLACE + 16 * PAGE;
	p[7 * PAGE] = 2;
	printf("%d %d\n", p[0], p[7 * PAGE]);
	munmap(p, 8 * PAGE);
	p = mmap((void *)PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
	mmap(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	mmap(p + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	show_maps_in("neighbours", PLACE, PLACE + 4 * PAGE);
	munmap(p, 4 * PAGE);
}

int main(void)
{
	for (int i = 0; i < 5; i++) {
		int fd = open(names[i], O_RDWR);
		kind(names[i], fd);
		transfers(fd);
		seeks(fd);
		ioctls(fd);
		mappings(names[i], fd);
		if (i == 1) {
			shared(fd);
			private(fd);
		}
		close(fd);
		CALL(openat, AT_FDCWD, names[i], O_RDONLY | O_DIRECTORY, 0);
		CALL(openat, AT_FDCWD, names[i], O_CREAT | O_EXCL, 0600);
		fflush(stdout);
	}
	return 0;
}

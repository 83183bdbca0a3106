// memfd_create: flags, names, seals one by one and what each forbids.
#include "guest.h"

#ifndef MFD_EXEC // newer than some C libraries
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

#define SEALS(fd) printf("  seals %s\n", outcome(NR(fcntl, fd, F_GET_SEALS)))
#define VALUE(x) \
	do { \
		errno = 0; \
		long r_ = (long)(x); \
		printf("  %s = %s\n", #x, outcome(r_ == -1 ? -errno : r_)); \
	} while (0)
#define MAP(x) \
	do { \
		void *m_ = (x); \
		printf("  %s: %s\n", #x, m_ == MAP_FAILED ? strerrorname_np(errno) : "ok"); \
		if (m_ != MAP_FAILED) \
			munmap(m_, PAGE); \
	} while (0)

static char buf[5 * PAGE];

static void mode(int fd)
{
	struct stat s;
	fstat(fd, &s);
	printf("  mode %o size %ld blocks %ld links %ld flags %s\n", s.st_mode, s.st_size, s.st_blocks, s.st_nlink,
	       outcome(NR(fcntl, fd, F_GETFL)));
}

static void link_of(int fd)
{
	char path[64], text[600];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	long n = readlink(path, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	printf("  link %s\n", text);
}

static void names(void)
{
	char name[300];
	memset(name, 'n', sizeof name);
	for (int n = 247; n < 252; n++) {
		name[n] = 0;
		int fd = syscall(SYS_memfd_create, name, 0);
		printf("name of %d: %s\n", n, fd < 0 ? strerrorname_np(errno) : "ok");
		if (fd >= 0)
			close(fd);
		name[n] = 'n';
	}
	VALUE(syscall(SYS_memfd_create, 8, 0));
	VALUE(syscall(SYS_memfd_create, 8, 0x100));
	VALUE(syscall(SYS_memfd_create, "x", MFD_EXEC | MFD_NOEXEC_SEAL));
	VALUE(syscall(SYS_memfd_create, "x", 21 << 26));
	int fd = syscall(SYS_memfd_create, "a b/c\nd", 1);
	link_of(fd);
	printf("  cloexec %d\n", fcntl(fd, F_GETFD));
	ftruncate(fd, PAGE);
	mmap((void *)PLACE, PAGE, 1, MAP_SHARED | MAP_FIXED, fd, 0);
	show_maps_in("of a name", PLACE, PLACE + PAGE);
	munmap((void *)PLACE, PAGE);
	close(fd);
}

static void kinds(void)
{
	static const unsigned flags[] = { 0, MFD_ALLOW_SEALING, MFD_EXEC, MFD_NOEXEC_SEAL, MFD_EXEC | MFD_ALLOW_SEALING, MFD_CLOEXEC };
	umask(077);
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		int fd = syscall(SYS_memfd_create, "kind", flags[i]);
		printf("flags %#x\n", flags[i]);
		mode(fd);
		SEALS(fd);
		VALUE(fchmod(fd, 0600));
		VALUE(fchmod(fd, 0711));
		VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
		SEALS(fd);
		VALUE(fchmod(fd, 0600));
		VALUE(fchmod(fd, 0733));
		VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
		VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
		close(fd);
	}
}

// sealed plays everything that a seal might forbid on a file of two pages and a half.
static void sealed(int seal)
{
	int fd = syscall(SYS_memfd_create, "sealed", MFD_ALLOW_SEALING), ro;
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	printf("seal %#x\n", seal);
	write(fd, buf, 2 * PAGE + 2048);
	VALUE(fcntl(fd, F_ADD_SEALS, seal));
	SEALS(fd);
	VALUE(pwrite(fd, buf, 100, 0));
	VALUE(pwrite(fd, buf, 5 * PAGE, 0));
	VALUE(pwrite(fd, buf, PAGE, 2 * PAGE + 2000));
	VALUE(pwrite(fd, buf, 0, 0));
	mode(fd);
	VALUE(ftruncate(fd, 5 * PAGE));
	VALUE(ftruncate(fd, 2 * PAGE + 2048));
	VALUE(ftruncate(fd, 100));
	mode(fd);
	VALUE(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE));
	VALUE(fallocate(fd, 0, 0, 100));
	VALUE(fallocate(fd, 0, 0, 4 * PAGE));
	VALUE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	mode(fd);
	MAP(mmap(0, PAGE, 3, MAP_SHARED, fd, 0));
	MAP(mmap(0, PAGE, 2, MAP_SHARED, fd, 0));
	MAP(mmap(0, PAGE, 1, MAP_SHARED, fd, 0));
	MAP(mmap(0, PAGE, 3, MAP_PRIVATE, fd, 0));
	char *p = mmap((void *)PLACE, PAGE, 1, MAP_SHARED | MAP_FIXED, fd, 0);
	VALUE(mprotect(p, PAGE, 3));
	VALUE(madvise(p, PAGE, MADV_REMOVE));
	munmap(p, PAGE);
	ro = open(path, O_RDONLY);
	VALUE(fcntl(ro, F_ADD_SEALS, 1));
	SEALS(ro);
	VALUE(ftruncate(ro, 0));
	MAP(mmap(0, PAGE, 3, MAP_SHARED, ro, 0));
	close(ro);
	VALUE(close(open(path, O_RDWR | O_TRUNC)));
	mode(fd);
	close(fd);
}

// busy: who maps the file writable, or could, holds F_SEAL_WRITE off, not the others.
static void busy(void)
{
	int fd = syscall(SYS_memfd_create, "busy", MFD_ALLOW_SEALING);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ftruncate(fd, PAGE);
	char *p = mmap(0, PAGE, 3, MAP_SHARED, fd, 0);
	*p = 7;
	printf("busy\n");
	VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	VALUE(mprotect(p, PAGE, 1));
	VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
	SEALS(fd);
	fflush(stdout);
	if (fork() == 0) {
		VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		munmap(p, PAGE);
		VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	VALUE(mprotect(p, PAGE, 3));
	*p = 8;
	VALUE(pwrite(fd, buf, 1, 0));
	VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(p, PAGE);
	int ro = open(path, O_RDONLY);
	p = mmap(0, PAGE, 1, MAP_SHARED, ro, 0);
	char *q = mmap(0, PAGE, 3, MAP_PRIVATE, fd, 0);
	VALUE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	*q = 9;
	printf("  shared %d private %d\n", *p, *q);
	SEALS(fd);
}

int main(void)
{
	int p[2];
	names();
	kinds();
	for (int seal = 1; seal <= F_SEAL_EXEC; seal *= 2)
		sealed(seal);
	sealed(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	sealed(0x100);
	sealed(0);
	busy();
	pipe(p);
	VALUE(fcntl(p[0], F_GET_SEALS));
	VALUE(fcntl(p[0], F_ADD_SEALS, 1));
	VALUE(fcntl(p[1], F_ADD_SEALS, 1));
	VALUE(fcntl(open("/", O_RDONLY), F_GET_SEALS));
	return 0;
}

/*
 * cache: one file, seen three ways: through a shared mapping, a private mapping and
 * a descriptor. What is shared is one page; a private write makes a copy; what a
 * truncation takes away is SIGBUS.
 *
 * The file lies in memory, so nothing of the host is needed. An argument names
 * another one.
 */
#include "guest.h"

enum { SYS_pread64 = 17, SYS_pwrite64 = 18, SYS_msync = 26, SYS_fsync = 74, SYS_ftruncate = 77 };
enum { O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000 };
enum { MS_SYNC = 4 };
enum { SIGBUS = 7, SA_SIGINFO = 4, SA_RESTORER = 0x04000000 };

struct siginfo {
	int signo, error, code, pad;
	void *addr;
};

struct sigaction {
	void (*handler)(int, struct siginfo *, void *);
	ulong flags;
	void (*restorer)(void);
	ulong mask;
};

void restorer(void);
__asm__(".globl restorer\n"
	"restorer:\n"
	"	mov $15, %eax\n"
	"	syscall\n");

static long fd;

/* on_bus makes the file long enough again; the store is made once more behind it. */
static void on_bus(int sig, struct siginfo *info, void *context)
{
	struct line l = { .len = 0 };

	(void)sig, (void)context;
	put(&l, "SIGBUS code ");
	put_number(&l, (ulong)info->code, 10);
	put(&l, " at ");
	put_address(&l, info->addr);
	end(&l);
	syscall3(SYS_ftruncate, fd, 2 * PAGE, 0);
}

static void write_file(ulong offset, const char *text, ulong n)
{
	syscall6(SYS_pwrite64, fd, (long)text, (long)n, (long)offset, 0, 0);
}

static void tell(const char *who, const volatile uchar *shared, const volatile uchar *private, ulong offset)
{
	struct line l = { .len = 0 };
	uchar byte[2] = { 0, 0 };

	put(&l, who);
	put(&l, ": shared ");
	byte[0] = shared[offset];
	put(&l, (char *)byte);
	put(&l, " private ");
	byte[0] = private[offset];
	put(&l, (char *)byte);
	put(&l, " descriptor ");
	byte[0] = '-';
	syscall6(SYS_pread64, fd, (long)byte, 1, (long)offset, 0, 0);
	put(&l, (char *)byte);
	end(&l);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/shm/cache";
	struct sigaction sa = { on_bus, SA_SIGINFO | SA_RESTORER, restorer, 0 };
	volatile uchar *shared, *private;

	fd = syscall3(SYS_open, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0) {
		say("the file cannot be opened for writing");
		return 1;
	}
	syscall3(SYS_ftruncate, fd, 3 * PAGE, 0);
	shared = (uchar *)syscall6(SYS_mmap, 0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = (uchar *)syscall6(SYS_mmap, 0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	touch_stack();
	syscall6(SYS_rt_sigaction, SIGBUS, (long)&sa, 0, sizeof sa.mask, 0, 0);

	write_file(0, "w", 1);
	tell("written to the file ", shared, private, 0);
	shared[0] = 's';
	tell("stored by the shared", shared, private, 0);
	private[0] = 'p';
	tell("stored by the private", shared, private, 0);
	write_file(0, "w", 1);
	tell("written once more   ", shared, private, 0);

	write_file(2 * PAGE, "gone", 4);
	private[PAGE] = 'p';
	syscall3(SYS_msync, shared, 3 * PAGE, MS_SYNC);
	syscall3(SYS_ftruncate, fd, PAGE, 0);
	shared[PAGE] = 'n'; /* SIGBUS: the handler makes the file longer */
	tell("behind the old end  ", shared, private, PAGE);
	syscall3(SYS_fsync, fd, 0, 0);
	return 0;
}

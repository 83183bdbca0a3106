// A file that is written and cut behind its user's back. With "self" the guest does so
// itself; else whoever reads its standard error does, before the write returns.
#include "guest.h"
#include <linux/futex.h>
#include <setjmp.h>
#include <sys/uio.h>
#include <ucontext.h>

static sigjmp_buf back;
static unsigned char *s, *p, *r;
static int self, fd;
static const char *name;

static const char *where(unsigned char *a)
{
	static char text[32];
	unsigned char *base = a >= s && a < s + 4 * PAGE ? s : a >= p && a < p + 4 * PAGE ? p : r;
	snprintf(text, sizeof text, "%c+%#lx", base == s ? 's' : base == p ? 'p' : 'r', (long)(a - base));
	return text;
}

static void bus(int sig, siginfo_t *si, void *uc)
{
	greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;
	printf("  %s code %d at %s, trap %lld error %lld cr2 %s\n", sig == SIGBUS ? "SIGBUS" : "SIGSEGV", si->si_code,
	       where(si->si_addr), g[REG_TRAPNO], g[REG_ERR], where((unsigned char *)g[REG_CR2]));
	siglongjmp(back, 1);
}

static void peek(const volatile unsigned char *a)
{
	printf("read %s\n", where((unsigned char *)a));
	if (!sigsetjmp(back, 1))
		printf("  %#x\n", *a);
}

static void poke(volatile unsigned char *a, int v)
{
	printf("write %s\n", where((unsigned char *)a));
	if (!sigsetjmp(back, 1)) {
		*a = v;
		printf("  done\n");
	}
}

static void cut(long size)
{
	if (self)
		truncate(name, size);
	else
		dprintf(2, "cut %ld\n", size);
}

static void put(long off, int c)
{
	if (self) {
		int other = open(name, O_WRONLY);
		pwrite(other, &(char){c}, 1, off);
		close(other);
	} else
		dprintf(2, "put %ld %d\n", off, c);
}

static void bytes(const char *when)
{
	unsigned char c[4] = {0};
	printf("%s:", when);
	for (int i = 0; i < 4; i++)
		printf(" %s %#x", outcome(pread(fd, c + i, 1, i * PAGE)), c[i]);
	printf(", size %ld\n", lseek(fd, 0, SEEK_END));
}

static void calls(void)
{
	int pipes[2];
	pipe(pipes);
	CALL(write, pipes[1], s + 2 * PAGE, 10);
	CALL(write, pipes[1], s + PAGE - 4, 10);
	CALL(write, pipes[1], r + 3 * PAGE, 1);
	CALL(write, pipes[1], "0123456789", 10);
	CALL(read, pipes[0], s + 2 * PAGE, 4);
	CALL(fstat, fd, s + 2 * PAGE);
	CALL(open, s + 2 * PAGE, O_RDONLY);
	CALL(futex, s + 2 * PAGE, FUTEX_WAIT, 0, 0);
	CALL(nanosleep, p + 2 * PAGE, 0);
	CALL(pwrite64, fd, r + 2 * PAGE, 1, 0);
	CALL(pread64, fd, r + 2 * PAGE, 1, 0);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	name = argv[1];
	self = argc > 2;
	fd = open(name, O_RDWR);
	s = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	int only = open(name, O_RDONLY);
	r = mmap(0, 4 * PAGE, PROT_READ, MAP_SHARED, only, 0);
	close(only);
	struct sigaction sa = {.sa_sigaction = bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGBUS, &sa, 0);
	sigaction(SIGSEGV, &sa, 0);
	for (int i = 0; i < 4; i++) {
		peek(s + i * PAGE);
		peek(p + i * PAGE);
		peek(r + i * PAGE);
	}
	poke(s, 0x51);
	poke(p, 0x52);
	poke(r, 0x53);
	bytes("written");
	put(PAGE, 0x61);
	put(0, 0x62);
	bytes("put");
	peek(s);
	peek(p);
	peek(s + PAGE);
	peek(p + PAGE);
	poke(s + 3 * PAGE, 0x71);
	cut(PAGE + 100);
	bytes("cut");
	peek(s + PAGE + 99);
	peek(s + PAGE + 100);
	peek(s + 2 * PAGE);
	poke(s + 2 * PAGE + 7, 1);
	peek(p + 2 * PAGE);
	poke(p + 3 * PAGE, 1);
	peek(r + 3 * PAGE + 5);
	poke(s + 3 * PAGE, 1);
	calls();
	fflush(stdout);
	if (!fork()) {
		peek(s + 2 * PAGE);
		poke(s, 0x81);
		poke(p + PAGE, 0x82);
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	bytes("forked");
	peek(s);
	peek(p + PAGE);
	cut(4 * PAGE);
	bytes("grown");
	peek(s + 2 * PAGE);
	peek(p + 3 * PAGE);
	poke(s + 2 * PAGE, 0x91);
	peek(r + 2 * PAGE);
	bytes("written again");
	CALL(msync, s, 4 * PAGE, MS_SYNC);
	CALL(fsync, fd);
	CALL(ftruncate, fd, 0);
	peek(s);
	poke(p + PAGE, 1);
	CALL(munmap, s, 4 * PAGE);
	bytes("end");
	return 0;
}

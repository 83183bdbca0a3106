// process_vm_readv and process_vm_writev between a parent and its child: what moves, what
// moves in part, and who may.
#include "guest.h"
#include <sys/prctl.h>
#include <sys/uio.h>

#define AT(n) ((char *)PLACE + (n)*PAGE)
static pid_t child;
static int tell[2], told[2];

// rw calls the one or the other with flags 0 and prints what moved.
static long rw(const char *what, int write, pid_t pid, struct iovec *l, long nl, struct iovec *r, long nr)
{
	long n = raw(write ? SYS_process_vm_writev : SYS_process_vm_readv, pid, ARG(l), nl, ARG(r), nr, 0);
	printf("  %s: %s\n", what, outcome(n));
	return n;
}

static void moves(void)
{
	static char a[3 * PAGE], b[16];
	struct iovec l[3] = {{a, sizeof a}, {b, 0}, {b, sizeof b}};
	struct iovec r[3] = {{AT(0), PAGE}, {AT(1), PAGE}, {AT(2) - 8, 16}};
	printf("moves\n");
	rw("a page", 0, child, l, 1, r, 1);
	printf("  %c %c %c\n", a[0], a[PAGE - 1], a[PAGE] ? '!' : '0');
	rw("two pages in two ranges", 0, child, l, 1, r, 2);
	printf("  %c %c %c\n", a[0], a[PAGE], a[2 * PAGE - 1]);
	rw("over an empty range", 0, child, l, 3, r, 2);
	l[0].iov_len = 3;
	rw("less than is there", 0, child, l, 3, r, 2);
	printf("  %.3s %.16s\n", a, b);
	rw("into a read-only page of the child", 1, child, l, 1, &(struct iovec){AT(2), 4}, 1);
	rw("over its edge", 1, child, l, 3, &r[2], 1);
	rw("from a page without rights", 0, child, l, 3, &(struct iovec){AT(3), 4}, 1);
	rw("from a page and a hole", 0, child, &(struct iovec){a, sizeof a}, 1, &(struct iovec){AT(2), 3 * PAGE}, 1);
	rw("from a hole", 0, child, l, 3, &(struct iovec){AT(9), 4}, 1);
	rw("from kernel addresses", 0, child, l, 3, &(struct iovec){(void *)~0xfffUL, 4}, 1);
	rw("beyond all addresses", 0, child, l, 3, &(struct iovec){(void *)-8L, 64}, 1);
	rw("to what we may not write", 0, child, &(struct iovec){AT(2), 8}, 1, r, 1);
	rw("to a page and one we may not write", 0, child, &(struct iovec){AT(1), 2 * PAGE}, 1, &(struct iovec){AT(0), 2 * PAGE}, 1);
	memset(a, 'z', 8);
	l[0].iov_len = 8;
	rw("a write that breaks COW", 1, child, l, 1, &(struct iovec){AT(1) + 4, 8}, 1);
	printf("  ours %.12s\n", AT(1));
	rw("to ourselves", 1, getpid(), l, 1, &(struct iovec){AT(1) + 4, 8}, 1);
	printf("  ours %.12s\n", AT(1));
}

static void wrong(void)
{
	static char a[64];
	struct iovec l = {a, sizeof a}, r = {AT(0), 64}, bad = {a, -1UL};
	printf("wrong\n");
	rw("no local range", 0, child, 0, 0, &r, 1);
	rw("no local range and no process", 0, 1 << 21, 0, 0, &r, 1);
	rw("no range there", 0, child, &l, 1, 0, 0);
	rw("no range there and no process", 0, 1 << 21, &l, 1, 0, 0);
	rw("no process", 0, 1 << 21, &l, 1, &r, 1);
	rw("process 0", 0, 0, &l, 1, &r, 1);
	rw("process -1", 0, -1, &l, 1, &r, 1);
	rw("too many", 0, child, &l, 1025, &r, 1);
	rw("too many there", 0, child, &l, 1, &r, 1025);
	rw("a negative length", 0, child, &bad, 1, &r, 1);
	rw("a negative length there", 0, child, &l, 1, &bad, 1);
	rw("a vector that is not there", 0, child, (void *)AT(9), 1, &r, 1);
	rw("a vector there that is not there", 0, child, &l, 1, (void *)AT(9), 1);
	rw("local kernel addresses", 0, child, &(struct iovec){(void *)~0xfffUL, 4}, 1, &r, 1);
	printf("  flags: %s\n", outcome(raw(SYS_process_vm_readv, child, ARG(&l), 1, ARG(&r), 1, 1)));
}

// may prints whether a child that did prepare can read us and be read.
static void may(const char *what, void (*prepare)(void))
{
	static char a[8];
	struct iovec l = {a, 8}, r = {AT(0), 8};
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		prepare();
		rw(what, 0, getppid(), &l, 1, &r, 1);
		fflush(stdout);
		write(tell[1], "x", 1);
		read(told[0], a, 1);
		_exit(0);
	}
	read(tell[0], a, 1);
	rw("  and back", 0, pid, &l, 1, &r, 1);
	write(told[1], "x", 1);
	waitpid(pid, 0, 0);
}

static void nothing(void) {}
static void undumpable(void) { prctl(PR_SET_DUMPABLE, 0); }
static void dumpable(void) { prctl(PR_SET_DUMPABLE, 1); }
static void nobody(void)
{
	setresgid(65534, 65534, 65534);
	setresuid(65534, 65534, 65534);
}

static void rights(void)
{
	printf("rights\n");
	may("as we are", nothing);
	may("not dumpable", undumpable);
	may("as nobody", nobody);
	nobody();
	printf("  dumpable %d\n", prctl(PR_GET_DUMPABLE));
	may("nobody and nobody", nothing);
	may("nobody and one that may be dumped", dumpable);
	dumpable();
	may("both may be dumped", nothing);
	may("nobody and an undumpable one", undumpable);
}

int main(void)
{
	mmap(AT(0), 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 4; i++)
		memset(AT(i), 'a' + i, PAGE);
	mprotect(AT(2), PAGE, PROT_READ);
	mprotect(AT(3), PAGE, PROT_NONE);
	pipe(tell);
	pipe(told);
	child = fork();
	if (!child) {
		char c = *(volatile char *)AT(1); // what is written there by others it sees all the same
		write(tell[1], &c, 1);
		read(told[0], &c, 1);
		printf("the child has %.14s\n", AT(1));
		fflush(stdout);
		_exit(0);
	}
	char c;
	read(tell[0], &c, 1);
	moves();
	wrong();
	fflush(stdout);
	write(told[1], "x", 1);
	siginfo_t si;
	waitid(P_PID, child, &si, WEXITED | WNOWAIT);
	rw("a zombie", 0, child, &(struct iovec){(char[8]){0}, 8}, 1, &(struct iovec){AT(0), 8}, 1);
	waitpid(child, 0, 0);
	rights();
}

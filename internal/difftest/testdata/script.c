// A random script of memory calls, played from a seed: results, faults, contents
// and maps are printed as they come.
#include "guest.h"
#include <setjmp.h>

#define PAGES 40UL
#define END (PLACE + PAGES * PAGE)

static unsigned long seed;
static int file;
static long file_pages, beyond, shared_used, no_mincore;
static sigjmp_buf back;
static unsigned long heap;

static unsigned long next(unsigned long n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % n;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	printf(" %s/%d@%lx", sig == SIGBUS ? "BUS" : "SEGV", info->si_code, (unsigned long)info->si_addr);
	siglongjmp(back, 1);
}

// touch reads or writes one byte.
static void touch(unsigned long at, int write, int value)
{
	if (sigsetjmp(back, 1))
		return;
	if (write)
		*(volatile unsigned char *)at = value;
	else
		printf(" %02x", *(volatile unsigned char *)at);
}

// checksum sums up every readable page of the area, faulting pages in as it goes.
static unsigned long checksum(void)
{
	volatile unsigned long sum = 0, at;
	for (at = PLACE; at < END; at += 64)
		if (sigsetjmp(back, 0) == 0)
			sum = sum * 31 + *(volatile unsigned char *)at;
		else
			at |= PAGE - 64;
	return sum;
}

static void quiet(int sig, siginfo_t *info, void *context) { siglongjmp(back, 1); }

static void use(void (*f)(int, siginfo_t *, void *))
{
	struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static unsigned long place(void) { return PLACE + next(PAGES) * PAGE; }
static unsigned long length(unsigned long at)
{
	unsigned long most = (END - at) / PAGE;
	return (1 + next(most < 8 ? most : 8)) * PAGE - (next(4) ? 0 : next(PAGE));
}

// readable is prot, but never PROT_EXEC alone, which hides memory where the processor has
// protection keys.
static long readable(long prot) { return prot == PROT_EXEC ? PROT_READ | PROT_EXEC : prot; }

static long map(unsigned long at, unsigned long len)
{
	static const int flags[] = {0, MAP_NORESERVE, MAP_STACK, MAP_POPULATE, 0, 0, 0, 0};
	long prot = readable(next(8)), f = flags[next(8)] | (next(4) ? MAP_FIXED : MAP_FIXED_NOREPLACE), off = 0, fd = -1;
	if (next(3))
		prot |= PROT_READ | PROT_WRITE;
	switch (next(6)) {
	case 0:
		f |= MAP_SHARED | MAP_ANONYMOUS;
		shared_used = 1;
		break;
	case 1:
		f |= MAP_PRIVATE;
		fd = file;
		break;
	case 2:
		f |= MAP_SHARED;
		fd = file;
		prot = readable(prot & (next(4) ? ~PROT_WRITE : ~0));
		break;
	default:
		f |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	if (fd >= 0) {
		off = next(file_pages + next(8) / 7 * 8) * PAGE;
		beyond |= off / PAGE + 8 >= file_pages;
	}
	printf("mmap %lx %lx prot %ld flags %lx fd %d off %lx", at, len, prot, f, fd >= 0, off);
	return NR(mmap, at, len, prot, f, fd, off);
}

// remap moves or resizes one page: whether two are one vma is the host's own affair
// (anon_vma), and decides whether they can be moved together.
static long remap(unsigned long at)
{
	unsigned long to = place(), len = PAGE, size = next(3) ? len : length(to);
	long f = next(4);
	printf("mremap %lx %lx %lx flags %ld to %lx", at, len, size, f, to);
	if (f == MREMAP_MAYMOVE) // may go anywhere: only where it cannot
		f = 0;
	return NR(mremap, at, len, size, f, to);
}

static void play(int steps, int depth)
{
	static const int advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_NORMAL, MADV_WILLNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLD};
	static char buf[8 * PAGE];
	for (int i = 0; i < steps; i++) {
		unsigned long at = place(), len = length(at);
		long r, n;
		printf("%d.%d ", depth, i);
		switch (next(14)) {
		case 0: case 1:
			r = map(at, len);
			break;
		case 2:
			printf("munmap %lx %lx", at, len);
			r = NR(munmap, at, len);
			break;
		case 3: case 4:
			n = readable(next(8));
			printf("mprotect %lx %lx %ld", at, len, n);
			r = NR(mprotect, at, len, n);
			break;
		case 5:
			r = remap(at);
			break;
		case 6:
			n = advices[next(8)];
			printf("madvise %lx %lx %ld", at, len, n);
			r = NR(madvise, at, len, n);
			break;
		case 7: case 8:
			printf("read");
			for (n = 0; n < 4; n++)
				touch(place() + next(PAGE), 0, 0);
			r = 0;
			break;
		case 9: case 10:
			printf("write");
			for (n = 0; n < 4; n++)
				touch(place() + next(PAGE), 1, next(256));
			r = 0;
			break;
		case 11:
			n = next(PAGE);
			printf("pread %lx %lx", at + n, len);
			r = NR(pread64, file, at + n, len, next(4) * PAGE);
			break;
		case 12:
			if (depth < 2 && next(2)) {
				int st;
				printf("fork\n");
				fflush(stdout);
				if (fork() == 0) {
					play(steps / 4, depth + 1);
					fflush(stdout);
					_exit(checksum() & 0x7f);
				}
				wait(&st);
				r = WEXITSTATUS(st);
				break;
			}
			n = next(40) * PAGE / 2;
			r = NR(brk, heap + n);
			printf("brk");
			break;
		default:
			// Not where a page is resident for reasons of the host's: others touched
			// it, a file ends before it, or a child's page tables start out empty.
			if (shared_used || beyond || depth || no_mincore) {
				r = 0;
				break;
			}
			printf("mincore %lx %lx", at, len);
			r = NR(mincore, at, len, buf);
			for (n = 0; r == 0 && n < (len + PAGE - 1) / PAGE; n++)
				printf(" %d", buf[n] & 1);
		}
		printf(" = %s\n", outcome(r));
		if (i % 5 == 4) {
			show_maps_in("of the area", PLACE, END + 16 * PAGE); // what grows may leave it
			use(quiet);
			printf("contents %lx\n", checksum());
			use(handler);
		}
	}
}

int main(int argc, char **argv)
{
	static char out[1 << 16];
	struct stat s;
	setvbuf(stdout, out, _IOFBF, sizeof out);
	seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	file = open(argv[0], O_RDONLY);
	if (file < 0 || fstat(file, &s))
		return 1;
	file_pages = (s.st_size + PAGE - 1) / PAGE;
	heap = NR(brk, 0);
	no_mincore = argc > 3;
	use(handler);
	for (int i = 0; i < 5; i++) {
		unsigned long at = place(), len = length(at);
		printf(" = %s\n", outcome(map(at, len)));
	}
	play(argc > 2 ? atoi(argv[2]) : 50, 0);
	NR(munmap, PLACE, (PAGES + 16) * PAGE);
	show_maps_in("at the end", 0, 0x7ff000000000);
	return 0;
}

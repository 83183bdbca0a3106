// madvise beyond dropping pages: forks, guards, seals, and which mappings stay apart.
#include "guest.h"
#include <setjmp.h>
#include <sys/uio.h>

#define N(a) (sizeof(a) / sizeof *(a))

static sigjmp_buf back;

static void handler(int sig, siginfo_t *info, void *context)
{
	printf(" %s/%d@%lx", sig == SIGBUS ? "BUS" : "SEGV", info->si_code, (unsigned long)info->si_addr);
	siglongjmp(back, 1);
}

static void look(unsigned long at)
{
	if (sigsetjmp(back, 1) == 0)
		printf(" %02x", *(volatile unsigned char *)at);
}

static void put(unsigned long at, int v)
{
	if (sigsetjmp(back, 1) == 0)
		*(volatile unsigned char *)at = v;
}

static void contents(const char *when, unsigned long from, int pages)
{
	printf("%s:", when);
	for (int i = 0; i < pages; i++)
		look(from + i * PAGE);
	printf("\n");
}

static void setup(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, 3 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 8 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
	NR(mmap, PLACE + 9 * PAGE, PAGE, 1, MAP_SHARED | MAP_FIXED, 3, 0);
	NR(mmap, PLACE + 10 * PAGE, 2 * PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 9; i++)
		if (i != 4)
			*(char *)(PLACE + i * PAGE) = 'a' + i;
	NR(mprotect, PLACE + 3 * PAGE, PAGE, 0);
}

static void in_child(void (*f)(void))
{
	fflush(stdout);
	if (fork() == 0) {
		f();
		fflush(stdout);
		_exit(0);
	}
	int st;
	wait(&st);
	printf("child %d\n", st);
}

static void child_looks(void)
{
	show_maps_in("child", PLACE, PLACE + 64 * PAGE);
	contents("child sees", PLACE, 12);
}

// Every advice on every kind of mapping, with what the fork after it gives.
static void kinds(void)
{
	static const int advices[] = {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 102, 103, 104, 6};
	static const int from[] = {0, 1, 3, 4, 5, 6, 8, 9, 10, 20};
	static const int pages[] = {1, 2, 12};
	for (int v = 0; v < N(advices); v++)
		for (int f = 0; f < N(from); f++)
			for (int n = 0; n < N(pages); n++) {
				setup();
				printf("advice %d, %d+%d: %s\n", advices[v], from[f], pages[n], outcome(NR(madvise, PLACE + from[f] * PAGE, pages[n] * PAGE, advices[v])));
				show_maps_in("advised", PLACE, PLACE + 64 * PAGE);
				if (from[f] == 1 || from[f] == 6)
					in_child(child_looks);
				contents("sees", PLACE, 12);
			}
}

static void child_changes(void)
{
	show_maps_in("child", PLACE, PLACE + 8 * PAGE);
	contents("child", PLACE, 4);
	put(PLACE, 'C');
	contents("child", PLACE, 4);
	in_child(child_looks);
}

static void wipe(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset((void *)PLACE, 'w', 4 * PAGE);
	CALL(madvise, PLACE, 2 * PAGE, MADV_WIPEONFORK);
	in_child(child_changes);
	CALL(madvise, PLACE + PAGE, PAGE, MADV_KEEPONFORK);
	in_child(child_changes);
	contents("parent", PLACE, 4);
}

static void child_guards(void)
{
	contents("child", PLACE, 8);
	CALL(madvise, PLACE, 8 * PAGE, 103);
	contents("child without", PLACE, 8);
}

static void guards(void)
{
	char buf[8 * PAGE];
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 8 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset((void *)PLACE, 'g', 8 * PAGE);
	CALL(madvise, PLACE + PAGE, PAGE, 102);
	CALL(madvise, PLACE + 3 * PAGE, 2 * PAGE, 102);
	CALL(madvise, PLACE + 3 * PAGE, 2 * PAGE, 102);
	show_maps_in("guarded", PLACE, PLACE + 64 * PAGE);
	contents("guarded", PLACE, 8);
	core(PLACE, 8);
	put(PLACE + PAGE, 1);
	printf("\nread over a guard: %s\n", outcome(NR(pread64, 3, PLACE, 8 * PAGE, 0)));
	int p[2];
	if (pipe(p) == 0)
		printf("write over a guard: %s\n", outcome(NR(write, p[1], PLACE + PAGE, 20)));
	CALL(madvise, PLACE, 8 * PAGE, 4);
	contents("dropped", PLACE, 8);
	CALL(madvise, PLACE, 8 * PAGE, 8);
	CALL(madvise, PLACE, 8 * PAGE, 20);
	CALL(madvise, PLACE, 8 * PAGE, 22);
	CALL(madvise, PLACE, 8 * PAGE, 23);
	core(PLACE, 8);
	CALL(mlock, PLACE, 8 * PAGE);
	core(PLACE, 8);
	CALL(madvise, PLACE + 6 * PAGE, PAGE, 102);
	CALL(madvise, PLACE + PAGE, PAGE, 103);
	contents("less", PLACE, 8);
	CALL(munlock, PLACE, 8 * PAGE);
	CALL(mprotect, PLACE + 2 * PAGE, 2 * PAGE, 1);
	contents("protected", PLACE, 8);
	CALL(mprotect, PLACE + 2 * PAGE, 2 * PAGE, 3);
	in_child(child_guards);
	CALL(madvise, PLACE, 8 * PAGE, MADV_WIPEONFORK);
	in_child(child_guards);
	CALL(madvise, PLACE, 8 * PAGE, MADV_KEEPONFORK);
	CALL(mremap, PLACE + 2 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE + 20 * PAGE);
	contents("moved", PLACE + 20 * PAGE, 4);
	CALL(mremap, PLACE + 20 * PAGE, 4 * PAGE, 4 * PAGE, 7, PLACE + 30 * PAGE);
	contents("left", PLACE + 20 * PAGE, 4);
	contents("moved again", PLACE + 30 * PAGE, 4);
	CALL(munmap, PLACE + 30 * PAGE, 4 * PAGE);
	CALL(mmap, PLACE + 30 * PAGE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	contents("fresh", PLACE + 30 * PAGE, 4);
	CALL(madvise, PLACE + 30 * PAGE, 4 * PAGE, 102);
	CALL(mmap, PLACE + 31 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	contents("replaced", PLACE + 30 * PAGE, 4);
	// Shared memory: each process has its own guards.
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 8 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset((void *)PLACE, 's', 8 * PAGE);
	CALL(madvise, PLACE + PAGE, 2 * PAGE, 102);
	contents("shared", PLACE, 8);
	in_child(child_guards);
	contents("shared", PLACE, 8);
	CALL(madvise, PLACE + PAGE, 2 * PAGE, 103);
	contents("shared", PLACE, 8);
	core(PLACE, 8);
	NR(mmap, PLACE, 2 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, 3, 0);
	CALL(madvise, PLACE, PAGE, 102);
	contents("file", PLACE, 1);
	CALL(madvise, PLACE, PAGE, 103);
	contents("file", PLACE, 1);
	(void)buf;
}

static void child_removes(void)
{
	contents("child", PLACE, 4);
	CALL(madvise, PLACE, 2 * PAGE, MADV_REMOVE);
	contents("child", PLACE, 4);
	core(PLACE, 4);
}

static void removes(void)
{
	NR(munmap, PLACE, 64 * PAGE);
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	core(PLACE, 4);
	put(PLACE + PAGE, 1);
	core(PLACE, 4);
	memset((void *)PLACE, 'r', 4 * PAGE);
	CALL(madvise, PLACE, 4 * PAGE, MADV_DONTNEED);
	core(PLACE, 4);
	in_child(child_removes);
	contents("parent", PLACE, 4);
	CALL(mprotect, PLACE, 4 * PAGE, 1);
	CALL(madvise, PLACE, 4 * PAGE, MADV_REMOVE);
	contents("parent", PLACE, 4);
}

// What a sealed mapping refuses.
static void seals(void)
{
	static const unsigned long lens[] = {0, 1, PAGE, 3 * PAGE, 8 * PAGE, -PAGE, -1UL};
	for (int l = 0; l < N(lens); l++) {
		NR(munmap, PLACE + 40 * PAGE, 4 * PAGE);
		unsigned long at = PLACE + (1000 + 100 * l) * PAGE; // what is sealed stays
		NR(mmap, at, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		printf("mseal %d: %s %s %s %s\n", l, outcome(NR(mseal, at, lens[l], 0)), outcome(NR(mseal, at + 1, lens[l], 0)),
		       outcome(NR(mseal, at, lens[l], 1)), outcome(NR(mseal, at + 10 * PAGE, lens[l], 0)));
		show_maps_in("sealed", at, at + 20 * PAGE);
	}
	for (int prot = 0; prot < 4; prot++)
		for (int kind = 0; kind < 3; kind++) {
			unsigned long at = PLACE + (2000 + 100 * (prot * 3 + kind)) * PAGE;
			NR(mmap, at, 6 * PAGE, 3, kind == 2 ? MAP_PRIVATE | MAP_FIXED : (kind ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, kind == 2 ? 3 : -1, 0);
			*(char *)at = 's';
			NR(mprotect, at, 6 * PAGE, prot);
			printf("prot %d kind %d: %s\n", prot, kind, outcome(NR(mseal, at + PAGE, 4 * PAGE, 0)));
			show_maps_in("sealed", at, at + 8 * PAGE);
			CALL(munmap, at + 2 * PAGE, PAGE);
			CALL(munmap, at, 3 * PAGE);
			CALL(mmap, at + 2 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			CALL(mmap, at, 8 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			for (int p = 0; p < 4; p++)
				CALL(mprotect, at + PAGE, PAGE, p);
			CALL(mprotect, at, 6 * PAGE, prot);
			CALL(mremap, at + PAGE, PAGE, PAGE, 0, 0);
			CALL(mremap, at + PAGE, 2 * PAGE, PAGE, 0, 0);
			CALL(mremap, at + 4 * PAGE, PAGE, 2 * PAGE, 1, 0);
			CALL(mremap, at + 4 * PAGE, PAGE, PAGE, 3, PLACE);
			CALL(mremap, at + 5 * PAGE, PAGE, PAGE, 3, at + 4 * PAGE);
			CALL(mremap, at, PAGE, PAGE, 3, at + 4 * PAGE);
			static const int advices[] = {0, 1, 3, 4, 8, 9, 10, 11, 18, 19, 20, 24, 102, 103};
			for (int v = 0; v < N(advices); v++)
				CALL(madvise, at + PAGE, PAGE, advices[v]);
			CALL(mlock, at + PAGE, PAGE);
			CALL(munlock, at + PAGE, PAGE);
			show_maps_in("after", at, at + 8 * PAGE);
		}
	unsigned long heap = NR(brk, 0), end = (heap + PAGE - 1) & -PAGE;
	NR(brk, end + 4 * PAGE);
	CALL(mseal, end + PAGE, PAGE, 0);
	printf("brk %ld %ld\n", NR(brk, end) - end, NR(brk, end + 3 * PAGE) - end);
}

static void vectors(void)
{
	struct iovec v[] = {{(void *)PLACE, PAGE}, {(void *)(PLACE + 2 * PAGE), PAGE}, {(void *)(PLACE + 20 * PAGE), PAGE}};
	setup();
	printf("%s\n", outcome(NR(process_madvise, -10001, v, 2, MADV_DONTNEED, 0)));
	contents("advised", PLACE, 3);
	printf("%s\n", outcome(NR(process_madvise, -10000, v, 3, MADV_COLD, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, v + 2, 1, MADV_COLD, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, v, 2, 99, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, v, 0, 99, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, v, 2, MADV_COLD, 1)));
	printf("%s\n", outcome(NR(process_madvise, -1, v, 2, MADV_COLD, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, 8, 2, MADV_COLD, 0)));
	printf("%s\n", outcome(NR(process_madvise, -10000, v, 1025, MADV_COLD, 0)));
}

int main(void)
{
	static char out[1 << 16];
	setvbuf(stdout, out, _IOFBF, sizeof out);
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	kinds();
	wipe();
	guards();
	removes();
	vectors();
	seals();
	return 0;
}

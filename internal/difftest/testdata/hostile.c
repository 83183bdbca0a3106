// Calls at random, each with arguments that are wrong in every way. Children make
// them; one that dies or stays away is replaced.
#include "guest.h"
#include <sys/time.h>
#include <time.h>

static unsigned long seed;

static unsigned long next(void)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return seed >> 20;
}

static char page[2 * PAGE] __attribute__((aligned(4096)));

// argument returns a pointer, a length, a number or nonsense.
static unsigned long argument(void)
{
	switch (next() % 16) {
	case 0: return 0;
	case 1: return -1UL;
	case 2: return next() % 8;
	case 3: return 1UL << next() % 64;
	case 4: return (1UL << next() % 64) - 1;
	case 5: return -(next() % 10000);
	case 6: return (unsigned long)page + next() % sizeof page;
	case 7: return (unsigned long)page + PAGE - next() % 16;
	case 8: return PLACE + next() % 16 * PAGE;
	case 9: return PLACE + next() % (16 * PAGE);
	case 10: return 0x7ffffffff000 - next() % 3 * PAGE;
	case 11: return next() % 64 * PAGE;
	case 12: return next() % 300;
	case 13: return next();
	case 14: return next() << 32;
	default: return (unsigned long)page;
	}
}

static void fill(void)
{
	for (int i = 0; i < sizeof page / 8; i++)
		((unsigned long *)page)[i] = next() % 4 ? argument() : 0;
	if (next() % 2)
		strcpy(page, next() % 2 ? "/proc/self/../self/maps" : "data/./link");
}

static void wake(int sig) {}

static void child(long calls)
{
	struct itimerval soon = {{0, 1000}, {0, 1000}};
	struct sigaction sa = {.sa_handler = wake};
	sigaction(SIGALRM, &sa, NULL);
	for (long i = 0; i < calls; i++) {
		long nr = next() % 8 ? next() % 470 : next();
		switch (nr) {
		case SYS_exit: case SYS_exit_group: case SYS_kill: case SYS_rt_sigqueueinfo: // would end or hit others
			continue;
		case SYS_write: case SYS_writev: case SYS_pwritev: case SYS_sendfile: // would be seen in the output
			if (next() % 2)
				close(1), close(2);
			else
				continue;
		}
		if (i % 16 == 0)
			fill(), setitimer(ITIMER_REAL, &soon, NULL);
		raw(nr, argument(), argument(), argument(), argument(), argument(), argument());
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	seed = argc > 1 ? atol(argv[1]) : 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 0; i < 40; i++) {
		next();
		pid_t pid = fork();
		if (pid == 0) {
			seed ^= (unsigned long)i << 40;
			NR(mmap, PLACE, 16 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			child(400);
		}
		for (int wait = 0; waitpid(-1, NULL, WNOHANG) != pid; wait++) {
			struct timespec t = {0, 20000000};
			nanosleep(&t, NULL);
			if (wait == 10)
				kill(pid, SIGKILL);
		}
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	kill(-1, SIGKILL); // and their children
	printf("survived\n");
	return 0;
}

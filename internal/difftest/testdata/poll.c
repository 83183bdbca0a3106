// Waiting for descriptors.
#include "guest.h"
#include <poll.h>
#include <sys/select.h>

static volatile int alarms;

static void ring(int sig) { alarms++; }

int main(void)
{
	int fds[2], other[2], file = open("data/poem.txt", O_RDONLY), st;
	if (pipe(fds) || pipe(other))
		return 1;
	signal(SIGUSR1, ring);
	struct pollfd p[6] = {{fds[0], POLLIN}, {fds[1], POLLOUT | POLLIN}, {file, POLLIN | POLLOUT}, {-1, POLLIN}, {99, POLLIN}, {other[0], POLLIN}};
#define SHOW(what, call) \
	do { \
		printf("%s = %s:", what, outcome(call)); \
		for (int i = 0; i < 6; i++) \
			printf(" %#x", p[i].revents); \
		printf("\n"); \
	} while (0)
	SHOW("all", NR(poll, p, 6, 0));
	SHOW("none", NR(poll, p, 0, 0));
	SHOW("one", NR(poll, p, 1, 10));
	if (write(fds[1], "x", 1) != 1)
		return 1;
	SHOW("readable", NR(poll, p, 1, -1));
	close(other[1]);
	SHOW("hung up", NR(poll, p + 5, 1, -1));
	struct timespec zero = {0}, bad = {0, -1}, little = {0, 1000000};
	SHOW("ppoll", NR(ppoll, p, 6, &zero, 0, 8));
	SHOW("ppoll time", NR(ppoll, p + 3, 1, &little, 0, 8));
	SHOW("ppoll bad time", NR(ppoll, p, 6, &bad, 0, 8));
	SHOW("ppoll bad set", NR(ppoll, p, 6, &zero, &zero, 4));
	CALL(poll, 8, 1, 0);
	CALL(poll, p, 1 << 20, 0);
	CALL(poll, p, -1, 0);
	// A signal that the mask lets in.
	sigset_t block, empty;
	sigemptyset(&block);
	sigemptyset(&empty);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	SHOW("ppoll with mask", NR(ppoll, p + 3, 1, 0, &empty, 8));
	sigprocmask(SIG_BLOCK, NULL, &empty);
	printf("alarms %d, blocked again %d\n", alarms, sigismember(&empty, SIGUSR1));
	// select.
	fd_set r, w, x;
	struct timeval tv = {0, 1000};
#define SETS \
	do { \
		FD_ZERO(&r); \
		FD_ZERO(&w); \
		FD_ZERO(&x); \
		FD_SET(fds[0], &r); \
		FD_SET(other[0], &r); \
		FD_SET(fds[1], &w); \
		FD_SET(file, &w); \
		FD_SET(file, &x); \
	} while (0)
#define SELECTED printf("  %d %d %d %d %d\n", FD_ISSET(fds[0], &r), FD_ISSET(other[0], &r), FD_ISSET(fds[1], &w), FD_ISSET(file, &w), FD_ISSET(file, &x))
	SETS;
	CALL(select, 20, &r, &w, &x, &tv);
	SELECTED;
	SETS;
	CALL(select, fds[0] + 1, &r, 0, 0, &tv);
	SETS;
	CALL(pselect6, 20, &r, &w, &x, &zero, 0);
	SELECTED;
	FD_SET(50, &r);
	CALL(select, 64, &r, 0, 0, &tv);
	CALL(select, -1, &r, 0, 0, &tv);
	CALL(select, 1, 8, 0, 0, &tv);
	CALL(select, 0, 0, 0, 0, &tv);
	tv.tv_sec = -1;
	CALL(select, 0, 0, 0, 0, &tv);
	// Somebody else makes it ready.
	char c;
	if (read(fds[0], &c, 1) != 1)
		return 1;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct pollfd q = {fds[0], POLLIN};
		_exit(poll(&q, 1, -1) == 1 && q.revents == POLLIN ? 5 : 6);
	}
	if (write(fds[1], "y", 1) != 1)
		return 1;
	waitpid(pid, &st, 0);
	printf("child saw %d\n", WEXITSTATUS(st));
	return 0;
}

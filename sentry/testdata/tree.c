// Forks a child that writes to inherited memory and exits with 7; an orphan goes to
// pid 1; the statuses are printed.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int shared = 1;

int main(void) {
	int status;
	pid_t child = fork();
	if (child == 0) {
		shared = 2;
		_exit(7);
	}
	pid_t got = waitpid(child, &status, 0);
	printf("child %d, exit %d, shared %d\n", got == child, WEXITSTATUS(status), shared);

	child = fork();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGTERM);
	got = wait(&status);
	printf("child %d, signal %d\n", got == child, WTERMSIG(status));

	child = fork();
	if (child == 0)
		abort();
	wait(&status);
	printf("abort: signal %d, core %d\n", WTERMSIG(status), !!WCOREDUMP(status));

	got = wait(&status);
	printf("none: %d %d\n", got, errno == ECHILD);
	got = waitpid(-1, &status, WNOHANG);
	printf("none: %d %d\n", got, errno == ECHILD);
	return 0;
}

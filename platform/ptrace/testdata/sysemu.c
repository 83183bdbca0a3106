/* The yardstick for a stop: a tracer and a tracee on one CPU. The tracee calls
 * getppid in a loop; each call stops by PTRACE_SYSEMU, its registers are read,
 * rax is set, and it goes on. Prints nanoseconds a round trip. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100000;
	struct user_regs_struct regs;
	struct sigaction quiet = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
	cpu_set_t one;
	pid_t child;
	double start;

	sigaction(SIGCHLD, &quiet, NULL);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;)
			syscall(SYS_getppid);
	}
	waitpid(child, NULL, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	start = now();
	for (int i = 0; i < rounds; i++) {
		if (ptrace(PTRACE_SYSEMU, child, 0, 0) || waitpid(child, NULL, 0) != child)
			return 1;
		ptrace(PTRACE_GETREGS, child, 0, &regs);
		regs.rax = 1;
		ptrace(PTRACE_SETREGS, child, 0, &regs);
	}
	printf("%.0f\n", (now() - start) / rounds);
	kill(child, SIGKILL);
	return 0;
}

// fork, wait, pipes, groups, memory after fork.
#include "guest.h"
#include <sys/resource.h>

static int value = 1;

int main(void)
{
	int st, fds[2];
	char buf[64];
	siginfo_t info;
	struct rusage ru;
	int *shared = mmap(0, PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pipe(fds))
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("no child: %s\n", outcome(raw(SYS_wait4, -1, 0, 0, 0, 0, 0)));
	pid_t me = getpid(), pid = fork();
	if (pid == 0) {
		value = 2;
		*shared = 5;
		printf("child: parent %d, value %d\n", getppid() == me, value);
		if (write(fds[1], "through the pipe", 16) != 16)
			_exit(1);
		_exit(300);
	}
	printf("read %ld\n", read(fds[0], buf, 16));
	printf("%.16s\n", buf);
	printf("waitpid %d", waitpid(pid, &st, 0) == pid);
	printf(" %#x; value %d, shared %d\n", st, value, *shared);
	// Kinds of end.
	int sigs[] = {0, SIGTERM, SIGKILL, SIGSEGV, SIGUSR1, SIGPIPE};
	for (int i = 0; i < 6; i++) {
		if ((pid = fork()) == 0) {
			if (sigs[i])
				kill(getpid(), sigs[i]);
			exit(i);
		}
		printf("waitid %d", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
		printf(" code %d status %d pid %d uid %d;", info.si_code == CLD_DUMPED ? CLD_KILLED : info.si_code, info.si_status, info.si_pid == pid, info.si_uid == getuid());
		printf(" wait4 %d", wait4(pid, &st, 0, &ru) == pid);
		printf(" %#x\n", st & ~0x80);
	}
	printf("WNOHANG without child %s\n", outcome(raw(SYS_wait4, -1, ARG(&st), WNOHANG, 0, 0, 0)));
	if ((pid = fork()) == 0) {
		close(fds[1]);
		_exit(read(fds[0], buf, 1));
	}
	printf("WNOHANG with child %s\n", outcome(raw(SYS_wait4, pid, ARG(&st), WNOHANG, 0, 0, 0)));
	printf("waitid WNOHANG %d", waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
	printf(" pid %d signo %d\n", info.si_pid, info.si_signo);
	close(fds[1]);
	printf("eof %d\n", wait(&st) == pid && WEXITSTATUS(st) == 0);
	// Stopped and continued. The child lives until its parent has seen it go on.
	if (pipe(fds))
		return 1;
	if ((pid = fork()) == 0) {
		close(fds[1]);
		raise(SIGSTOP);
		_exit(9 + read(fds[0], buf, 1));
	}
	close(fds[0]);
	printf("stopped %d", waitpid(pid, &st, WUNTRACED) == pid);
	printf(" %#x\n", st);
	kill(pid, SIGCONT);
	printf("continued %d", waitpid(pid, &st, WCONTINUED) == pid);
	printf(" %#x\n", st);
	close(fds[1]);
	printf("ended %d", waitpid(pid, &st, 0) == pid);
	printf(" %#x\n", st);
	// Errors.
	CALL(wait4, -1, 0, 0x100, 0);
	CALL(wait4, 0x80000000, 0, 0, 0);
	CALL(wait4, 1, 0, 0, 0);
	CALL(wait4, 99999999, 0, WNOHANG, 0);
	CALL(waitid, P_ALL, 0, &info, 0, 0);
	CALL(waitid, 9, 0, &info, WEXITED, 0);
	CALL(waitid, P_PID, 0, &info, WEXITED, 0);
	CALL(waitid, P_PID, 99999999, &info, WEXITED, 0);
	CALL(waitid, P_ALL, 0, &info, WEXITED | 0x100, 0);
	if ((pid = fork()) == 0)
		_exit(4);
	printf("status to a bad place %s\n", outcome(raw(SYS_wait4, pid, 8, 0, 0, 0, 0)));
	printf("and it is gone %s\n", outcome(raw(SYS_wait4, pid, ARG(&st), 0, 0, 0, 0)));
	// A dead parent's child.
	if (pipe(fds))
		return 1;
	if ((pid = fork()) == 0) {
		pid_t parent = getpid();
		if (fork() == 0) {
			while (getppid() == parent)
				sched_yield();
			if (write(fds[1], "orphan", 6) != 6)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(pid, &st, 0);
	printf("orphan %ld %.6s\n", read(fds[0], buf, 6), buf);
	// Groups and sessions.
	if ((pid = fork()) == 0) {
		printf("setsid %d", setsid() == getpid());
		printf(" %d %d\n", getsid(0) == getpid(), getpgrp() == getpid());
		CALL(setsid, 0);
		CALL(setpgid, 0, 0);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	if ((pid = fork()) == 0) {
		printf("setpgid %d %d\n", setpgid(0, 0), getpgrp() == getpid());
		CALL(setpgid, 0, 99999999);
		CALL(setpgid, 1, 0);
		CALL(setpgid, 99999999, 0);
		CALL(setpgid, 0, -1);
		CALL(setpgid, -1, 0);
		CALL(getpgid, 99999999);
		CALL(getsid, 99999999);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	// SIGCHLD ignored: nothing to wait for.
	signal(SIGCHLD, SIG_IGN);
	if ((pid = fork()) == 0)
		_exit(0);
	printf("ignored %s\n", outcome(raw(SYS_wait4, pid, ARG(&st), 0, 0, 0, 0)));
	// A tree of writers.
	signal(SIGCHLD, SIG_DFL);
	char *mem = mmap(0, 16 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(mem, 'a', 16 * PAGE);
	for (int depth = 0; depth < 3; depth++) {
		pid_t kids[2];
		for (int k = 0; k < 2; k++)
			if ((kids[k] = fork()) == 0) {
				mem[depth * PAGE] = 'b' + k;
				mem[(depth + 8) * PAGE]++;
				if (depth < 2 && k == 1)
					goto deeper;
				_exit(mem[depth * PAGE] + mem[(depth + 8) * PAGE]);
			}
		int sum = 0;
		for (int k = 0; k < 2; k++) {
			waitpid(kids[k], &st, 0);
			sum = sum * 3 + WEXITSTATUS(st);
		}
		printf("depth %d: sum %d, mine %c%c\n", depth, sum, mem[depth * PAGE], mem[(depth + 8) * PAGE]);
		fflush(stdout);
		if (depth == 0)
			return 0;
		_exit(sum);
	deeper:;
	}
	return 0;
}

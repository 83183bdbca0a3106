// Calls that signals interrupt: what they answer with and without SA_RESTART, with a
// handler and without one; masks that come back; stops and continues.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count;
static int last_code, last_status;

static void handler(int sig, siginfo_t *si, void *v) {
	(void)v;
	count++;
	last_code = si->si_code;
	last_status = sig == SIGCHLD ? si->si_status : 0;
}

static void catch(int sig, unsigned long flags) {
	struct { void *h; unsigned long flags; void *restorer; unsigned long mask; } ka;
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | (int)flags};
	sigaction(sig, &sa, 0);
	if (flags >> 32) { // garbage that glibc would not pass on
		syscall(SYS_rt_sigaction, sig, 0, &ka, 8);
		ka.flags |= flags & ~0xfffffffful;
		printf("garbage %ld\n", syscall(SYS_rt_sigaction, sig, &ka, 0, 8));
		syscall(SYS_rt_sigaction, sig, 0, &ka, 8);
		printf("flags %lx\n", ka.flags);
	}
}

static void alarm_in(int ms) {
	struct itimerval it = {.it_value = {.tv_usec = ms * 1000}};
	setitimer(ITIMER_REAL, &it, 0);
}

static void show(const char *what, long r) {
	int e = r < 0 ? errno : 0;
	printf("%s: %ld %s, %d signals\n", what, r, e ? strerrorname_np(e) : "-", (int)count);
	count = 0;
}

// The SIGCHLD of a stop or a continuation may come after waitpid knows of it.
static void come(void) {
	while (!count)
		usleep(1000);
}

int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	char c;
	int fds[2], status;
	pipe(fds);

	catch(SIGALRM, 0);
	alarm_in(20);
	show("read without restart", read(fds[0], &c, 1));

	catch(SIGALRM, SA_RESTART | 0xffffffff00000000ul);
	pid_t child = fork();
	if (child == 0) {
		usleep(60000);
		write(fds[1], "x", 1);
		_exit(0);
	}
	alarm_in(20);
	show("read with restart", read(fds[0], &c, 1));
	show("wait", waitpid(child, &status, 0) == child);

	alarm_in(20);
	struct timespec ts = {.tv_nsec = 200000000}, rem = {0};
	long r = nanosleep(&ts, &rem);
	show("nanosleep", r);
	printf("remains %d\n", rem.tv_nsec > 0 && rem.tv_nsec < 200000000);

	alarm_in(20);
	show("pause", pause());

	sigset_t block, was, now;
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &was);
	alarm_in(20);
	show("sigsuspend", sigsuspend(&was));
	sigprocmask(SIG_BLOCK, 0, &now);
	printf("mask back %d\n", sigismember(&now, SIGALRM));

	struct timespec zero = {0}, some = {.tv_nsec = 10000000};
	siginfo_t info;
	show("sigtimedwait", sigtimedwait(&block, &info, &some));
	kill(getpid(), SIGALRM);
	r = sigtimedwait(&block, &info, &zero);
	show("sigtimedwait", r);
	printf("code %d\n", info.si_code);
	sigprocmask(SIG_SETMASK, &was, 0);

	// A child's stop, continuation and end, with SIGCHLD's codes.
	catch(SIGCHLD, SA_RESTART);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGSTOP);
	r = waitpid(child, &status, WUNTRACED) == child;
	come();
	show("stopped", r);
	printf("status %x code %d status %d\n", status, last_code, last_status);
	kill(child, SIGCONT);
	r = waitpid(child, &status, WCONTINUED) == child;
	come();
	show("continued", r);
	printf("status %x code %d status %d\n", status, last_code, last_status);
	kill(child, SIGKILL);
	r = waitpid(child, &status, 0) == child;
	come();
	show("killed", r);
	printf("status %x code %d status %d\n", status, last_code, last_status);
	child = fork();
	if (child == 0)
		_exit(9);
	r = waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	printf("waitid %ld pid %d code %d status %d\n", r, info.si_pid == child, info.si_code, info.si_status);
	r = waitpid(-1, &status, 0) == child;
	come();
	show("exited", r);
	printf("status %x code %d status %d\n", status, last_code, last_status);

	signal(SIGCHLD, SIG_IGN);
	child = fork();
	if (child == 0)
		_exit(1);
	r = waitpid(child, &status, 0);
	show("autoreaped", r);

	show("kill nobody", kill(12345678, 0));
	show("kill bad", kill(getpid(), 65));
	show("wait options", wait4(-1, &status, 0x10, 0));
	show("wait min", wait4((pid_t)0x80000000, &status, 0, 0));
	show("action kill", sigaction(SIGKILL, &(struct sigaction){0}, 0));
	show("action 65", syscall(SYS_rt_sigaction, 65, 0, 0, 8));
	show("setpgid", setpgid(0, 0));
	printf("group %d\n", getpgrp() == getpid());
	show("setsid", setsid());

	// Orphans go to pid 1 (or the nearest reaper).
	pipe(fds);
	child = fork();
	if (child == 0) {
		pid_t parent = getpid();
		if (fork() == 0) {
			while (getppid() == parent)
				usleep(1000);
			write(fds[1], "o", 1);
			_exit(0);
		}
		_exit(0);
	}
	r = read(fds[0], &c, 1);
	show("orphan", r);
	raise(SIGTERM);
}

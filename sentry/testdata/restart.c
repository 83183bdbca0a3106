// Calls that signals interrupt: what they answer with and without SA_RESTART, with a
// handler and without one; masks that come back; stops and continues.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count;
static int last_code, last_status;
static volatile int *rings; // which children see, too

static void handler(int sig, siginfo_t *si, void *v) {
	(void)v;
	count++;
	*rings += sig == SIGALRM;
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

// ring has SIGALRM come again and again, or no more: one that comes once may come before
// the call that it is to interrupt.
static void ring(int on) {
	struct itimerval it = {{.tv_usec = on * 20000}, {.tv_usec = on * 20000}};
	setitimer(ITIMER_REAL, &it, 0);
}

static void show(const char *what, long r) {
	int e = r < 0 ? errno : 0;
	printf("%s: %ld %s, %d signals\n", what, r, e ? strerrorname_np(e) : "-", (int)count);
	count = 0;
}

// rang is show of a call that SIGALRM has interrupted.
static void rang(const char *what, long r) {
	int e = errno;
	ring(0);
	count = count > 0;
	errno = e;
	show(what, r);
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
	rings = mmap(0, sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	catch(SIGALRM, 0);
	ring(1);
	rang("read without restart", read(fds[0], &c, 1));

	catch(SIGALRM, SA_RESTART | 0xffffffff00000000ul);
	*rings = 0;
	pid_t child = fork();
	if (child == 0) {
		while (*rings < 3)
			usleep(1000);
		write(fds[1], "x", 1);
		_exit(0);
	}
	ring(1);
	rang("read with restart", read(fds[0], &c, 1));
	show("wait", waitpid(child, &status, 0) == child);

	ring(1);
	struct timespec ts = {.tv_sec = 500}, rem = {0};
	long r = nanosleep(&ts, &rem);
	rang("nanosleep", r);
	printf("remains %d\n", rem.tv_sec >= 400 && rem.tv_sec < 500);

	ring(1);
	rang("pause", pause());

	sigset_t block, was, now;
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &was);
	ring(1);
	rang("sigsuspend", sigsuspend(&was));
	sigprocmask(SIG_BLOCK, 0, &now);
	printf("mask back %d\n", sigismember(&now, SIGALRM));

	sigtimedwait(&block, 0, &(struct timespec){0}); // the last ring, if it came while none was let in
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

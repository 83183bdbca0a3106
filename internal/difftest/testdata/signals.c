// Signals that are sent: masks, order, info, restarting, stacks.
#include "guest.h"
#include <ucontext.h>

static volatile int count;
static char log_[4096];
static int logged;

static void note(int sig, siginfo_t *info, void *context)
{
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	logged += snprintf(log_ + logged, sizeof log_ - logged, "  %s code %d pid %d uid %d value %d blocked %d%d%d\n", sigabbrev_np(sig), info->si_code,
			   info->si_code <= 0 ? info->si_pid == getpid() : -1, info->si_code <= 0 ? info->si_uid == getuid() : -1,
			   info->si_code == SI_QUEUE ? info->si_int : 0, sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2), sigismember(&now, SIGTERM));
	count++;
}

static void told(const char *what)
{
	printf("%s: %d delivered\n%s", what, count, log_);
	fflush(stdout);
	count = logged = 0;
	log_[0] = 0;
}

static void vectors(int sig)
{
	// Spoil every vector register; the kernel must bring them back.
	__asm__ volatile("pcmpeqd %%xmm0,%%xmm0; pcmpeqd %%xmm7,%%xmm7; pcmpeqd %%xmm15,%%xmm15" ::: "xmm0", "xmm7", "xmm15");
	count++;
}

int main(void)
{
	sigset_t set, old, pending;
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}, was;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGTERM);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	sigaction(SIGUSR1, NULL, &was);
	printf("action %d %#x term %d\n", was.sa_sigaction == note, was.sa_flags & ~0x04000000, sigismember(&was.sa_mask, SIGTERM));
	raise(SIGUSR1);
	told("raise");
	kill(getpid(), SIGUSR1);
	told("kill");
	raw(SYS_tkill, gettid(), SIGUSR2, 0, 0, 0, 0);
	told("tkill");
	union sigval v = {.sival_int = 42};
	sigqueue(getpid(), SIGUSR1, v);
	told("sigqueue");
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, &old);
	raise(SIGUSR1), raise(SIGUSR1), raise(SIGUSR2);
	for (int i = 0; i < 3; i++) {
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN, v);
	}
	sigpending(&pending);
	for (int s = 1; s < 40; s++)
		if (sigismember(&pending, s))
			printf("pending %d\n", s);
	told("while blocked");
	sigprocmask(SIG_SETMASK, &old, NULL);
	told("unblocked");
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	sigemptyset(&old);
	printf("sigsuspend %s\n", outcome(NR(rt_sigsuspend, &old, 8)));
	told("sigsuspend");
	siginfo_t info;
	struct timespec none = {0}, little = {0, 1000000};
	raise(SIGUSR2);
	printf("sigtimedwait %d", sigtimedwait(&set, &info, &none));
	printf(" code %d\n", info.si_code);
	printf("sigtimedwait %s\n", outcome(NR(rt_sigtimedwait, &set, &info, &little, 8)));
	v.sival_int = 77;
	sigqueue(getpid(), SIGRTMIN + 1, v);
	printf("sigwaitinfo %d", sigwaitinfo(&set, &info) - SIGRTMIN);
	printf(" code %d value %d\n", info.si_code, info.si_int);
	sigprocmask(SIG_SETMASK, &old, NULL);
	// One shot, no deferral.
	sa.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	told("once");
	sigaction(SIGUSR1, NULL, &was);
	printf("default again %d\n", was.sa_handler == SIG_DFL);
	// Vector registers survive.
	signal(SIGUSR1, vectors);
	unsigned long a[4] = {1, 2, 3, 4}, b[2], c[2];
	pid_t pid = getpid();
	__asm__ volatile("movdqu %2,%%xmm0; movdqu %3,%%xmm15; movl $62,%%eax; movl %4,%%edi; movl $10,%%esi; syscall; movdqu %%xmm0,%0; movdqu %%xmm15,%1"
			 : "=m"(b), "=m"(c) : "m"(a[0]), "m"(a[2]), "r"(pid) : "rax", "rdi", "rsi", "rcx", "r11", "xmm0", "xmm15", "memory");
	printf("vectors %lu %lu %lu %lu after %d\n", b[0], b[1], c[0], c[1], count);
	// Errors.
	CALL(rt_sigaction, 0, 0, 0, 8);
	CALL(rt_sigaction, 65, 0, 0, 8);
	CALL(rt_sigaction, SIGKILL, &sa, 0, 8);
	CALL(rt_sigaction, SIGKILL, 0, log_, 8);
	CALL(rt_sigaction, SIGSTOP, &sa, 0, 8);
	CALL(rt_sigaction, SIGUSR1, 0, 0, 16);
	CALL(rt_sigaction, SIGUSR1, 8, 0, 8);
	CALL(rt_sigaction, SIGUSR1, 0, 8, 8);
	CALL(rt_sigprocmask, 7, &set, 0, 8);
	CALL(rt_sigprocmask, 7, 0, 0, 8);
	CALL(rt_sigprocmask, 0, 8, 0, 8);
	CALL(rt_sigprocmask, 0, 0, 8, 8);
	CALL(rt_sigprocmask, 0, &set, 0, 4);
	CALL(rt_sigpending, log_, 4);
	CALL(rt_sigpending, log_, 9);
	CALL(rt_sigpending, 8, 8);
	CALL(rt_sigsuspend, 8, 8);
	CALL(rt_sigsuspend, log_, 7);
	CALL(kill, getpid(), 65);
	CALL(kill, getpid(), -1);
	CALL(kill, getpid(), 0);
	CALL(kill, 99999999, 0);
	CALL(kill, 99999999, 99);
	CALL(kill, 0x80000000, 0);
	CALL(tkill, 0, 0);
	CALL(tkill, -1, 0);
	CALL(tkill, 99999999, 0);
	CALL(tgkill, getpid(), 0, 0);
	CALL(tgkill, 0, gettid(), 0);
	CALL(tgkill, getpid(), gettid(), 65);
	CALL(tgkill, 1, gettid(), 0);
	CALL(tgkill, 99999999, 99999999, 65);
	memset(&info, 0, sizeof info);
	CALL(rt_sigqueueinfo, getpid(), SIGUSR2, 8);
	CALL(rt_sigqueueinfo, getpid(), 65, &info);
	CALL(rt_sigqueueinfo, 99999999, SIGUSR2, &info);
	info.si_code = SI_QUEUE;
	CALL(rt_sigqueueinfo, 99999999, SIGUSR2, &info);
	CALL(rt_sigqueueinfo, getpid(), 0, &info);
	CALL(rt_tgsigqueueinfo, getpid(), gettid(), 0, &info);
	CALL(rt_tgsigqueueinfo, 0, gettid(), 0, &info);
	CALL(rt_sigtimedwait, &set, 0, &little, 4);
	CALL(rt_sigtimedwait, 8, 0, &little, 8);
	struct timespec bad = {0, 1000000000};
	CALL(rt_sigtimedwait, &set, 0, &bad, 8);
	stack_t st = {.ss_sp = log_, .ss_size = 100}, got;
	CALL(sigaltstack, &st, 0);
	st.ss_size = 1 << 16;
	st.ss_flags = 4;
	CALL(sigaltstack, &st, 0);
	st.ss_flags = SS_DISABLE;
	CALL(sigaltstack, &st, &got);
	printf("stack %p %#x %#lx\n", got.ss_sp, got.ss_flags, got.ss_size);
	st.ss_flags = SS_ONSTACK;
	st.ss_sp = (void *)0x1000;
	CALL(sigaltstack, &st, &got);
	CALL(sigaltstack, 0, &got);
	printf("stack %p %#x %#lx\n", got.ss_sp, got.ss_flags, got.ss_size);
	CALL(sigaltstack, 8, 0);
	CALL(sigaltstack, 0, 8);
	return 0;
}

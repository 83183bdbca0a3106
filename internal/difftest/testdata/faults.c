// Real faults: what handlers are told of each kind, on the stack and on another.
#include "guest.h"
#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int on_alt;
static char alt[64 * 1024] __attribute__((aligned(16)));

static void handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	char here;
	on_alt = &here >= alt && &here < alt + sizeof alt;
	printf("%s code %d addr %p errno %d; trapno %lld err %lld cr2 %#llx; alt %d; mask %d\n", sigabbrev_np(sig), info->si_code,
	       sig == SIGTRAP || sig == SIGILL || sig == SIGFPE ? 0 : info->si_addr, info->si_errno, u->uc_mcontext.gregs[REG_TRAPNO],
	       u->uc_mcontext.gregs[REG_ERR], sig == SIGSEGV || sig == SIGBUS ? u->uc_mcontext.gregs[REG_CR2] : 0, on_alt,
	       sigismember(&u->uc_sigmask, SIGUSR1));
	siglongjmp(back, 1);
}

#define TRY(what, code) \
	do { \
		printf("%s: ", what); \
		fflush(stdout); \
		if (!sigsetjmp(back, 1)) { \
			code; \
			printf("no fault\n"); \
		} \
	} while (0)

static int deep(int n)
{
	volatile char pad[4096];
	pad[0] = n;
	return n == 1 << 30 ? 0 : deep(n + 1) + pad[0];
}

int main(void)
{
	volatile char *p = (char *)PLACE;
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	stack_t st = {.ss_sp = alt, .ss_size = sizeof alt};
	int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	for (int i = 0; i < 5; i++)
		sigaction(sigs[i], &sa, NULL);
	NR(mmap, PLACE, 2 * PAGE, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 4 * PAGE, PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NR(mmap, PLACE + 5 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int fd = open("/etc/passwd", O_RDONLY);
	NR(mmap, PLACE + 8 * PAGE, 4 * PAGE, 3, MAP_PRIVATE | MAP_FIXED, fd, 0);
	TRY("read of nothing", (void)*(volatile char *)(PLACE + 3 * PAGE + 5));
	TRY("write of nothing", *(volatile char *)(PLACE + 3 * PAGE + 5) = 1);
	TRY("read of null", (void)*(volatile char *)8);
	TRY("write to read-only", p[3] = 1);
	TRY("read of read-only", (void)p[3]);
	TRY("write to read-only again", p[3] = 1);
	TRY("read of none", (void)p[4 * PAGE]);
	TRY("write to none", p[4 * PAGE] = 1);
	TRY("run no-exec", ((void (*)(void))(PLACE + 5 * PAGE))());
	TRY("run nothing", ((void (*)(void))(PLACE + 3 * PAGE))());
	TRY("across the end of a page", *(volatile long *)(PLACE + 6 * PAGE - 4) = 1);
	TRY("beyond the file", (void)p[11 * PAGE]);
	TRY("write beyond the file", p[11 * PAGE] = 1);
	TRY("in the file", p[8 * PAGE] = 1);
	TRY("non-canonical", (void)*(volatile char *)0x8000000000000000);
	TRY("kernel's half", (void)*(volatile char *)0xffffffff80000000);
	TRY("write to the kernel's half", *(volatile char *)0xffffffff80000000 = 1);
	TRY("divide", __asm__ volatile("xorl %%ecx, %%ecx; xorl %%edx, %%edx; movl $1, %%eax; divl %%ecx" ::: "eax", "ecx", "edx"));
	TRY("ud2", __asm__ volatile("ud2"));
	TRY("privileged", __asm__ volatile("hlt"));
	TRY("int3", __asm__ volatile("int3"));
	TRY("float", {
		unsigned mxcsr = 0x1f80 & ~0x200;
		__asm__ volatile("ldmxcsr %0; xorps %%xmm0, %%xmm0; movss %1, %%xmm1; divss %%xmm0, %%xmm1" ::"m"(mxcsr), "m"((float){1}) : "xmm0", "xmm1");
	});
	unsigned mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
	sa.sa_flags |= SA_ONSTACK;
	sigaction(SIGSEGV, &sa, NULL);
	sigaltstack(&st, NULL);
	TRY("on another stack", (void)*(volatile char *)(PLACE + 3 * PAGE));
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGSEGV, &sa, NULL);
	printf("stack overflow: ");
	fflush(stdout);
	if (!sigsetjmp(back, 1))
		printf("%d\n", deep(0));
	// Without a handler for it, or blocked: the end.
	fflush(stdout);
	for (int how = 0; how < 3; how++) {
		int st;
		if (fork() == 0) {
			sigset_t set;
			sigemptyset(&set);
			sigaddset(&set, SIGSEGV);
			if (how == 0)
				signal(SIGSEGV, SIG_DFL);
			if (how == 1)
				signal(SIGSEGV, SIG_IGN);
			if (how == 2)
				sigprocmask(SIG_BLOCK, &set, NULL);
			*(volatile char *)0 = 1;
			_exit(3);
		}
		wait(&st);
		printf("how %d: signal %d exit %d\n", how, WTERMSIG(st), WEXITSTATUS(st));
	}
	return 0;
}

// Real faults with a handler that looks at everything it is given, on the alternate
// stack, with vector registers that must survive.
#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char altstack[65536];
static volatile sig_atomic_t count;

static void on_fault(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	char here;
	int alt = &here >= altstack && &here < altstack + sizeof altstack;
	printf("signal %d code %d addr %p trapno %lld err %lld cr2 %llx alt %d flags %lx ss %x align %d\n", sig,
	       si->si_code, si->si_addr, uc->uc_mcontext.gregs[REG_TRAPNO], uc->uc_mcontext.gregs[REG_ERR],
	       sig == SIGSEGV && si->si_code != SI_KERNEL ? uc->uc_mcontext.gregs[REG_CR2] : 0, alt, uc->uc_flags,
	       (unsigned)((uint64_t)uc->uc_mcontext.gregs[REG_CSGSFS] >> 48), (int)((uintptr_t)uc->uc_mcontext.fpregs % 64));
	uint32_t *sw = (uint32_t *)((char *)uc->uc_mcontext.fpregs + 464);
	printf("magic %x size %u features %x xsize %u magic2 %x stack flags %x\n", sw[0], sw[1], sw[2], sw[4],
	       *(uint32_t *)((char *)uc->uc_mcontext.fpregs + sw[4]), uc->uc_stack.ss_flags);
	siglongjmp(back, 1);
}

static void on_user(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)uc;
	count++;
	printf("user %d code %d pid ok %d uid ok %d value %d\n", sig, si->si_code, si->si_pid == getpid(),
	       si->si_uid == getuid(), si->si_code == SI_QUEUE ? si->si_value.sival_int : 0);
	__asm__ volatile("vpxor %%ymm3, %%ymm3, %%ymm3" ::: "xmm3");
}

static void catch(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
	struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
	sigaction(sig, &sa, 0);
}

int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	stack_t ss = {.ss_sp = altstack, .ss_size = sizeof altstack}, old;
	sigaltstack(&ss, &old);
	printf("old stack flags %d size %zu\n", old.ss_flags, old.ss_size);
	int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	for (int i = 0; i < 5; i++)
		catch(faults[i], on_fault, SA_ONSTACK);

	if (!sigsetjmp(back, 1))
		*(volatile int *)0x10 = 1;
	static const char ro[4096] __attribute__((aligned(4096))) = {1};
	volatile char *page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sigsetjmp(back, 1))
		*page = 1; // never touched
	(void)*page;
	if (!sigsetjmp(back, 1))
		*page = 1; // mapped now
	(void)ro;
	if (!sigsetjmp(back, 1))
		((void (*)(void))page)();
	if (!sigsetjmp(back, 1)) {
		volatile int zero = 0;
		printf("%d\n", 10 / zero);
	}
	if (!sigsetjmp(back, 1))
		__asm__ volatile("ud2");
	if (!sigsetjmp(back, 1))
		__asm__ volatile("int3");
	if (!sigsetjmp(back, 1))
		*(volatile int *)0x8000000000000000 = 1; // non-canonical
	if (!sigsetjmp(back, 1))
		__asm__ volatile("hlt");

	catch(SIGUSR1, on_user, 0);
	uint64_t in[4] = {1, 2, 3, 4}, out[4];
	pid_t self = getpid();
	register long rax __asm__("rax") = 62; // kill
	__asm__ volatile("vmovdqu %2, %%ymm3\n\tsyscall\n\tvmovdqu %%ymm3, %1"
	                 : "+r"(rax), "=m"(out)
	                 : "m"(in), "D"(self), "S"(SIGUSR1)
	                 : "rcx", "r11", "memory", "xmm3");
	printf("vector %d kill %ld\n", !memcmp(in, out, sizeof in), rax);

	sigset_t set, was;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	catch(SIGRTMIN, on_user, 0);
	sigprocmask(SIG_BLOCK, &set, &was);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 3; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	sigpending(&set);
	printf("pending %d %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGRTMIN));
	sigprocmask(SIG_SETMASK, &was, 0);
	printf("count %d\n", (int)count);

	catch(SIGUSR2, on_user, SA_RESETHAND | SA_NODEFER);
	raise(SIGUSR2);
	struct sigaction sa;
	sigaction(SIGUSR2, 0, &sa);
	printf("reset %d\n", sa.sa_handler == SIG_DFL);

	sigprocmask(SIG_BLOCK, &(sigset_t){{1ul << (SIGSEGV - 1)}}, 0);
	*(volatile int *)0x20 = 1; // blocked: kills
	return 0;
}

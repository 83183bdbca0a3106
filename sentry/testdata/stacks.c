// Alternate stacks in all their states, frames that are changed or broken by the
// handler, and stacks that overflow.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char *alt;
static int depth;

static int on_alt(void) {
	char here;
	return &here >= alt && &here < alt + 65536;
}

static void nested(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	stack_t ss;
	(void)si;
	sigaltstack(0, &ss);
	printf("handler %d depth %d alt %d flags %x frame flags %x size %zu\n", sig, depth, on_alt(), ss.ss_flags,
	       uc->uc_stack.ss_flags, uc->uc_stack.ss_size);
	if (depth++ == 0) {
		printf("change %d %s\n", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, 0), strerrorname_np(errno) ?: "-");
		errno = 0;
		raise(SIGUSR2);
	}
	depth--;
}

static void edit(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	greg_t *g = uc->uc_mcontext.gregs;
	printf("edit rip+3\n");
	g[REG_RIP] += 3;
	g[REG_EFL] |= 1 << 9 | 3 << 12 | 1 << 0 | 1 << 17; // IF stays, IOPL and VM must not come
	g[REG_CSGSFS] = 0x2bul << 48 | 0x33;
	sigaddset(&uc->uc_sigmask, SIGUSR1);
	sigaddset(&uc->uc_sigmask, SIGKILL);
}

static void on_child(const char *what, void (*f)(void)) {
	int status;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		f();
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("%s: status %x\n", what, status & ~0x80);
}

static void install(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
	struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
	sigaction(sig, &sa, 0);
}

static void bad_fp(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	uc->uc_mcontext.fpregs = (void *)0x10;
}
static void bad_fp_align(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	uc->uc_mcontext.fpregs = (void *)((char *)uc->uc_mcontext.fpregs + 8);
}
static void no_fp(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	uc->uc_mcontext.fpregs = 0;
}
static void no_magic(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	memset((char *)uc->uc_mcontext.fpregs + 464, 0, 4);
}
static void bad_mxcsr(int sig, siginfo_t *si, void *v) {
	ucontext_t *uc = v;
	(void)sig;
	(void)si;
	*(uint32_t *)((char *)uc->uc_mcontext.fpregs + 24) = 0xffffffff;
}

static void (*chosen)(int, siginfo_t *, void *);
static void raise_with(void) {
	install(SIGUSR1, chosen, 0);
	double x = 1.5;
	__asm__ volatile("" : "+x"(x));
	raise(SIGUSR1);
}
static void recurse(int n) {
	volatile char big[4096];
	big[0] = n;
	recurse(n + 1);
	big[1] = n;
}
static void overflow_handler(int sig, siginfo_t *si, void *v) {
	(void)v;
	printf("overflow %d code %d alt %d\n", sig, si->si_code, on_alt());
	fflush(stdout);
	_exit(5);
}
static void overflow_alt(void) {
	install(SIGSEGV, overflow_handler, SA_ONSTACK);
	recurse(0);
}
static void overflow_no_alt(void) {
	install(SIGSEGV, overflow_handler, 0);
	recurse(0);
}
static void small_alt(void) { // too small for a frame
	stack_t ss = {.ss_sp = alt, .ss_size = 2048};
	printf("small %d\n", sigaltstack(&ss, 0));
	install(SIGUSR1, nested, SA_ONSTACK);
	raise(SIGUSR1);
}
static void bad_sp(void) {
	install(SIGUSR1, nested, 0);
	pid_t self = getpid();
	__asm__ volatile("mov $0x1000, %%rsp\n\tmov $62, %%eax\n\tsyscall\n\tud2" ::"D"(self), "S"(SIGUSR1) : "rax", "rcx", "r11", "memory");
}
static void naked_return(void) {
	__asm__ volatile("mov $0x1000, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" ::: "rax", "rcx", "r11", "memory");
}
static void ignored_segv(void) {
	signal(SIGSEGV, SIG_IGN);
	*(volatile int *)0x30 = 1;
}
static void bus(void) {
	FILE *f = tmpfile();
	(void)f;
}

int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	(void)bus;
	alt = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t ss = {.ss_sp = alt, .ss_size = 65536}, old;
	install(SIGUSR1, nested, SA_ONSTACK);
	install(SIGUSR2, nested, SA_ONSTACK);
	raise(SIGUSR1); // no stack yet
	printf("set %d\n", sigaltstack(&ss, 0));
	raise(SIGUSR1);
	ss.ss_flags = SS_AUTODISARM;
	printf("autodisarm %d\n", sigaltstack(&ss, 0));
	raise(SIGUSR1);
	sigaltstack(0, &old);
	printf("after %x size %zu\n", old.ss_flags, old.ss_size);
	ss.ss_flags = 4;
	printf("flags %d %s\n", sigaltstack(&ss, 0), strerrorname_np(errno));
	ss.ss_flags = 0;
	ss.ss_size = 100;
	printf("size %d %s\n", sigaltstack(&ss, 0), strerrorname_np(errno));
	ss.ss_flags = SS_DISABLE;
	printf("disable %d\n", sigaltstack(&ss, 0));
	sigaltstack(0, &old);
	printf("now %x size %zu\n", old.ss_flags, old.ss_size);

	install(SIGILL, edit, 0);
	unsigned long flags;
	__asm__ volatile("ud2\n\tnop\n\tpushf\n\tpop %0" : "=r"(flags)::"memory", "cc");
	printf("flags %lx\n", flags & 0x3f001);
	sigset_t now;
	sigprocmask(SIG_BLOCK, 0, &now);
	printf("mask %lx\n", *(unsigned long *)&now);
	sigemptyset(&now);
	sigprocmask(SIG_SETMASK, &now, 0);

	struct { const char *name; void (*f)(int, siginfo_t *, void *); } frames[] = {
		{"bad fpstate", bad_fp}, {"unaligned fpstate", bad_fp_align}, {"no fpstate", no_fp},
		{"no magic", no_magic}, {"bad mxcsr", bad_mxcsr},
	};
	for (int i = 0; i < 5; i++) {
		chosen = frames[i].f;
		on_child(frames[i].name, raise_with);
	}
	ss = (stack_t){.ss_sp = alt, .ss_size = 65536};
	sigaltstack(&ss, 0);
	on_child("overflow with alternate stack", overflow_alt);
	on_child("overflow without", overflow_no_alt);
	on_child("small alternate stack", small_alt);
	on_child("bad stack pointer", bad_sp);
	on_child("sigreturn without frame", naked_return);
	on_child("ignored SIGSEGV", ignored_segv);
	return 0;
}

/*
 * segv: every way in which an access can be refused, and what a handler is told.
 * The handler goes on behind the instruction that faulted.
 */
#include "guest.h"

enum { SIGILL = 4, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11 };
enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000 };

struct siginfo {
	int signo, error, code, pad;
	void *addr;
};

/* The part of ucontext that matters here: general registers, in Linux's order. */
struct ucontext {
	ulong flags;
	void *link;
	ulong stack[3];
	ulong r8_to_r15[8], rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
};

struct sigaction {
	void (*handler)(int, struct siginfo *, struct ucontext *);
	ulong flags;
	void (*restorer)(void);
	ulong mask;
};

void restorer(void);
__asm__(".globl restorer\n"
	"restorer:\n"
	"	mov $15, %eax\n"
	"	syscall\n");

static volatile ulong resume; /* where the handler goes on */

static void handler(int sig, struct siginfo *info, struct ucontext *uc)
{
	struct line l = { .len = 0 };

	put(&l, "  signal ");
	put_number(&l, (ulong)sig, 10);
	put(&l, " code ");
	put_number(&l, (ulong)info->code, 10);
	put(&l, " address ");
	put_address(&l, info->addr);
	end(&l);
	uc->rip = resume;
}

static void handle(int sig)
{
	struct sigaction sa = { handler, SA_SIGINFO | SA_RESTORER, restorer, 0 };

	syscall6(SYS_rt_sigaction, sig, (long)&sa, 0, sizeof sa.mask, 0, 0);
}

/* Each try names the place behind its own instruction for the handler. */
#define TRY(instruction, address)                                                   \
	__asm__ volatile("lea 1f(%%rip), %%rcx\n\t"                                 \
			 "mov %%rcx, %1\n\t" instruction "\n"                       \
			 "1:"                                                       \
			 :                                                          \
			 : "a"(address), "m"(resume)                                \
			 : "rcx", "rdx", "memory")

int main(int argc, char **argv)
{
	uchar *page = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
	uchar *none = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	uchar *beyond = mmap_file("/etc/passwd", PAGE, 1ul << 30);

	(void)argc, (void)argv;
	touch_stack();
	handle(SIGSEGV);
	handle(SIGBUS);
	handle(SIGFPE);
	handle(SIGILL);

	say("read where nothing is mapped");
	TRY("movb (%%rax), %%dl", 0x10ul);
	say("write a read-only page");
	TRY("movb $1, (%%rax)", page);
	say("read a page without rights");
	TRY("movb (%%rax), %%dl", none);
	say("execute a page that is only readable");
	TRY("jmp *%%rax", page);
	say("read behind the end of a mapped file");
	TRY("movb (%%rax), %%dl", beyond);
	say("an address that is no address");
	TRY("movb (%%rax), %%dl", 0x8000000000000000ul);
	say("divide by zero");
	TRY("xor %%edx, %%edx\n\txor %%ecx, %%ecx\n\tdiv %%ecx", 1ul);
	say("an instruction that is none");
	TRY("ud2", 0ul);
	return 0;
}

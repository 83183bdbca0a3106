/* show writes what it finds at its first instruction: its own /proc/self/maps to
   descriptor 1, its stack from the stack pointer up to descriptor 2. */
typedef unsigned long word;

static char zeroes[BSS];
static int data = 7;
char *where = zeroes; /* a relocation in a static PIE, which nobody applies */

static word call(word nr, word a, word b, word c)
{
	word r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

__attribute__((used)) void show(word sp)
{
	char buf[4096];
	word n, fd = call(2, (word)"/proc/self/maps", 0, 0);
	while ((n = call(0, fd, (word)buf, sizeof buf)) != 0)
		call(1, 1, (word)buf, n);
	n = call(12, 0, 0, 0);
	call(1, 2, (word)&n, sizeof n);
	call(1, 2, sp, 0x7ffffffff000 - sp);
	call(231, zeroes[BSS - 1] + data - 7, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call show\n");

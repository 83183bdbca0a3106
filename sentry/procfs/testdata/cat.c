/* cat writes the files that it is given, each behind a line with its name. */
typedef unsigned long word;

static char zeroes[50000];

static word call(word nr, word a, word b, word c)
{
	word r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

static word length(const char *s)
{
	word n = 0;
	while (s[n])
		n++;
	return n;
}

__attribute__((used)) void cat(word *sp)
{
	char buf[4096], **argv = (char **)(sp + 1);
	for (word i = 1; i < *sp; i++) {
		word n, fd = call(2, (word)argv[i], 0, 0);
		call(1, 1, (word) "== ", 3);
		call(1, 1, (word)argv[i], length(argv[i]));
		call(1, 1, (word) "\n", 1);
		while ((long)(n = call(0, fd, (word)buf, sizeof buf)) > 0)
			call(1, 1, (word)buf, n);
		call(3, fd, 0, 0);
	}
	call(231, zeroes[100], 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call cat\n");

// Ways into the kernel that are no 64-bit system call; argv[1] says which.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
	(void)argc;
	setvbuf(stdout, 0, _IONBF, 0);
	if (!strcmp(argv[1], "int80")) {
		long r;
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
		printf("%ld\n", r);
		return 0;
	}
	if (!strcmp(argv[1], "sysenter"))
		__asm__ volatile("mov $20, %%eax\n\tsysenter" ::: "rax", "memory");
	if (!strcmp(argv[1], "farret"))
		__asm__ volatile("push $0x23\n\tlea 1f(%%rip), %%rax\n\tpush %%rax\n\tlretq\n1:\tnop\n\tint $0x80" ::: "rax", "memory");
	if (!strcmp(argv[1], "vsyscall")) {
		time_t (*old)(time_t *) = (void *)0xffffffffff600400ul;
		time_t there = 1, now = old(&there);
		struct timeval tv;
		int (*gtod)(struct timeval *, void *) = (void *)0xffffffffff600000ul;
		printf("%d %d %d\n", now > 1000000, now == there, gtod(&tv, 0));
		return 0;
	}
	if (!strcmp(argv[1], "vsyscall-read"))
		return *(volatile int *)0xffffffffff600000ul;
	if (!strcmp(argv[1], "vsyscall-bad"))
		((void (*)(void))0xffffffffff600c00ul)();
	if (!strcmp(argv[1], "vsyscall-fault")) {
		((time_t (*)(time_t *))0xffffffffff600400ul)((time_t *)8);
		return 0;
	}
	if (!strcmp(argv[1], "unmap")) {
		for (size_t n = ~0ul / 2 & ~4095ul; n >= 4096; n = n / 2 & ~4095ul)
			munmap(0, n);
		return 0;
	}
	return 99;
}

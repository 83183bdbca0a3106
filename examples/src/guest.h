/*
 * guest.h: all that the demo guests have instead of a C library: an entry point,
 * system calls, and enough printing to tell what happened.
 *
 * Numbers and layouts are Linux's for x86-64.
 */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned long ulong;
typedef unsigned char uchar;

enum { PAGE = 4096 };
enum { STDOUT = 1 };

enum {
	SYS_write = 1, SYS_open = 2, SYS_mmap = 9, SYS_mprotect = 10, SYS_munmap = 11, SYS_brk = 12,
	SYS_rt_sigaction = 13, SYS_rt_sigreturn = 15, SYS_mremap = 25, SYS_madvise = 28,
	SYS_fork = 57, SYS_wait4 = 61, SYS_exit_group = 231,
};

enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };
enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2 };
enum { MADV_DONTNEED = 4 };

static inline long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define syscall3(nr, a, b, c) syscall6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static inline void *mmap(void *at, ulong len, int prot, int flags)
{
	return (void *)syscall6(SYS_mmap, (long)at, (long)len, prot, flags, -1, 0);
}

/* mmap_file maps len bytes of the file at path from offset on, private and readable. */
static inline void *mmap_file(const char *path, ulong len, ulong offset)
{
	long fd = syscall3(SYS_open, path, 0, 0);

	return (void *)syscall6(SYS_mmap, 0, (long)len, PROT_READ, MAP_PRIVATE, fd, (long)offset);
}

static inline long munmap(void *at, ulong len) { return syscall3(SYS_munmap, at, len, 0); }
static inline long mprotect(void *at, ulong len, int prot) { return syscall3(SYS_mprotect, at, len, prot); }
static inline long madvise(void *at, ulong len, int advice) { return syscall3(SYS_madvise, at, len, advice); }
static inline void *brk(void *at) { return (void *)syscall3(SYS_brk, at, 0, 0); }
static inline long fork(void) { return syscall3(SYS_fork, 0, 0, 0); }

static inline void *mremap(void *old, ulong oldlen, ulong newlen, int flags, void *to)
{
	return (void *)syscall6(SYS_mremap, (long)old, (long)oldlen, (long)newlen, flags, (long)to, 0);
}

/* wait_for waits for the child pid and returns its wait status. */
static inline int wait_for(long pid)
{
	int status = 0;

	syscall6(SYS_wait4, pid, (long)&status, 0, 0, 0, 0);
	return status;
}

static inline void __attribute__((noreturn)) exit(int status)
{
	for (;;)
		syscall3(SYS_exit_group, status, 0, 0);
}

/* A line of output is built first and written with one call, so that the lines of
 * two processes never mix. */
struct line {
	char text[160];
	ulong len;
};

static inline void put(struct line *l, const char *s)
{
	while (*s && l->len < sizeof l->text - 1)
		l->text[l->len++] = *s++;
}

static inline void put_number(struct line *l, ulong n, unsigned base)
{
	char digits[20];
	int i = 0;

	do
		digits[i++] = "0123456789abcdef"[n % base];
	while ((n /= base));
	while (i && l->len < sizeof l->text - 1)
		l->text[l->len++] = digits[--i];
}

static inline void put_address(struct line *l, const volatile void *p)
{
	put(l, "0x");
	put_number(l, (ulong)p, 16);
}

static inline void end(struct line *l)
{
	l->text[l->len++] = '\n';
	syscall3(SYS_write, STDOUT, l->text, l->len);
	l->len = 0;
}

static inline void say(const char *s)
{
	struct line l = { .len = 0 };

	put(&l, s);
	end(&l);
}

/* touch reads a byte so that the compiler cannot leave it out. */
static inline uchar touch(const volatile void *p) { return *(const volatile uchar *)p; }

/* touch_stack brings in the pages below the stack pointer: how long a signal's frame
 * is depends on the processor, and which pages it touches should not. */
static inline __attribute__((noinline)) void touch_stack(void)
{
	volatile uchar room[4 * PAGE];

	for (int i = 3; i >= 0; i--)
		room[i * PAGE] = 0;
}

int main(int argc, char **argv);

/* The kernel starts a program with argc at the stack pointer and argv above it. */
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov (%rsp), %rdi\n"
	"	lea 8(%rsp), %rsi\n"
	"	and $-16, %rsp\n"
	"	call main\n"
	"	mov %eax, %edi\n"
	"	mov $231, %eax\n"
	"	syscall\n"
	"	hlt\n"
	".size _start, . - _start\n");

/* gcc turns loops into calls of these two. */
void *memset(void *to, int c, ulong n)
{
	uchar *p = to;

	while (n--)
		*p++ = (uchar)c;
	return to;
}

void *memcpy(void *to, const void *from, ulong n)
{
	uchar *p = to;
	const uchar *q = from;

	while (n--)
		*p++ = *q++;
	return to;
}

#endif

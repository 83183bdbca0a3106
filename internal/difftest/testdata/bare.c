// No C library at all: two calls.
static long call(long nr, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

void _start(void)
{
	static const char text[] = "no library\n";
	call(1, 1, (long)text, sizeof text - 1);
	call(231, 3, 0, 0);
}

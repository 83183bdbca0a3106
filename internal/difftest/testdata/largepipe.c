// What a call moves into a pipe as large as anybody can make one.
#include "guest.h"
#include <sys/uio.h>

int main(void)
{
	int p[2], zero = open("/dev/zero", O_RDONLY);
	const unsigned long size = 1UL << 20;
	char *m = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec all = {m, size};
	pipe(p);
	CALL(fcntl, p[1], F_SETPIPE_SZ, size);
	CALL(splice, zero, 0, p[1], 0, size, 0);
	CALL(read, p[0], m, size);
	CALL(vmsplice, p[1], &all, 1, 0);
	CALL(read, p[0], m, size);
	return 0;
}

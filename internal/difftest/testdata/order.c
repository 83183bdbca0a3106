// What calls look at first, and how wide their arguments are.
#include "guest.h"
#include <sys/uio.h>

int main(void)
{
	static char b[8192];
	int m = memfd_create("x", 0), p[2], dir = open("data", O_RDONLY), null = open("/dev/null", O_RDWR);
	struct iovec huge = {b, ~0UL >> 1}, two[2] = {{b, (~0UL >> 1) - 15}, {b, 1}}, bad[2] = {{(void *)-1L, 8}, {b, -1}};
	struct iovec page = {b, PAGE};
	pipe(p);
	ftruncate(m, 100);
	lseek(m, 50, SEEK_SET);
	printf("offsets that are none\n");
	CALL(lseek, m, 0x7fffffffffffffff, SEEK_CUR);
	CALL(lseek, m, 0x7fffffffffffffff, SEEK_END);
	CALL(lseek, m, 0x7fffffffffffffff, SEEK_SET);
	lseek(m, 0, SEEK_SET);
	printf("a pipe has no offsets, whichever end it is\n");
	CALL(pread64, p[1], b, 1, 0);
	CALL(pwrite64, p[0], b, 1, 0);
	CALL(preadv, p[1], &page, 1, 0);
	CALL(pwritev, p[0], &page, 1, 0);
	CALL(fallocate, p[1], 0, 0, 10);
	CALL(fallocate, p[1], 0, 0x7fffffffffffffff, 10);
	CALL(fallocate, p[0], 0, 0, 10);
	CALL(fallocate, null, 0, 0x7fffffffffffffff, 10);
	CALL(fallocate, m, 0, 0x7fffffffffffffff, 10);
	printf("directories\n");
	CALL(getdents64, p[1], b, 100);
	CALL(getdents64, p[0], b, 100);
	CALL(getdents64, dir, b, -1);
	CALL(getdents64, dir, b, 0x80000000);
	dir = open("data", O_RDONLY);
	CALL(sendfile, null, dir, 0, 10);
	CALL(sendfile, p[1], dir, 0, 10);
	printf("vectors\n");
	CALL(readv, m, &huge, 1);
	CALL(readv, m, two, 2);
	CALL(readv, m, bad, 2);
	CALL(readv, m, bad, 1);
	CALL(readv, m, &page, 0x100000000);
	CALL(readv, m, 8, 0x100000000);
	CALL(vmsplice, p[1], &page, 0x100000000, 0);
	CALL(process_vm_readv, getpid(), &page, 0x100000000, &page, 1, 0);
	CALL(process_vm_readv, getpid(), &page, 1, &page, 0x100000000, 0);
	CALL(process_vm_readv, getpid(), bad, 2, &page, 1, 0);
	printf("offsets that cannot be written back\n");
	loff_t *from = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), to = 50;
	mprotect(from, PAGE, PROT_READ);
	for (int i = 0; i < 5; i++) {
		to = 50;
		CALL(copy_file_range, m, from, m, &to, 10, 0);
		printf("to %ld\n", (long)to);
	}
	printf("flags that are ints\n");
	CALL(copy_file_range, m, 0, m, 0, 0, 0x100000000);
	CALL(copy_file_range, m, 0, m, 0, 0, 1);
	CALL(cachestat, m, &page, b, 0x100000000);
	CALL(cachestat, m, (uint64_t[2]){0}, b, 1);
	return 0;
}

// More memory than there is goes through calls: files are read, written from mappings
// and populated, and what MADV_FREE gave away makes room.
#include "guest.h"
#include <sys/uio.h>

static unsigned long sum(const unsigned char *p, long n)
{
	unsigned long s = 0;
	for (long i = 0; i < n; i += 512)
		s = s * 31 + p[i];
	return s;
}

int main(int argc, char **argv)
{
	long mib = 1 << 20, big = 64 * mib;
	static unsigned char buf[1 << 16];
	unsigned long s = 0;
	int fd = open(argv[1], O_RDWR), sink = open("/dev/null", O_WRONLY);
	for (long off = 0; off < big; off += sizeof buf) {
		if (pread(fd, buf, sizeof buf, off) != sizeof buf)
			return printf("pread: %s\n", strerrorname_np(errno));
		s += sum(buf, sizeof buf);
	}
	printf("read, sum %#lx\n", s);

	unsigned char *m = mmap(0, big, PROT_READ, MAP_SHARED, fd, 0);
	printf("touched, sum %#lx\n", sum(m, big));
	for (long off = 0; off < big; off += 4 * mib) {
		struct iovec v[4] = {{m + off, mib}, {m + off + mib, mib}, {m + off + 2 * mib, mib}, {m + off + 3 * mib, mib}};
		long n = writev(sink, v, 4);
		if (n != 4 * mib)
			printf("writev at %#lx: %ld %s\n", off, n, strerrorname_np(errno));
	}
	CALL(madvise, m, 8 * mib, MADV_POPULATE_READ);
	CALL(mlock, m, mib);
	CALL(munlock, m, mib);
	unsigned char *all = mmap(0, big, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	printf("populated %s, sum %#lx\n", all == MAP_FAILED ? "not" : "", sum(all, big));
	CALL(munmap, all, big);

	// Copies into a mapped file: what becomes dirty is written back to make room.
	int to = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(to, big);
	unsigned char *w = mmap(0, big, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	for (long off = 0; off < big; off += mib)
		if (pread(fd, w + off, mib, off) != mib)
			printf("into %#lx: %s\n", off, strerrorname_np(errno));
	printf("copied, sum %#lx\n", sum(w, big));

	// What MADV_FREE gave away goes, the child's too, for who needs it in a call.
	int ready[2], go[2];
	pipe(ready);
	pipe(go);
	CALL(munmap, m, big);
	CALL(munmap, w, big);
	close(fd);
	close(to);
	fflush(stdout);
	int pid = fork();
	if (!pid) {
		unsigned char *lazy = mmap(0, 8 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(lazy, 7, 8 * mib);
		madvise(lazy, 8 * mib, MADV_FREE);
		write(ready[1], "r", 1);
		read(go[0], buf, 1);
		_exit(0);
	}
	read(ready[0], buf, 1);
	unsigned char *more = mmap(0, 10 * mib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = open("/dev/zero", O_RDONLY);
	for (long off = 0; off < 10 * mib; off += mib)
		if (read(zero, more + off, mib) != mib)
			printf("zeroes at %#lx: %s\n", off, strerrorname_np(errno));
	more[5 * mib] = 1;
	write(go[1], "g", 1);
	wait(0);
	printf("room was made, sum %#lx\n", sum(more, 10 * mib));
	CALL(munmap, more, 10 * mib);
	return 0;
}

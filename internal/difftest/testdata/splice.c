// Bytes that move without passing through the guest: splice, tee, vmsplice, sendfile to
// pipes, copy_file_range; pipes' sizes and packets; preadv2 and pwritev2; readahead.
// The guest has an empty directory of its own.
#include "guest.h"
#include <sys/ioctl.h>
#include <sys/uio.h>

static char buf[1 << 20];
static volatile int broken_pipes;
static int a[2], b[2];

static void broken(int sig) { broken_pipes++; }

static void fresh(int flags)
{
	for (int i = 0; i < 2; i++) {
		if (a[i])
			close(a[i]);
		if (b[i])
			close(b[i]);
	}
	if (pipe2(a, flags) || pipe2(b, flags))
		exit(1);
}

static long held(int fd)
{
	int n = -1;
	ioctl(fd, FIONREAD, &n);
	return n;
}

static void state(const char *when)
{
	printf("%s: a holds %ld, b holds %ld\n", when, held(a[0]), held(b[0]));
}

static void say(int fd, int n)
{
	long got = read(fd, buf, n);
	printf("read %ld: %.*s\n", got, got > 60 ? 60 : (int)got, buf);
}

static void fill(int fd, long size)
{
	for (long i = 0; i < size; i++)
		buf[i] = 'a' + i / 7 % 26;
	if (pwrite(fd, buf, size, 0) != size)
		exit(2);
}

static unsigned long sum(int fd)
{
	unsigned long s = 0, n, at = 0;
	while ((long)(n = pread(fd, buf, sizeof buf, at)) > 0) {
		for (unsigned long i = 0; i < n; i++)
			s = s * 31 + (unsigned char)buf[i];
		at += n;
	}
	return s ^ at << 48;
}

// How slots of pipes fill: writes are merged where Linux merges them.
static void slots(void)
{
	printf("-- slots\n");
	fresh(O_NONBLOCK);
	for (int i = 0; i < 20; i++)
		if (write(a[1], buf, 4096) < 0)
			break;
	state("pages");
	fresh(O_NONBLOCK);
	int n = 0;
	while (write(a[1], buf, 3000) > 0)
		n++;
	printf("%d writes of 3000 fit\n", n);
	CALL(write, a[1], buf, 1096);
	CALL(write, a[1], buf, 1);
	fresh(O_NONBLOCK);
	CALL(write, a[1], buf, 100);
	CALL(write, a[1], buf, 65536);
	CALL(write, a[1], buf, 4096);
	CALL(write, a[1], buf, 3996);
	state("merged");
	CALL(read, a[0], buf, 50);
	CALL(write, a[1], buf, 1);
	CALL(read, a[0], buf, 50);
	CALL(write, a[1], buf, 1);
	CALL(write, a[1], buf, 0);
	fresh(O_NONBLOCK);
	CALL(write, a[1], buf, 70000);
	CALL(read, a[0], buf, 5000);
	CALL(write, a[1], buf, 5000);
	CALL(read, a[0], buf, 100000);
}

static void sizes(void)
{
	printf("-- sizes\n");
	fresh(O_NONBLOCK);
	CALL(fcntl, a[0], F_GETPIPE_SZ);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 1);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 0);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 4097);
	CALL(fcntl, a[0], F_GETPIPE_SZ);
	CALL(write, a[1], buf, 65536);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 4096);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 1 << 20);
	CALL(write, a[1], buf, 1 << 20);
	CALL(read, a[0], buf, 4096 * 3);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 65536);
	CALL(fcntl, a[1], F_SETPIPE_SZ, -1);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 1UL << 32);
	CALL(fcntl, a[1], F_SETPIPE_SZ, 0x80000001);
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	CALL(fcntl, fd, F_GETPIPE_SZ);
	CALL(fcntl, fd, F_SETPIPE_SZ, 4096);
	close(fd);
	fd = open(".", O_PATH);
	CALL(fcntl, fd, F_SETPIPE_SZ, 4096);
	close(fd);
}

static void packets(void)
{
	printf("-- packets\n");
	fresh(O_DIRECT | O_NONBLOCK);
	CALL(fcntl, a[0], F_GETFL);
	CALL(fcntl, a[1], F_GETFL);
	CALL(write, a[1], "hello", 5);
	CALL(write, a[1], "world", 5);
	say(a[0], 100);
	say(a[0], 2);
	say(a[0], 100);
	CALL(write, a[1], buf, 5000);
	CALL(read, a[0], buf, 65536);
	CALL(read, a[0], buf, 65536);
	CALL(fcntl, a[1], F_SETFL, O_NONBLOCK);
	CALL(write, a[1], "one", 3);
	CALL(write, a[1], "two", 3);
	say(a[0], 100);
	CALL(fcntl, a[1], F_SETFL, O_NONBLOCK | O_DIRECT);
	CALL(write, a[1], "one", 3);
	CALL(write, a[1], "two", 3);
	CALL(splice, a[0], 0, b[1], 0, 2, 0);
	CALL(splice, a[0], 0, b[1], 0, 100, 0);
	say(b[0], 100);
	say(b[0], 100);
	say(b[0], 100);
	for (int i = 0; i < 20; i++)
		if (write(a[1], "x", 1) < 0) {
			printf("%d packets fit\n", i);
			break;
		}
}

static void errors(void)
{
	printf("-- errors\n");
	loff_t off = 0, minus = -1, far = 0x7ffffffffffffff0;
	fresh(O_NONBLOCK);
	int f = open("file", O_RDWR | O_CREAT, 0600), r = open("file", O_RDONLY), w = open("file", O_WRONLY), ap = open("file", O_RDWR | O_APPEND);
	int dir = open(".", O_RDONLY), path = open("file", O_PATH), null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	fill(f, 10000);
	CALL(splice, -1, 0, a[1], 0, 0, 0);
	CALL(splice, -1, 0, a[1], 0, 1, 0);
	CALL(splice, f, 0, -1, 0, 1, 0);
	CALL(splice, f, 0, a[1], 0, 1, 16);
	CALL(splice, -1, 0, a[1], 0, 1, 16);
	CALL(splice, path, 0, a[1], 0, 1, 0);
	CALL(splice, w, 0, a[1], 0, 1, 0);
	CALL(splice, f, 0, a[0], 0, 1, 0);
	CALL(splice, a[0], 0, r, 0, 1, 0);
	CALL(splice, a[0], &off, f, 0, 1, 0);
	CALL(splice, a[1], &off, f, 0, 1, 0);
	CALL(splice, f, 0, a[1], &off, 1, 0);
	CALL(splice, f, 8, a[1], 0, 1, 0);
	CALL(splice, f, 0, f, 0, 1, 0);
	CALL(splice, f, &off, w, 0, 1, 0);
	CALL(splice, a[0], 0, a[1], 0, 1, 0);
	CALL(splice, a[0], 0, ap, 0, 1, 0);
	CALL(splice, dir, 0, a[1], 0, 1, 0);
	CALL(splice, f, &minus, a[1], 0, 1, 0);
	CALL(splice, f, &far, a[1], 0, 100, 0);
	CALL(splice, a[0], 0, f, &minus, 1, 0);
	CALL(splice, a[0], 0, f, 0, 1, 0);
	CALL(splice, a[0], 0, b[1], 0, 1, 0);
	CALL(splice, a[0], 0, null, 0, 1, 0);
	CALL(splice, null, 0, a[1], 0, 1, 0);
	CALL(splice, zero, 0, a[1], 0, 5000, 0);
	CALL(splice, zero, &off, a[1], 0, 5000, 0);
	CALL(splice, a[0], 0, zero, 0, 5000, 0);
	CALL(splice, a[0], 0, null, &off, 5000, 0);
	state("after devices");
	CALL(tee, a[0], b[1], 0, 0);
	CALL(tee, -1, b[1], 0, 99);
	CALL(tee, -1, b[1], 1, 99);
	CALL(tee, -1, b[1], 1, 0);
	CALL(tee, a[0], -1, 1, 0);
	CALL(tee, f, b[1], 1, 0);
	CALL(tee, a[0], f, 1, 0);
	CALL(tee, a[0], a[1], 1, 0);
	CALL(tee, a[1], b[1], 1, 0);
	CALL(tee, a[0], b[0], 1, 0);
	CALL(tee, a[0], b[1], 1, 0);
	struct iovec iov[2] = {{"abc", 3}, {(void *)8, 4}};
	CALL(vmsplice, -1, iov, 1, 0);
	CALL(vmsplice, -1, iov, 1, 99);
	CALL(vmsplice, f, iov, 1, 0);
	CALL(vmsplice, path, iov, 1, 0);
	CALL(vmsplice, a[1], iov, 0, 0);
	CALL(vmsplice, a[1], iov, 2000, 0);
	CALL(vmsplice, a[1], 8, 1, 0);
	CALL(vmsplice, a[1], iov + 1, 1, 0);
	CALL(vmsplice, a[1], iov, 2, 0);
	state("after vmsplice");
	for (int i = 0; i < 6; i++)
		close((int[]){f, r, w, ap, dir, path}[i]);
	close(null);
	close(zero);
}

static void files(void)
{
	printf("-- files\n");
	fresh(O_NONBLOCK);
	int f = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), g = open("other", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fill(f, 200000);
	loff_t off = 100, at = 0;
	CALL(splice, f, &off, a[1], 0, 65536, 0);
	printf("offset %ld, file's own %ld\n", (long)off, (long)lseek(f, 0, SEEK_CUR));
	state("full");
	CALL(splice, f, &off, a[1], 0, 65536, 0);
	CALL(splice, f, &off, a[1], 0, 65536, SPLICE_F_NONBLOCK);
	CALL(splice, a[0], 0, g, &at, 1000, SPLICE_F_MOVE | SPLICE_F_MORE);
	CALL(splice, a[0], 0, g, &at, 1 << 20, 0);
	printf("offset %ld, file's own %ld, sum %lx\n", (long)at, (long)lseek(g, 0, SEEK_CUR), sum(g));
	CALL(splice, f, 0, a[1], 0, 10, 0);
	CALL(splice, f, 0, a[1], 0, 10, 0);
	CALL(lseek, f, 0, SEEK_CUR);
	CALL(lseek, g, 5, SEEK_SET);
	CALL(splice, a[0], 0, g, 0, 7, 0);
	CALL(lseek, g, 0, SEEK_CUR);
	say(a[0], 100);
	lseek(f, 199990, SEEK_SET);
	CALL(splice, f, 0, a[1], 0, 100, 0);
	CALL(splice, f, 0, a[1], 0, 100, 0);
	say(a[0], 100);
	// Holes, and what is written meanwhile.
	ftruncate(g, 0);
	ftruncate(g, 20000);
	off = 0;
	CALL(splice, g, &off, a[1], 0, 100000, 0);
	long n = read(a[0], buf, sizeof buf);
	long zeroes = 0;
	for (long i = 0; i < n; i++)
		zeroes += !buf[i];
	printf("%ld zeroes of %ld\n", zeroes, n);
	// sendfile to a pipe takes what there is room for.
	CALL(lseek, f, 0, SEEK_SET);
	CALL(sendfile, a[1], f, 0, 100000);
	CALL(sendfile, a[1], f, 0, 100000);
	CALL(lseek, f, 0, SEEK_CUR);
	CALL(read, a[0], buf, sizeof buf);
	CALL(sendfile, f, f, 0, 1000);
	CALL(lseek, f, 0, SEEK_CUR);
	printf("sum %lx\n", sum(f));
	// A page of the pipe's own may still grow; one of the file's may not.
	off = 0;
	CALL(splice, f, &off, a[1], 0, 3, 0);
	CALL(write, a[1], "XYZ", 3);
	CALL(write, a[1], "UVW", 3);
	say(a[0], 100);
	for (int i = 0; i < 20; i++) {
		off = 0;
		if (raw(SYS_splice, f, ARG(&off), a[1], 0, 1, 0) < 0) {
			printf("%d bytes of a file fill a pipe\n", i);
			break;
		}
	}
	CALL(read, a[0], buf, 2);
	CALL(fcntl, a[0], F_SETPIPE_SZ, 4096);
	CALL(fcntl, a[0], F_SETPIPE_SZ, 1 << 16);
	// The end of writers and of readers.
	CALL(read, a[0], buf, 100);
	close(a[1]);
	a[1] = 0;
	CALL(splice, a[0], 0, g, 0, 10, 0);
	CALL(splice, a[0], 0, b[1], 0, 10, 0);
	CALL(tee, a[0], b[1], 10, 0);
	close(b[0]);
	b[0] = 0;
	off = 0;
	CALL(splice, f, &off, b[1], 0, 10, 0);
	CALL(splice, a[0], 0, b[1], 0, 10, 0);
	struct iovec iov = {"abc", 3};
	CALL(vmsplice, b[1], &iov, 1, 0);
	CALL(tee, a[0], b[1], 10, 0);
	printf("SIGPIPE %d times\n", broken_pipes);
	close(f);
	close(g);
}

static void pipes(void)
{
	printf("-- pipes\n");
	fresh(O_NONBLOCK);
	write(a[1], "0123456789", 10);
	CALL(tee, a[0], b[1], 4, 0);
	state("tee");
	write(a[1], "abc", 3);
	write(b[1], "DEF", 3);
	CALL(tee, a[0], b[1], 100, 0);
	say(b[0], 100);
	CALL(splice, a[0], 0, b[1], 0, 5, 0);
	CALL(splice, a[0], 0, b[1], 0, 100, 0);
	CALL(splice, a[0], 0, b[1], 0, 100, 0);
	say(b[0], 100);
	// A slot that was moved whole may still be merged into, a part may not.
	write(a[1], "0123456789", 10);
	CALL(splice, a[0], 0, b[1], 0, 3, 0);
	for (int i = 0; i < 15; i++)
		write(b[1], buf, 4096);
	CALL(write, b[1], "x", 1);
	CALL(splice, a[0], 0, b[1], 0, 100, 0);
	fcntl(a[0], F_SETFL, 0);
	fcntl(b[1], F_SETFL, 0);
	CALL(splice, a[0], 0, b[1], 0, 100, SPLICE_F_NONBLOCK);
	CALL(tee, a[0], b[1], 100, SPLICE_F_NONBLOCK);
	CALL(read, b[0], buf, 3);
	CALL(splice, a[0], 0, b[1], 0, 100, SPLICE_F_NONBLOCK);
	CALL(splice, a[0], 0, b[1], 0, 100, SPLICE_F_NONBLOCK);
	CALL(write, b[1], "x", 1);
	CALL(fcntl, b[1], F_SETFL, O_NONBLOCK);
	CALL(read, b[0], buf, 4096);
	CALL(write, b[1], "x", 1);
	CALL(read, b[0], buf, 1 << 20);
	// To and from memory.
	struct iovec iov[3] = {{"abc", 3}, {buf + 100, 9000}, {"de", 2}}, into[2] = {{buf, 5}, {buf + 5, 10}};
	memset(buf, '.', 20000);
	CALL(vmsplice, a[1], iov, 3, 0);
	state("vmsplice");
	CALL(vmsplice, a[0], into, 2, 0);
	printf("%.15s\n", buf);
	state("vmsplice from");
	into[1].iov_base = (void *)8;
	CALL(vmsplice, a[0], into, 2, 0);
	state("into nothing");
	CALL(read, a[0], buf, 1 << 16);
	iov[1].iov_len = 100000;
	CALL(vmsplice, a[1], iov, 3, SPLICE_F_NONBLOCK);
	CALL(vmsplice, a[1], iov, 3, SPLICE_F_NONBLOCK);
	CALL(read, a[0], buf, 1 << 20);
	CALL(vmsplice, a[0], into, 2, SPLICE_F_NONBLOCK);
}

// blocking: who waits is woken by the other side.
static void blocking(void)
{
	printf("-- blocking\n");
	fresh(0);
	fflush(stdout);
	int f = open("big", O_RDWR | O_CREAT | O_TRUNC, 0600), g = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fill(f, 1 << 20);
	unsigned long before = sum(f);
	pid_t one = fork();
	if (!one) {
		close(a[0]);
		close(b[0]);
		close(b[1]);
		loff_t off = 0;
		while (raw(SYS_splice, f, ARG(&off), a[1], 0, 1 << 20, 0) > 0)
			;
		_exit(0);
	}
	pid_t two = fork();
	if (!two) {
		close(a[1]);
		close(b[0]);
		while (raw(SYS_splice, a[0], 0, b[1], 0, 1 << 20, 0) > 0)
			;
		_exit(0);
	}
	close(a[0]);
	close(a[1]);
	close(b[1]);
	a[0] = a[1] = b[1] = 0;
	long total = 0, n;
	while ((n = raw(SYS_splice, b[0], 0, g, 0, 1 << 20, 0)) > 0)
		total += n;
	wait(NULL);
	wait(NULL);
	printf("%ld bytes, %s, then %s\n", total, sum(g) == before ? "the same" : "others", outcome(n));
	close(f);
	close(g);
	// A signal ends a wait.
	fresh(0);
	struct sigaction act = {.sa_handler = broken};
	sigaction(SIGALRM, &act, NULL);
	INTERRUPTED(splice, a[0], 0, b[1], 0, 10, 0);
	INTERRUPTED(tee, a[0], b[1], 10, 0);
	struct iovec iov = {buf, 10};
	INTERRUPTED(vmsplice, a[0], &iov, 1, 0);
	write(a[1], buf, 65536);
	INTERRUPTED(vmsplice, a[1], &iov, 1, 0);
	INTERRUPTED(write, a[1], buf, 70000);
}

static void ranges(void)
{
	printf("-- copy_file_range\n");
	fresh(O_NONBLOCK);
	int f = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), g = open("other", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int r = open("file", O_RDONLY), w = open("other", O_WRONLY), ap = open("other", O_WRONLY | O_APPEND), dir = open(".", O_RDONLY), path = open("file", O_PATH);
	int null = open("/dev/null", O_RDWR), self = open("/proc/self/maps", O_RDONLY);
	loff_t in = 0, out = 0;
	fill(f, 100000);
	CALL(copy_file_range, f, 0, g, 0, 100, 1);
	CALL(copy_file_range, -1, 0, g, 0, 100, 1);
	CALL(copy_file_range, -1, 0, g, 0, 100, 0);
	CALL(copy_file_range, f, 0, -1, 0, 100, 0);
	CALL(copy_file_range, path, 0, g, 0, 100, 0);
	CALL(copy_file_range, f, 8, g, 0, 100, 0);
	CALL(copy_file_range, f, 0, g, 8, 100, 0);
	CALL(copy_file_range, dir, 0, g, 0, 100, 0);
	CALL(copy_file_range, f, 0, dir, 0, 100, 0);
	CALL(copy_file_range, a[0], 0, g, 0, 100, 0);
	CALL(copy_file_range, f, 0, a[1], 0, 100, 0);
	CALL(copy_file_range, f, 0, null, 0, 100, 0);
	CALL(copy_file_range, f, 0, r, 0, 100, 0);
	CALL(copy_file_range, w, 0, f, 0, 100, 0);
	CALL(copy_file_range, f, 0, ap, 0, 100, 0);
	CALL(copy_file_range, self, 0, g, 0, 100, 0);
	CALL(copy_file_range, f, 0, g, 0, 0, 0);
	CALL(copy_file_range, f, 0, g, 0, 70000, 0);
	CALL(copy_file_range, f, 0, g, 0, 70000, 0);
	CALL(copy_file_range, f, 0, g, 0, 70000, 0);
	printf("at %ld and %ld, %s\n", (long)lseek(f, 0, SEEK_CUR), (long)lseek(g, 0, SEEK_CUR), sum(f) == sum(g) ? "the same" : "others");
	in = 10, out = 200000;
	CALL(copy_file_range, r, &in, w, &out, 50, 0);
	printf("%ld %ld, own %ld\n", (long)in, (long)out, (long)lseek(g, 0, SEEK_CUR));
	in = -1;
	CALL(copy_file_range, f, &in, g, 0, 50, 0);
	in = 0, out = -1;
	CALL(copy_file_range, f, &in, g, &out, 50, 0);
	in = 0x7ffffffffffffff0;
	CALL(copy_file_range, f, &in, g, 0, 50, 0);
	in = 0, out = 0x7ffffffffffffff0;
	CALL(copy_file_range, f, &in, g, &out, 50, 0);
	ftruncate(g, 300000);
	// Within one file.
	in = 0, out = 10;
	CALL(copy_file_range, f, &in, f, &out, 20, 0);
	CALL(copy_file_range, f, &in, f, &out, 10, 0);
	in = 0, out = 10;
	CALL(copy_file_range, r, &in, f, &out, 11, 0);
	in = 50, out = 40;
	CALL(copy_file_range, r, &in, f, &out, 11, 0);
	in = 99990, out = 100010;
	CALL(copy_file_range, f, &in, f, &out, 1 << 20, 0);
	printf("sums %lx %lx\n", sum(f), sum(g));
	for (int i = 0; i < 9; i++)
		close((int[]){f, g, r, w, ap, dir, path, null, self}[i]);
}

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define V(call, fd, off, flags) \
	printf("%s(%s, %s, %s) = %s\n", #call, #fd, #off, #flags, outcome(raw(SYS_##call, fd, ARG(iov), 2, off, 0, flags)))

static void flags(void)
{
	printf("-- preadv2 and pwritev2\n");
	fresh(0);
	struct iovec iov[2] = {{buf, 3}, {buf + 3, 4}}, empty[1] = {{buf, 0}};
	int f = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), ap = open("file", O_RDWR | O_APPEND), r = open("file", O_RDONLY), w = open("file", O_WRONLY);
	fill(f, 20);
	V(preadv2, f, 0, 0);
	V(preadv2, f, -1, 0);
	V(preadv2, f, -2, 0);
	V(preadv2, a[0], 0, 0);
	V(preadv2, w, 0, 0);
	V(preadv2, -1, 0, 0);
	V(pwritev2, r, 0, 0);
	CALL(lseek, f, 0, SEEK_CUR);
	for (int bit = 0; bit < 32; bit++) {
		if (bit == 3 || bit == 6 || bit == 7 || bit == 8)
			continue; // NOWAIT, ATOMIC, DONTCACHE and NOSIGNAL are seen below
		printf("bit %d: ", bit);
		V(preadv2, f, 0, 1u << bit);
		printf("bit %d: ", bit);
		V(pwritev2, f, 0, 1u << bit);
	}
	V(preadv2, f, 0, RWF_APPEND | RWF_NOAPPEND);
	CALL(preadv2, f, empty, 1, 0, 0, 1 << 20);
	CALL(lseek, f, 0, SEEK_END);
	CALL(lseek, f, 1, SEEK_SET);
	V(pwritev2, f, -1, RWF_APPEND);
	CALL(lseek, f, 0, SEEK_CUR);
	CALL(lseek, f, 1, SEEK_SET);
	V(pwritev2, f, 3, RWF_APPEND | RWF_SYNC);
	CALL(lseek, f, 0, SEEK_CUR);
	V(pwritev2, ap, 2, RWF_NOAPPEND);
	V(pwritev2, ap, 2, RWF_DSYNC);
	CALL(lseek, f, 0, SEEK_END);
	printf("sum %lx\n", sum(f));
	// Without waiting.
	V(preadv2, a[0], -1, RWF_NOWAIT);
	V(pwritev2, a[1], -1, RWF_NOWAIT);
	V(preadv2, a[0], -1, RWF_NOWAIT);
	write(a[1], buf, 65536);
	V(pwritev2, a[1], -1, RWF_NOWAIT);
	V(pwritev2, a[1], -1, RWF_NOWAIT | RWF_HIPRI);
	close(a[0]);
	a[0] = 0;
	broken_pipes = 0;
	V(pwritev2, a[1], -1, RWF_NOWAIT);
	printf("SIGPIPE %d times\n", broken_pipes);
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), dir = open(".", O_RDONLY);
	V(preadv2, null, -1, RWF_NOWAIT);
	V(preadv2, zero, -1, RWF_NOWAIT);
	V(pwritev2, null, -1, RWF_NOWAIT);
	V(preadv2, dir, -1, RWF_NOWAIT);
	V(preadv2, dir, -1, 0);
	V(preadv2, f, 0, RWF_NOWAIT);
	V(pwritev2, f, 0, RWF_NOWAIT);
	// Spliced pipes give up not to wait.
	CALL(write, b[1], buf, 10);
	CALL(splice, b[0], 0, null, 0, 1, 0);
	V(preadv2, b[0], -1, RWF_NOWAIT);
	V(pwritev2, b[1], -1, RWF_NOWAIT);
	for (int i = 0; i < 7; i++)
		close((int[]){f, ap, r, w, null, zero, dir}[i]);
}

static void ahead(void)
{
	printf("-- readahead\n");
	fresh(0);
	int f = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), w = open("file", O_WRONLY), dir = open(".", O_RDONLY), path = open("file", O_PATH), null = open("/dev/null", O_RDWR);
	fill(f, 100000);
	CALL(readahead, f, 0, 4096);
	CALL(readahead, f, 0, 0);
	CALL(readahead, f, 0, -1);
	CALL(readahead, f, -1, 4096);
	CALL(readahead, f, 1L << 40, 4096);
	CALL(readahead, w, 0, 4096);
	CALL(readahead, dir, 0, 4096);
	CALL(readahead, path, 0, 4096);
	CALL(readahead, null, 0, 4096);
	CALL(readahead, a[0], 0, 4096);
	CALL(readahead, a[1], 0, 4096);
	CALL(readahead, -1, 0, 4096);
	for (int i = 0; i < 5; i++)
		close((int[]){f, w, dir, path, null}[i]);
}

int main(void)
{
	signal(SIGPIPE, broken);
	slots();
	sizes();
	packets();
	errors();
	files();
	pipes();
	blocking();
	ranges();
	flags();
	ahead();
}

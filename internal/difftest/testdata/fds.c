// Descriptors: duplicates, pipes, flags, limits.
#include "guest.h"
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

static volatile int pipes_broken;

static void broken(int sig) { pipes_broken++; }

int main(void)
{
	int fds[2];
	char buf[70000];
	signal(SIGPIPE, broken);
	CALL(pipe, fds);
	printf("%d %d\n", fds[0], fds[1]);
	CALL(dup, fds[0]);
	CALL(dup, 99);
	CALL(dup, -1);
	CALL(dup2, fds[0], 20);
	CALL(dup2, fds[0], fds[0]);
	CALL(dup2, 99, 99);
	CALL(dup2, 99, 20);
	CALL(dup2, fds[0], -1);
	CALL(dup2, fds[0], 1 << 30);
	CALL(dup3, fds[0], 21, O_CLOEXEC);
	CALL(dup3, fds[0], fds[0], 0);
	CALL(dup3, fds[0], 22, O_NONBLOCK);
	CALL(dup3, 99, 22, 0);
	CALL(fcntl, 21, F_GETFD);
	CALL(fcntl, 20, F_GETFD);
	CALL(fcntl, 20, F_SETFD, 1);
	CALL(fcntl, 20, F_GETFD);
	CALL(fcntl, fds[0], F_DUPFD, 30);
	CALL(fcntl, fds[0], F_DUPFD, 30);
	CALL(fcntl, fds[0], F_DUPFD_CLOEXEC, 0);
	CALL(fcntl, fds[0], F_DUPFD, -1);
	CALL(fcntl, fds[0], F_DUPFD, 1 << 20);
	CALL(fcntl, fds[0], F_GETFL);
	CALL(fcntl, fds[1], F_GETFL);
	CALL(fcntl, fds[1], F_SETFL, O_NONBLOCK | O_RDWR);
	CALL(fcntl, fds[1], F_GETFL);
	CALL(fcntl, fds[0], F_GETFL);
	CALL(fcntl, fds[0], F_GETPIPE_SZ);
	CALL(fcntl, 1000, F_GETFD);
	CALL(fcntl, fds[0], 9999);
	CALL(fcntl, fds[0], F_GETOWN);
	CALL(fcntl, fds[0], F_GETSIG);
	// Full and empty pipes.
	CALL(write, fds[1], buf, 65536);
	CALL(write, fds[1], buf, 1);
	CALL(read, fds[0], buf, 4096);
	CALL(write, fds[1], buf, 4097);
	CALL(write, fds[1], buf, 4096);
	CALL(read, fds[0], buf, sizeof buf);
	CALL(fcntl, fds[0], F_SETFL, O_NONBLOCK);
	CALL(read, fds[0], buf, 1);
	CALL(read, fds[0], buf, 0);
	CALL(read, fds[1], buf, 1);
	CALL(write, fds[0], buf, 1);
	CALL(write, fds[1], buf, 0);
	CALL(write, fds[1], 8, 1);
	struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	CALL(writev, fds[1], iov, 3);
	CALL(read, fds[0], buf, 2);
	CALL(read, fds[0], buf + 2, 10);
	printf("%.5s\n", buf);
	CALL(pwritev, fds[1], iov, 3, 0, 0);
	CALL(pwrite64, fds[1], buf, 1, 0);
	// Without readers, without writers.
	CALL(close_range, 3, 100, 4);
	CALL(fcntl, fds[0], F_GETFD);
	CALL(close_range, 20, 5, 0);
	CALL(close_range, 5, 100, 0);
	CALL(close, 20);
	CALL(close, -1);
	CALL(close, fds[0]);
	CALL(close, fds[0]);
	CALL(write, fds[1], buf, 1);
	printf("SIGPIPE %d\n", pipes_broken);
	CALL(pipe2, fds, O_CLOEXEC | O_NONBLOCK);
	printf("%d %d\n", fds[0], fds[1]);
	CALL(fcntl, fds[0], F_GETFD);
	CALL(fcntl, fds[1], F_GETFL);
	CALL(write, fds[1], "last", 4);
	CALL(close, fds[1]);
	CALL(read, fds[0], buf, 2);
	CALL(read, fds[0], buf, 10);
	CALL(read, fds[0], buf, 10);
	CALL(pipe2, fds, 0x1);
	CALL(pipe2, 8, 0);
	struct stat s;
	printf("fstat %d mode %o\n", fstat(fds[0], &s), s.st_mode);
	struct rlimit l = {6, 1024};
	CALL(setrlimit, RLIMIT_NOFILE, &l);
	CALL(dup, 0);
	CALL(dup, 0);
	CALL(dup, 0);
	CALL(pipe, fds);
	CALL(open, "/dev/null", 0);
	CALL(dup2, 0, 6);
	CALL(dup2, 0, 5);
	CALL(fcntl, 0, F_DUPFD, 6);
	// More than fits into any buffer, in pieces.
	static char big[5 << 20];
	struct iovec many[3] = {{big, 1 << 20}, {big + (1 << 20) + 3, 2 << 20}, {big + (4 << 20), 1 << 20}};
	int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
	memset(big, 'z', sizeof big);
	CALL(read, zero, big, 5 << 20);
	memset(big, 'z', sizeof big);
	CALL(readv, zero, many, 3);
	printf("%d %d %d %d %d\n", big[0], big[1 << 20], big[(1 << 20) + 3], big[(3 << 20) + 3], big[(4 << 20) + 9]);
	CALL(write, null, big, 5 << 20);
	CALL(writev, null, many, 3);
	CALL(getrandom, big, 5 << 20, 0);
	munmap((void *)((unsigned long)(big + (3 << 20)) & -PAGE), PAGE);
	CALL(readv, zero, many, 3);
	CALL(getrandom, big, 5 << 20, 0);
	// One file to another.
	long at = 3;
	int poem = open("data/poem.txt", O_RDONLY);
	CALL(sendfile, null, poem, &at, 10);
	printf("at %ld\n", at);
	CALL(sendfile, null, poem, 0, 10);
	CALL(lseek, poem, 0, 1);
	CALL(sendfile, null, poem, 0, 1000);
	CALL(lseek, poem, 0, 1);
	CALL(sendfile, null, poem, 0, 1000);
	at = -1;
	CALL(sendfile, null, poem, &at, 10);
	CALL(sendfile, null, poem, 0, -1);
	CALL(sendfile, null, poem, 8, 10);
	CALL(sendfile, poem, poem, 0, 10);
	CALL(sendfile, null, null, 0, 10);
	CALL(sendfile, null, 99, 0, 10);
	CALL(sendfile, 99, poem, 0, 10);
	int nb = 1;
	CALL(ioctl, null, FIONBIO, &nb);
	CALL(fcntl, null, F_GETFL);
	nb = 0;
	CALL(ioctl, null, FIONBIO, &nb);
	CALL(fcntl, null, F_GETFL);
	CALL(ioctl, null, FIONBIO, 8);
	close(null), close(zero), close(poem);
	// A pipe that blocks, both ways.
	l.rlim_cur = 1024;
	CALL(setrlimit, RLIMIT_NOFILE, &l);
	int up[2], down[2], st;
	fflush(stdout);
	if (pipe(up) || pipe(down))
		return 1;
	if (fork() == 0) {
		long sum = 0, n;
		close(up[1]);
		while ((n = read(up[0], buf, 3000)) > 0)
			for (int i = 0; i < n; i++)
				sum += buf[i];
		_exit(write(down[1], &sum, sizeof sum) != sizeof sum);
	}
	close(up[0]);
	memset(buf, 1, sizeof buf);
	for (int i = 0; i < 10; i++)
		if (write(up[1], buf, sizeof buf) != sizeof buf)
			return 1;
	close(up[1]);
	long sum = 0;
	printf("read %ld", (long)read(down[0], &sum, sizeof sum));
	printf(" sum %ld", sum);
	wait(&st);
	printf(" status %d\n", st);
	return 0;
}

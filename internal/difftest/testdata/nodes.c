// Named pipes, sockets' and devices' nodes, whiteouts. The guest has an empty directory
// of its own.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static char buf[1 << 17];

static void interrupted(int sig) {}

static void show(const char *name)
{
	struct stat s;
	long r = raw(SYS_newfstatat, AT_FDCWD, ARG(name), ARG(&s), AT_SYMLINK_NOFOLLOW, 0, 0);
	if (r)
		printf("%s: %s\n", name, outcome(r));
	else
		printf("%s: mode %o links %lu size %ld device %u:%u\n", name, s.st_mode, s.st_nlink, (long)(S_ISDIR(s.st_mode) ? 0 : s.st_size), major(s.st_rdev), minor(s.st_rdev));
}

static void make(void)
{
	umask(022);
	CALL(mknod, "fifo", S_IFIFO | 0666, 0);
	CALL(mknod, "fifo", S_IFIFO | 0666, 0);
	CALL(mknodat, AT_FDCWD, "socket", S_IFSOCK | 0755, 0);
	CALL(mknod, "file", S_IFREG | 0640, 0);
	CALL(mknod, "plain", 0600, 77);
	CALL(mknod, "whiteout", S_IFCHR | 0600, 0);
	CALL(mknod, "null", S_IFCHR | 0666, makedev(1, 3));
	CALL(mknod, "block", S_IFBLK | 0600, makedev(7, 0x12345));
	CALL(mknod, "dir", S_IFDIR | 0600, 0);
	CALL(mknod, "link", S_IFLNK | 0600, 0);
	CALL(mknod, "odd", 0130000, 0);
	CALL(mknod, "none/x", S_IFIFO, 0);
	CALL(mknod, "x/", S_IFIFO, 0);
	CALL(mknod, "", S_IFIFO, 0);
	CALL(mknod, ".", S_IFIFO, 0);
	CALL(mknod, 8, S_IFIFO, 0);
	CALL(mknodat, -1, "x", S_IFIFO, 0);
	symlink("dangling", "sym");
	CALL(mknod, "sym", S_IFIFO, 0);
	static const char *all[] = {"fifo", "socket", "file", "plain", "whiteout", "null", "block", "dir", "link", "odd", "x", "dangling"};
	for (int i = 0; i < 12; i++)
		show(all[i]);
	CALL(open, "socket", O_RDONLY);
	CALL(open, "whiteout", O_RDONLY);
	CALL(open, "socket", O_PATH);
	CALL(open, "fifo", O_RDONLY | O_DIRECTORY);
	CALL(open, "fifo", O_RDWR | O_CREAT | O_EXCL, 0600);
	CALL(truncate, "fifo", 0);
	CALL(link, "fifo", "other");
	CALL(chmod, "fifo", 0600);
	show("other");
	CALL(rename, "other", "fifo2");
	show("fifo2");
	CALL(unlink, "fifo2");
	close(3);
}

static void ready(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};
	poll(&p, 1, 0);
	printf("fd %d: %#x\n", fd, p.revents);
}

static void pipes(void)
{
	int w, r, rw, n;
	struct stat s;
	CALL(open, "fifo", O_WRONLY | O_NONBLOCK);
	r = open("fifo", O_RDONLY | O_NONBLOCK);
	ready(r);
	CALL(read, r, buf, 10);
	w = open("fifo", O_WRONLY | O_NONBLOCK);
	CALL(read, r, buf, 10);
	ready(r);
	ready(w);
	CALL(write, w, "hello", 5);
	ready(r);
	ioctl(r, FIONREAD, &n);
	printf("%d wait\n", n);
	CALL(lseek, r, 0, SEEK_SET);
	CALL(pread64, r, buf, 1, 0);
	CALL(fcntl, r, F_GETPIPE_SZ);
	CALL(fcntl, r, F_GETFL);
	fstat(r, &s);
	printf("mode %o size %ld\n", s.st_mode, (long)s.st_size);
	CALL(read, r, buf, 3);
	close(w);
	ready(r);
	CALL(read, r, buf, 10);
	CALL(read, r, buf, 10);
	close(r);
	rw = open("fifo", O_RDWR);
	CALL(fcntl, rw, F_SETFL, O_NONBLOCK);
	CALL(write, rw, "abc", 3);
	ready(rw);
	CALL(read, rw, buf, 10);
	CALL(read, rw, buf, 10);
	// Another name, another open by way of /proc.
	r = open("/proc/self/fd/3", O_RDONLY | O_NONBLOCK);
	CALL(write, rw, "proc", 4);
	CALL(read, r, buf, 10);
	close(r);
	CALL(fchmod, rw, 0640);
	show("fifo");
	CALL(unlink, "fifo");
	r = open("/proc/self/fd/3", O_RDONLY | O_NONBLOCK);
	CALL(write, rw, "gone", 4);
	CALL(read, r, buf, 10);
	close(r);
	close(rw);
	// What is in a pipe goes with its last user.
	mknod("fifo", S_IFIFO | 0600, 0);
	rw = open("fifo", O_RDWR | O_NONBLOCK);
	write(rw, "lost", 4);
	close(rw);
	rw = open("fifo", O_RDWR | O_NONBLOCK);
	CALL(read, rw, buf, 10);
	close(rw);
}

// meeting: who opens one side waits for the other.
static void meeting(void)
{
	int fd, status;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		fd = open("fifo", O_WRONLY);
		write(fd, buf, 100000);
		_exit(0);
	}
	fd = open("fifo", O_RDONLY);
	long n, total = 0;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		total += n;
	printf("%ld bytes came\n", total);
	close(fd);
	wait(&status);
	pid = fork();
	if (!pid) {
		fd = open("fifo", O_RDONLY);
		_exit(fd == 3 ? 7 : 8);
	}
	fd = open("fifo", O_WRONLY);
	wait(&status);
	printf("exit %d\n", WEXITSTATUS(status));
	signal(SIGPIPE, SIG_IGN);
	CALL(write, fd, "x", 1);
	close(fd);
	struct sigaction act = {.sa_handler = interrupted};
	sigaction(SIGALRM, &act, NULL);
	INTERRUPTED(open, "fifo", O_RDONLY);
	INTERRUPTED(open, "fifo", O_WRONLY);
	CALL(open, "fifo", O_WRONLY | O_NONBLOCK);
}

static void unprivileged(void)
{
	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	mkdir("open", 0777);
	chmod("open", 0777);
	chmod("fifo", 0600);
	if (setuid(1000))
		_exit(1);
	CALL(mknod, "open/fifo", S_IFIFO | 0666, 0);
	CALL(mknod, "open/null", S_IFCHR | 0666, makedev(1, 3));
	CALL(mknod, "open/block", S_IFBLK | 0666, makedev(1, 3));
	CALL(mknod, "open/whiteout", S_IFCHR | 0666, 0);
	CALL(mknod, "open/fifo", S_IFCHR | 0666, makedev(1, 3));
	CALL(mknod, "denied", S_IFIFO | 0666, 0);
	CALL(mknod, "denied", S_IFCHR | 0666, makedev(1, 3));
	CALL(open, "fifo", O_RDONLY | O_NONBLOCK);
	CALL(renameat2, AT_FDCWD, "open/fifo", AT_FDCWD, "open/moved", 4);
	show("open/fifo");
	fflush(stdout);
	_exit(0);
}

#define WHITEOUT 4
static void whiteouts(void)
{
	close(open("a", O_CREAT | O_WRONLY, 0600));
	close(open("b", O_CREAT | O_WRONLY, 0600));
	CALL(renameat2, AT_FDCWD, "a", AT_FDCWD, "c", WHITEOUT);
	show("a");
	show("c");
	CALL(renameat2, AT_FDCWD, "c", AT_FDCWD, "b", WHITEOUT | RENAME_NOREPLACE);
	CALL(renameat2, AT_FDCWD, "c", AT_FDCWD, "b", WHITEOUT | RENAME_EXCHANGE);
	CALL(renameat2, AT_FDCWD, "c", AT_FDCWD, "b", WHITEOUT);
	show("c");
	show("b");
	mkdir("d", 0700);
	CALL(renameat2, AT_FDCWD, "d", AT_FDCWD, "e", WHITEOUT);
	show("d");
	show("e");
	CALL(unlink, "d");
	CALL(unlink, "a");
	CALL(renameat2, AT_FDCWD, "e", AT_FDCWD, "f", 8);
}

int main(void)
{
	make();
	pipes();
	meeting();
	unprivileged();
	whiteouts();
}

// Paths and descriptors of the host's files, read-only.
#include "guest.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <termios.h>

#define FILE_ "data/poem.txt"

static void show_stat(const char *what, long r, struct stat *s)
{
	if (r < 0) {
		printf("stat %s: %s\n", what, outcome(r));
		return;
	}
	printf("stat %s: ino %lu nlink %lu mode %o uid %d gid %d size %ld blocks %ld blksize %ld dev %lx rdev %lx mtime %ld.%09ld\n", what, s->st_ino, s->st_nlink,
	       s->st_mode, s->st_uid, s->st_gid, s->st_size, s->st_blocks, s->st_blksize, s->st_dev, s->st_rdev, s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

int main(void)
{
	char buf[8192], small[8];
	struct stat s;
	struct statx sx;
	struct statfs sf;
	int dir = open("data", O_RDONLY | O_DIRECTORY), file, path, fds[2];
	// Opening.
	static const struct { const char *path; int flags; } opens[] = {
		{FILE_, O_RDONLY}, {FILE_, O_RDONLY | O_DIRECTORY}, {FILE_ "/", O_RDONLY}, {FILE_ "/x", O_RDONLY}, {"data/none", O_RDONLY}, {"none/x", O_RDONLY},
		{"", O_RDONLY}, {"data", O_RDONLY}, {"data/", O_RDONLY}, {"data", O_PATH}, {"data/link", O_RDONLY}, {"data/link", O_RDONLY | O_NOFOLLOW},
		{"data/link", O_PATH | O_NOFOLLOW}, {"data/loop", O_RDONLY}, {"data/dangling", O_RDONLY}, {"data/../data/./" "poem.txt", O_RDONLY},
		{"/dev/null", O_RDWR}, {"/dev/zero", O_RDONLY}, {"/dev/full", O_WRONLY}, {"/", O_RDONLY}, {"/..", O_RDONLY}, {"/../../etc/passwd", O_RDONLY},
		{FILE_, O_RDONLY | O_CREAT}, {FILE_, O_RDONLY | O_CREAT | O_EXCL}, {FILE_, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_APPEND},
	};
	for (int i = 0; i < sizeof opens / sizeof *opens; i++) {
		int fd = raw(SYS_openat, AT_FDCWD, ARG(opens[i].path), opens[i].flags, 0644, 0, 0);
		printf("open(%s, %#o) = %s", opens[i].path, opens[i].flags, fd < 0 ? outcome(fd) : "ok");
		if (fd >= 0) {
			printf(" flags %#lx fd %ld", raw(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0), raw(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0));
			close(fd);
		}
		printf("\n");
	}
	memset(buf, 'x', 5000);
	buf[5000] = 0;
	CALL(open, buf, 0);
	buf[300] = 0;
	CALL(open, buf, 0);
	CALL(open, 8, 0);
	CALL(openat, 99, FILE_, 0);
	CALL(openat, dir, "poem.txt", 0);
	file = open(FILE_, O_RDONLY);
	CALL(openat, file, "poem.txt", 0);
	CALL(openat, 99, "/dev/null", 0);
	close(file + 1), close(file + 2);
	// Looking at things.
	static const char *paths[] = {FILE_, "data", "data/link", "data/dangling", "data/loop", "data/none", "/dev/null", "/", "", "/dev", "data/hole"};
	for (int i = 0; i < sizeof paths / sizeof *paths; i++) {
		int skip = paths[i][0] == '/'; // devices and roots have other numbers
		long r = raw(SYS_stat, ARG(paths[i]), ARG(&s), 0, 0, 0, 0);
		if (!skip)
			show_stat(paths[i], r, &s);
		else
			printf("stat %s: %s mode %o rdev %lx\n", paths[i], outcome(r), s.st_mode, S_ISCHR(s.st_mode) ? s.st_rdev : 0);
		r = raw(SYS_lstat, ARG(paths[i]), ARG(&s), 0, 0, 0, 0);
		if (!skip)
			show_stat(paths[i], r, &s);
		r = raw(SYS_statx, AT_FDCWD, ARG(paths[i]), 0, STATX_BASIC_STATS, ARG(&sx), 0);
		printf("statx %s: %s", paths[i], outcome(r));
		if (r == 0)
			printf(" mode %o size %llu", sx.stx_mode, S_ISREG(sx.stx_mode) ? sx.stx_size : 0);
		printf("\n");
		for (int m = 0; m < 9; m++)
			if (!(m & W_OK)) // the guest's tree is read-only
				printf(" %s", outcome(raw(SYS_access, ARG(paths[i]), m, 0, 0, 0, 0)));
		memset(buf, 0, 64);
		r = raw(SYS_readlink, ARG(paths[i]), ARG(buf), 64, 0, 0, 0);
		printf("\nreadlink %s %s\n", outcome(r), r > 0 ? buf : "");
	}
	show_stat("fd", raw(SYS_fstat, file, ARG(&s), 0, 0, 0, 0), &s);
	show_stat("at", raw(SYS_newfstatat, file, ARG(""), ARG(&s), AT_EMPTY_PATH, 0, 0), &s);
	show_stat("at null", raw(SYS_newfstatat, file, 0, ARG(&s), AT_EMPTY_PATH, 0, 0), &s);
	show_stat("dir", raw(SYS_newfstatat, dir, ARG("link"), ARG(&s), AT_SYMLINK_NOFOLLOW, 0, 0), &s);
	show_stat("cwd", raw(SYS_newfstatat, AT_FDCWD, ARG(""), ARG(&s), AT_EMPTY_PATH, 0, 0), &s);
	CALL(newfstatat, dir, "", &s, 0);
	CALL(newfstatat, dir, "poem.txt", &s, 0x8000000);
	CALL(newfstatat, 99, "poem.txt", &s, 0);
	CALL(newfstatat, file, "poem.txt", &s, 0);
	CALL(newfstatat, dir, "poem.txt", 8, 0);
	CALL(fstat, 99, &s);
	CALL(fstat, file, 8);
	CALL(statx, file, "", 0x6000, 0, &sx);
	CALL(statx, file, "", AT_EMPTY_PATH, 0x80000000, &sx);
	CALL(statx, file, "", AT_EMPTY_PATH, 0xfff, &sx);
	CALL(statx, file, 0, AT_EMPTY_PATH, 0xfff, &sx);
	CALL(statx, file, "", 0, 0xfff, &sx);
	printf("statfs %d type %lx bsize %ld\n", statfs("data", &sf), (long)sf.f_type, (long)sf.f_bsize);
	printf("fstatfs %d type %lx\n", fstatfs(file, &sf), (long)sf.f_type);
	CALL(statfs, "data/none", &sf);
	CALL(fstatfs, 99, &sf);
	CALL(faccessat, dir, "poem.txt", 4);
	CALL(faccessat2, dir, "poem.txt", 4, 0x8000000);
	CALL(faccessat2, dir, "link", 0, AT_SYMLINK_NOFOLLOW);
	CALL(faccessat2, file, "", 0, AT_EMPTY_PATH);
	CALL(faccessat2, file, "", 8, AT_EMPTY_PATH);
	CALL(readlinkat, dir, "link", buf, 64);
	CALL(readlinkat, dir, "link", buf, 3);
	CALL(readlinkat, dir, "link", buf, 0);
	CALL(readlinkat, dir, "link", buf, -1);
	CALL(readlinkat, dir, "", buf, 64);
	CALL(readlinkat, dir, "poem.txt", buf, 64);
	path = open("data/link", O_PATH | O_NOFOLLOW);
	CALL(readlinkat, path, "", buf, 64);
	CALL(read, path, buf, 1);
	CALL(fchdir, path);
	CALL(ioctl, path, FIONREAD, buf);
	CALL(fcntl, path, F_SETFL, 0);
	CALL(lseek, path, 0, 0);
	// Reading.
	memset(buf, 0, sizeof buf);
	CALL(read, file, buf, 10);
	CALL(read, file, buf + 10, 0);
	CALL(pread64, file, buf + 20, 10, 3);
	CALL(pread64, file, buf + 20, 10, -1);
	CALL(pread64, file, buf + 20, 10, 1 << 20);
	CALL(read, file, buf + 30, 5000);
	CALL(read, file, buf, 10);
	printf("%.19s|%.10s|%.30s\n", buf, buf + 20, buf + 30);
	static const long seeks[][2] = {{0, 0}, {5, 0}, {5, 1}, {-3, 1}, {-2, 2}, {10, 2}, {-1, 0}, {-1000000, 1}, {0, 3}, {0, 4}, {1000000, 3}, {0, 5}, {0, -1}};
	for (int i = 0; i < sizeof seeks / sizeof *seeks; i++)
		printf("lseek(%ld, %ld) = %s\n", seeks[i][0], seeks[i][1], outcome(raw(SYS_lseek, file, seeks[i][0], seeks[i][1], 0, 0, 0)));
	CALL(lseek, file, 0, 0);
	struct iovec iov[3] = {{small, 4}, {NULL, 0}, {buf, 10}}, neg[1] = {{buf, -1}}, bad[2] = {{buf, 4}, {(void *)8, 4}}, far_[1] = {{(void *)-PAGE, 8}};
	CALL(readv, file, iov, 3);
	printf("%.4s %.10s\n", small, buf);
	CALL(readv, file, iov, 1025);
	CALL(readv, file, iov, -1);
	CALL(readv, file, iov, 0);
	CALL(readv, file, neg, 1);
	CALL(readv, file, bad, 2);
	CALL(readv, file, far_, 1);
	CALL(readv, file, 8, 1);
	CALL(preadv, file, iov, 3, 2, 0);
	CALL(preadv, file, iov, 3, -1, -1);
	CALL(lseek, file, 0, 1);
	CALL(read, file, 8, 10);
	CALL(lseek, file, 0, 1);
	CALL(read, file, -1, 10);
	CALL(read, file, buf, -1);
	CALL(read, file, buf, 0x7fffffffffff);
	CALL(read, 99, buf, 1);
	CALL(read, dir, buf, 10);
	CALL(write, file, buf, 1);
	CALL(pwrite64, file, buf, 1, 0);
	CALL(pwrite64, file, buf, 1, -1);
	// The end of memory in the middle of a read.
	char *edge = mmap((void *)PLACE, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(edge + PAGE, PAGE);
	CALL(lseek, file, 0, 0);
	CALL(read, file, edge + PAGE - 7, 100);
	CALL(lseek, file, 0, 1);
	CALL(write, 1, edge + PAGE - 0, 4);
	// Directories.
	long n = raw(SYS_getdents64, dir, ARG(buf), sizeof buf, 0, 0, 0);
	int names = 0;
	for (long at = 0; at < n;) {
		struct dirent64 *d = (void *)(buf + at);
		at += d->d_reclen;
		names++;
		if (!strcmp(d->d_name, "poem.txt") || !strcmp(d->d_name, "link") || !strcmp(d->d_name, "."))
			printf("entry %s type %d reclen %d ino %d\n", d->d_name, d->d_type, d->d_reclen, d->d_ino != 0);
	}
	printf("%d names\n", names);
	CALL(getdents64, dir, buf, sizeof buf);
	CALL(lseek, dir, 0, 0);
	CALL(getdents64, dir, buf, 10);
	CALL(getdents64, dir, 8, 4096);
	CALL(getdents64, file, buf, 4096);
	CALL(getdents64, 99, buf, 4096);
	// Where one is.
	CALL(chdir, "data");
	printf("cwd ends with %s\n", strrchr(getcwd(buf, sizeof buf), '/'));
	CALL(chdir, "poem.txt");
	CALL(chdir, "none");
	CALL(chdir, "..");
	CALL(fchdir, dir);
	CALL(fchdir, file);
	CALL(fchdir, 99);
	printf("cwd ends with %s\n", strrchr(getcwd(buf, sizeof buf), '/'));
	CALL(chdir, "..");
	CALL(getcwd, buf, 1);
	CALL(getcwd, 8, 4096);
	CALL(umask, 077);
	CALL(umask, 0);
	// ioctl.
	CALL(ioctl, file, TCGETS, buf);
	CALL(ioctl, file, TIOCGWINSZ, buf);
	CALL(ioctl, 99, TCGETS, buf);
	CALL(lseek, file, 5, 0);
	CALL(ioctl, file, FIONREAD, buf);
	printf("%d\n", *(int *)buf);
	CALL(ioctl, dir, FIONREAD, buf);
	CALL(ioctl, file, FIOCLEX, 0);
	CALL(fcntl, file, F_GETFD);
	CALL(ioctl, file, FIONCLEX, 0);
	CALL(fcntl, file, F_GETFD);
	CALL(ioctl, file, 2, buf);
	CALL(ioctl, file, 0x12345, buf);
	if (pipe(fds))
		return 1;
	CALL(ioctl, fds[0], TCGETS, buf);
	CALL(write, fds[1], "four", 4);
	CALL(ioctl, fds[0], FIONREAD, buf);
	printf("%d\n", *(int *)buf);
	CALL(lseek, fds[0], 0, 0);
	CALL(pread64, fds[0], buf, 1, 0);
	CALL(fadvise64, file, 0, 0, 2);
	CALL(fadvise64, file, 0, 0, 9);
	CALL(fadvise64, file, 0, -1, 0);
	CALL(fadvise64, fds[0], 0, 0, 0);
	CALL(fadvise64, 99, 0, 0, 0);
	CALL(fsync, file);
	CALL(fsync, fds[0]);
	CALL(fdatasync, 99);
	// Devices.
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY), full = open("/dev/full", O_RDWR);
	CALL(write, null, "abc", 3);
	CALL(read, null, buf, 3);
	memset(buf, 'y', 16);
	CALL(read, zero, buf, 8);
	printf("%d %c\n", buf[7], buf[8]);
	CALL(write, full, "abc", 3);
	CALL(read, full, buf, 3);
	CALL(ioctl, null, TCGETS, buf);
	return 0;
}

// Changes of a file tree, in an empty directory that is the guest's own.
#include "guest.h"
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/vfs.h>

static char buf[1 << 20];

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// show_stat prints what a program may rely on; sizes of directories too.
static void show_stat(const char *path)
{
	struct stat s;
	long r = raw(SYS_lstat, ARG(path), ARG(&s), 0, 0, 0, 0);
	if (r < 0)
		printf("  %s: %s\n", path, outcome(r));
	else
		printf("  %s: mode %o nlink %lu uid %d gid %d size %ld blocks %ld blksize %ld\n", path, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_blocks,
		       s.st_blksize);
}

static void show_fd(int fd)
{
	struct stat s;
	long r = raw(SYS_fstat, fd, ARG(&s), 0, 0, 0, 0);
	printf("  fd: %s mode %o nlink %lu size %ld blocks %ld at %ld\n", outcome(r), s.st_mode, s.st_nlink, s.st_size, s.st_blocks, raw(SYS_lseek, fd, 0, SEEK_CUR, 0, 0, 0));
}

// list prints a directory's names in order.
static void list(const char *path)
{
	char *names[100];
	int n = 0;
	DIR *d = opendir(path);
	if (!d) {
		printf("  list %s: %s\n", path, strerrorname_np(errno));
		return;
	}
	for (struct dirent *e; (e = readdir(d)) && n < 100;) {
		sprintf(buf, "%s:%d", e->d_name, e->d_type);
		names[n++] = strdup(buf);
	}
	closedir(d);
	qsort(names, n, sizeof *names, by_name);
	printf("  list %s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
	show_stat(path);
}

static unsigned long sum(int fd)
{
	unsigned long h = 5381;
	long n = pread(fd, buf, sizeof buf, 0);
	for (long i = 0; i < n; i++)
		h = h * 33 + (unsigned char)buf[i];
	return h;
}

static void opening(void)
{
	static const struct { const char *path; int flags, mode; } opens[] = {
		{"a", O_RDWR, 0}, {"a", O_RDWR | O_CREAT, 0644}, {"a", O_RDWR | O_CREAT | O_EXCL, 0644}, {"a", O_RDONLY | O_CREAT, 0}, {"b", O_WRONLY | O_CREAT | O_EXCL, 0777},
		{"c/", O_WRONLY | O_CREAT, 0777}, {"none/x", O_WRONLY | O_CREAT, 0777}, {"a/x", O_WRONLY | O_CREAT, 0777}, {"a/", O_RDONLY, 0}, {"c", O_WRONLY | O_CREAT, 0},
		{"d", O_RDONLY | O_CREAT | O_TRUNC, 07777}, {"", O_RDWR | O_CREAT, 0644}, {".", O_RDWR | O_CREAT, 0644}, {".", O_RDONLY | O_CREAT, 0644}, {".", O_RDWR, 0},
		{"to", O_RDWR | O_CREAT, 0600}, {"to", O_RDWR | O_CREAT | O_EXCL, 0600}, {"to", O_RDWR | O_NOFOLLOW, 0600}, {"loop", O_RDWR | O_CREAT, 0600},
		{"fresh", O_RDWR | O_CREAT | O_NOFOLLOW, 0600}, {".", O_TMPFILE | O_RDWR, 0600}, {".", O_TMPFILE, 0600}, {"a", O_TMPFILE | O_RDWR, 0600}, {"none", O_TMPFILE | O_RDWR, 0600},
		{"away", O_RDWR | O_CREAT, 0600}, {"a", O_RDWR | O_DIRECTORY, 0}, {"a", O_RDWR | O_NOATIME | O_APPEND, 0}, {"a", O_PATH | O_CREAT, 0}, {"up/..", O_RDONLY, 0},
	};
	printf("opening\n");
	CALL(symlink, "target", "to");
	CALL(symlink, "loop", "loop");
	CALL(symlink, "nowhere/x", "away");
	CALL(symlink, "to", "a/none");
	CALL(symlink, "x", "to");
	CALL(symlink, "", "empty");
	for (int i = 0; i < sizeof opens / sizeof *opens; i++) {
		long fd = raw(SYS_open, ARG(opens[i].path), opens[i].flags, opens[i].mode, 0, 0, 0);
		printf("open(%s, %#o, %o) = %s", opens[i].path, opens[i].flags, opens[i].mode, fd < 0 ? outcome(fd) : "ok");
		if (fd >= 0) {
			printf(" flags %#lx\n", raw(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0));
			show_fd(fd);
			close(fd);
		} else {
			printf("\n");
		}
	}
	memset(buf, 'n', 300);
	buf[256] = 0;
	CALL(open, buf, O_CREAT | O_RDWR, 0600);
	buf[255] = 0;
	CALL(mkdir, buf, 0700);
	CALL(rmdir, buf);
	list(".");
	int fd = open("d", O_RDWR);
	CALL(fchmod, fd, 0640);
	show_stat("d");
	CALL(write, fd, "0123456789", 10);
	close(fd);
	fd = open("d", O_WRONLY | O_APPEND);
	CALL(write, fd, "end", 3);
	CALL(pwrite64, fd, "X", 1, 2);
	CALL(read, fd, buf, 3);
	show_fd(fd);
	close(fd);
	fd = open("d", O_RDONLY);
	memset(buf, 0, 64);
	CALL(read, fd, buf, 64);
	printf("  %s\n", buf);
	CALL(write, fd, "x", 1);
	CALL(ftruncate, fd, 3);
	CALL(fallocate, fd, 0, 0, 10);
	CALL(fsync, fd);
	CALL(fdatasync, fd);
	CALL(sync, 0);
	close(fd);
	close(open("d", O_WRONLY | O_TRUNC));
	show_stat("d");
}

static void names(void)
{
	struct stat s, s2;
	printf("names\n");
	CALL(mkdir, "dir", 0755);
	CALL(mkdir, "dir", 0755);
	CALL(mkdir, "dir/sub/", 01777);
	CALL(mkdir, "a", 0755);
	CALL(mkdir, "a/x", 0755);
	CALL(mkdir, ".", 0755);
	CALL(mkdir, "..", 0755);
	CALL(mkdir, "/", 0755);
	CALL(mkdir, "", 0755);
	CALL(mkdir, "none/x", 0755);
	CALL(mkdir, 8, 0755);
	CALL(mkdir, "to", 0755);
	list("dir");
	CALL(rmdir, "dir");
	CALL(rmdir, "dir/.");
	CALL(rmdir, "dir/sub/..");
	CALL(rmdir, "a");
	CALL(rmdir, "a/");
	CALL(rmdir, "none");
	CALL(rmdir, "/");
	CALL(unlink, "dir");
	CALL(unlink, "dir/");
	CALL(unlink, "a/");
	CALL(unlink, "none");
	CALL(unlink, "none/");
	CALL(unlink, ".");
	CALL(unlinkat, AT_FDCWD, "dir/sub", 1);
	CALL(unlinkat, AT_FDCWD, "dir/sub", AT_REMOVEDIR);
	CALL(unlinkat, AT_FDCWD, "a", AT_REMOVEDIR);
	printf("links\n");
	CALL(link, "a", "dir/hard");
	CALL(link, "a", "b");
	CALL(link, "dir", "dir2");
	CALL(link, "none", "x");
	CALL(link, "a", "x/");
	CALL(link, "a", "none/x");
	CALL(link, "loop", "dir/link");
	CALL(linkat, AT_FDCWD, "to", AT_FDCWD, "dir/followed", AT_SYMLINK_FOLLOW);
	CALL(linkat, AT_FDCWD, "a", AT_FDCWD, "x", 0x8000);
	stat("a", &s), stat("dir/hard", &s2);
	printf("  same %d\n", s.st_ino == s2.st_ino && s.st_dev == s2.st_dev);
	list("dir");
	show_stat("a");
	show_stat("dir/link");
	int fd = open(".", O_TMPFILE | O_RDWR, 0640), excl = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
	CALL(write, fd, "temporary", 9);
	show_fd(fd);
	sprintf(buf, "/proc/self/fd/%d", fd);
	CALL(linkat, AT_FDCWD, buf, AT_FDCWD, "dir/tmp", AT_SYMLINK_FOLLOW);
	sprintf(buf, "/proc/self/fd/%d", excl);
	CALL(linkat, AT_FDCWD, buf, AT_FDCWD, "dir/excl", AT_SYMLINK_FOLLOW);
	show_fd(fd);
	close(fd), close(excl);
	show_stat("dir/tmp");
	fd = open("dir/tmp", O_RDWR);
	CALL(unlink, "dir/tmp");
	show_fd(fd);
	CALL(write, fd, "more", 4);
	printf("  sum %lx\n", sum(fd));
	sprintf(buf, "/proc/self/fd/%d", fd);
	CALL(linkat, AT_FDCWD, buf, AT_FDCWD, "dir/again", AT_SYMLINK_FOLLOW);
	int again = open(buf, O_RDWR);
	printf("  again %d\n", again >= 0);
	show_fd(again);
	close(fd), close(again);
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	CALL(mkdirat, fd, "inner", 0711);
	CALL(symlinkat, "text", fd, "sym");
	CALL(readlinkat, fd, "sym", buf, 100);
	CALL(renameat, fd, "sym", AT_FDCWD, "moved");
	CALL(unlinkat, fd, "inner", AT_REMOVEDIR);
	CALL(mkdirat, 99, "inner", 0711);
	CALL(rename, "dir", "dirB");
	CALL(mkdirat, fd, "inner", 0711);
	list("dirB");
	CALL(rename, "dirB", "dir");
	close(fd);
	CALL(mkdir, "gone", 0700);
	fd = open("gone", O_RDONLY);
	CALL(rmdir, "gone");
	CALL(mkdirat, fd, "x", 0700);
	CALL(openat, fd, "x", O_CREAT | O_RDWR, 0600);
	CALL(getdents64, fd, buf, 1000);
	show_fd(fd);
	close(fd);
	list(".");
}

static void renames(void)
{
	static const struct { const char *from, *to; int flags; } moves[] = {
		{"r/f", "r/g", 0}, {"r/g", "r/g", 0}, {"r/g", "r/h", 0}, {"r/none", "r/x", 0}, {"r/none", "r/none", 0}, {"r/h", "r/h", 0}, {"r/h", "r/d", 0}, {"r/d", "r/h", 0},
		{"r/d", "r/d/x", 0}, {"r/d/e", "r/d", 0}, {"r/d", "r/e", 0}, {"r/e", "r/full", 0}, {"r/e/", "r/empty/", 0}, {"r/h", "r/new/", 0}, {"r/h/", "r/new", 0},
		{"r/.", "r/x", 0}, {"r/full", "r/..", 0}, {"r/full", "/", 0}, {"r/full", "none/x", 0}, {"r/h", "r/k", 1}, {"r/h", "r/new", 1}, {"r/new", "r/full", 2},
		{"r/new", "r/none", 2}, {"r/full", "r/new/in", 2}, {"r/new", "r/full", 3}, {"r/new", "r/full", 8}, {"r/l1", "r/l2", 0}, {"r/full", "r/..", 1},
		{"r/new", "r/empty/deep", 0}, {"r/empty/deep", "r/top", 2}, {"r/sym", "r/sym2", 0},
	};
	printf("renames\n");
	mkdir("r", 0755), mkdir("r/d", 0755), mkdir("r/d/e", 0755), mkdir("r/full", 0755), mkdir("r/empty", 0755), symlink("h", "r/sym");
	close(creat("r/f", 0644)), close(creat("r/h", 0600)), close(creat("r/full/x", 0644)), close(creat("r/k", 0644)), close(creat("r/l1", 0644)), link("r/l1", "r/l2");
	for (int i = 0; i < sizeof moves / sizeof *moves; i++) {
		printf("rename(%s, %s, %d) = %s\n", moves[i].from, moves[i].to, moves[i].flags,
		       outcome(raw(SYS_renameat2, AT_FDCWD, ARG(moves[i].from), AT_FDCWD, ARG(moves[i].to), moves[i].flags, 0)));
	}
	list("r"), list("r/empty"), list("r/full"), list("r/new"), list("r/d"), list("r/e");
}

static void lengths(void)
{
	printf("lengths\n");
	int fd = open("len", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CALL(pwrite64, fd, "end", 3, 100000);
	show_fd(fd);
	for (long off = -1; off < 110000; off += 12345) {
		long d = lseek(fd, off, SEEK_DATA), h = lseek(fd, off, SEEK_HOLE);
		printf("  %ld data %ld hole %ld\n", off, d, h);
	}
	CALL(lseek, fd, 0, SEEK_END);
	CALL(lseek, fd, -1, SEEK_SET);
	CALL(lseek, fd, 0, SEEK_SET);
	CALL(ftruncate, fd, 200001);
	show_fd(fd);
	CALL(ftruncate, fd, 100001);
	CALL(ftruncate, fd, 100010);
	printf("  sum %lx\n", sum(fd));
	show_fd(fd);
	CALL(ftruncate, fd, -1);
	CALL(truncate, "len", 5000);
	CALL(truncate, "len", -5);
	CALL(truncate, "r", 5);
	CALL(truncate, "none", 5);
	CALL(truncate, "r/sym2", 5);
	CALL(truncate, "/dev/null", 5);
	show_fd(fd);
	CALL(fallocate, fd, 0, 0, 20000);
	show_fd(fd);
	CALL(fallocate, fd, FALLOC_FL_KEEP_SIZE, 20000, 20000);
	show_fd(fd);
	memset(buf, 7, 40000);
	CALL(pwrite64, fd, buf, 40000, 0);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, 10);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 10);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 10000);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4095, 2);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 39000, 100000);
	printf("  sum %lx\n", sum(fd));
	show_fd(fd);
	printf("  data %ld hole %ld\n", lseek(fd, 9000, SEEK_DATA), lseek(fd, 0, SEEK_HOLE));
	CALL(fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096);
	CALL(fallocate, fd, FALLOC_FL_INSERT_RANGE, 0, 4096);
	CALL(fallocate, fd, 0x100, 0, 4096);
	CALL(fallocate, fd, 0, 0, 0);
	CALL(fallocate, fd, 0, -1, 4096);
	CALL(fallocate, fd, 0, 0x7fffffffffffffff, 4096);
	CALL(pwrite64, fd, "x", 1, 0x7fffffffffffffff);
	CALL(pread64, fd, buf, 10, 0x7ffffffffffffff0);
	close(fd);
}

static volatile int caught;
static char *mapped;

// on_fault notes the fault and gives the page something to be read.
static void on_fault(int sig, siginfo_t *info, void *context)
{
	caught = sig * 100 + info->si_code;
	mmap((void *)((unsigned long)info->si_addr & ~4095UL), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void touch(const char *what, volatile char *at, int value)
{
	caught = 0;
	int was = *at;
	if (value >= 0)
		*at = value;
	printf("  %s: was %d, signal %d\n", what, was, caught);
}

static void mappings(void)
{
	printf("mappings\n");
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &act, 0), sigaction(SIGSEGV, &act, 0);
	int fd = open("map", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CALL(ftruncate, fd, 3 * PAGE + 100);
	char *shared = mmap((void *)PLACE, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	char *private = mmap((void *)PLACE + (1 << 20), 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	touch("shared", shared + 10, 1);
	touch("private sees", private + 10, -1);
	touch("private writes", private + 10, 2);
	touch("shared still", shared + 10, -1);
	CALL(pwrite64, fd, "\5\6\7", 3, PAGE + 1);
	touch("shared sees write", shared + PAGE + 2, 9);
	touch("private sees write", private + PAGE + 2, -1);
	CALL(pread64, fd, buf, 3, PAGE + 1);
	printf("  read %d %d %d\n", buf[0], buf[1], buf[2]);
	touch("behind the end", shared + 3 * PAGE + 200, 3);
	touch("private page 2", private + 2 * PAGE, 4);
	touch("page 4", shared + 4 * PAGE, -1);
	show_fd(fd);
	if (fork() == 0) {
		shared[20] = 42, private[20] = 43;
		_exit(0);
	}
	wait(0);
	printf("  after the child %d %d\n", shared[20], private[20]);
	CALL(ftruncate, fd, PAGE + 3);
	touch("cut off, shared", shared + 2 * PAGE, -1);
	touch("cut off, private copy", private + 2 * PAGE, -1);
	touch("kept", shared + PAGE + 2, -1);
	touch("zeroed", shared + PAGE + 3, -1);
	CALL(ftruncate, fd, 3 * PAGE);
	touch("grown, shared", shared + 3 * PAGE - PAGE + 1, -1);
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
	touch("punched, shared", shared + 10, -1);
	touch("punched, private copy", private + 10, -1);
	shared[30] = 30;
	CALL(madvise, shared, PAGE, MADV_REMOVE);
	touch("removed", shared + 30, -1);
	CALL(msync, shared, PAGE, MS_SYNC);
	show_maps_in("mapped", PLACE, PLACE + (2 << 20));
	CALL(unlink, "map");
	show_maps_in("unlinked", PLACE, PLACE + (2 << 20));
	close(fd);
	touch("without a name", shared + PAGE + 2, -1);
	fd = open("ro", O_RDONLY | O_CREAT, 0644);
	CALL(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mapped = mmap((void *)PLACE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	CALL(mprotect, mapped, PAGE, PROT_READ | PROT_WRITE);
	CALL(mmap, 0, PAGE, PROT_READ, MAP_SHARED, open(".", O_RDONLY), 0);
	munmap((void *)PLACE, 2 << 20);
}

static void show_times(const char *path)
{
	struct stat s;
	lstat(path, &s);
	printf("  %s: atime %ld.%09ld mtime %ld.%09ld\n", path, s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

static void attributes(void)
{
	struct timespec t[2] = {{1000, 5}, {2000, 6}}, omit[2] = {{1, UTIME_OMIT}, {3000, 7}}, both[2] = {{1, UTIME_OMIT}, {3, UTIME_OMIT}}, bad[2] = {{1, 1000000000}, {1, 1}};
	printf("attributes\n");
	int fd = open("attr", O_RDWR | O_CREAT, 0644), path = open("attr", O_PATH);
	symlink("attr", "attr.link");
	CALL(utimensat, AT_FDCWD, "attr", t, 0);
	show_times("attr");
	CALL(utimensat, AT_FDCWD, "attr", omit, 0);
	show_times("attr");
	CALL(utimensat, AT_FDCWD, "none", both, 0);
	CALL(utimensat, AT_FDCWD, "attr", bad, 0);
	CALL(utimensat, AT_FDCWD, "none", t, 0);
	CALL(utimensat, AT_FDCWD, "attr.link", t, AT_SYMLINK_NOFOLLOW);
	show_times("attr.link");
	CALL(utimensat, AT_FDCWD, "attr", t, 0x8000);
	CALL(utimensat, fd, 0, t, 0);
	CALL(utimensat, fd, 0, t, AT_SYMLINK_NOFOLLOW);
	CALL(utimensat, 99, 0, t, 0);
	CALL(utimensat, AT_FDCWD, 0, t, 0);
	CALL(utimensat, path, "", t, AT_EMPTY_PATH);
	CALL(utimensat, AT_FDCWD, "attr", 8, 0);
	show_times("attr");
	struct stat before, after;
	fstat(fd, &before);
	CALL(write, fd, "x", 1);
	fstat(fd, &after);
	printf("  mtime moved %d ctime moved %d atime kept %d\n", after.st_mtim.tv_sec > 2000, after.st_ctim.tv_sec >= before.st_ctim.tv_sec, after.st_atim.tv_sec == 1000);
	CALL(chmod, "attr", 07777);
	CALL(chmod, "attr.link", 0640);
	CALL(chmod, "none", 0640);
	CALL(fchmod, path, 0600);
	CALL(fchmod, 99, 0600);
	show_stat("attr");
	CALL(chmod, "attr", 06755);
	CALL(chown, "attr", -1, -1);
	show_stat("attr");
	CALL(chown, "attr", 1234, 4321);
	CALL(lchown, "attr.link", 5, 6);
	CALL(fchown, fd, -1, 77);
	CALL(fchownat, path, "", 78, -1, AT_EMPTY_PATH);
	CALL(fchownat, path, "", 78, -1, 0);
	CALL(fchownat, AT_FDCWD, "attr", 78, -1, 0x8000);
	show_stat("attr");
	show_stat("attr.link");
	CALL(mkdir, "setgid", 0755);
	CALL(chown, "setgid", -1, 99);
	CALL(chmod, "setgid", 02755);
	CALL(mkdir, "setgid/d", 0700);
	close(creat("setgid/f", 0600));
	show_stat("setgid/d");
	show_stat("setgid/f");
	umask(077);
	CALL(mkdir, "masked", 0777);
	close(creat("masked/f", 0666));
	show_stat("masked");
	show_stat("masked/f");
	umask(022);
	close(fd);
}

// others does what another user may not.
static void others(void)
{
	struct timespec t[2] = {{1000, 5}, {2000, 6}};
	printf("others\n");
	mkdir("sticky", 0777), chmod("sticky", 01777), close(creat("sticky/mine", 0666)), chmod("sticky/mine", 0666), chmod("masked/f", 0666);
	mkdir("open", 0777), chmod("open", 0777), close(creat("open/mine", 0600)), chmod(".", 0755), symlink("mine", "open/link");
	fflush(stdout);
	if (fork() == 0) {
		CALL(setgid, 1001);
		CALL(setuid, 1000);
		CALL(unlink, "a");
		CALL(mkdir, "theirs", 0755);
		CALL(open, "masked/f", O_RDWR);
		CALL(stat, "masked/f", buf);
		CALL(open, "sticky/mine", O_RDONLY | O_NOATIME);
		CALL(unlink, "sticky/mine");
		CALL(rename, "sticky/mine", "open/x");
		CALL(chmod, "sticky/mine", 0600);
		CALL(chown, "sticky/mine", 1000, -1);
		CALL(utimensat, AT_FDCWD, "sticky/mine", t, 0);
		CALL(utimensat, AT_FDCWD, "sticky/mine", 0, 0);
		CALL(utimensat, AT_FDCWD, "open/mine", 0, 0);
		CALL(open, "open/mine", O_RDONLY);
		CALL(truncate, "open/mine", 5);
		CALL(access, "open/mine", R_OK);
		CALL(access, "sticky/mine", R_OK | W_OK);
		CALL(access, "sticky/mine", X_OK);
		CALL(unlink, "open/mine");
		CALL(mkdir, "open/theirs", 0755);
		close(creat("open/file", 0200));
		CALL(open, "open/file", O_RDONLY);
		CALL(chown, "open/file", -1, 1001);
		CALL(chown, "open/file", -1, 1002);
		CALL(chown, "open/file", 1000, -1);
		CALL(chmod, "open/file", 0400);
		CALL(rename, "open/theirs", "sticky/theirs");
		show_stat("open/file");
		show_stat("sticky/theirs");
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	list("open"), list("sticky");
}

int main(void)
{
	struct statfs sf;
	setvbuf(stdout, 0, _IOFBF, 1 << 20);
	statfs(".", &sf);
	printf("statfs %lx %ld %ld\n", (long)sf.f_type, (long)sf.f_bsize, (long)sf.f_namelen);
	list(".");
	opening();
	names();
	renames();
	lengths();
	mappings();
	attributes();
	others();
	list(".");
	return 0;
}

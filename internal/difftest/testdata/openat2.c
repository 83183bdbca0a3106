// openat2's ways of keeping a path inside, chroot, and directories that move or go
// while they are in use, in a directory that the test has filled.
#include "guest.h"
#include <linux/openat2.h>

static long open2(int dir, const char *path, unsigned long flags, unsigned long resolve)
{
	struct open_how how = {.flags = flags, .resolve = resolve};
	long fd = raw(SYS_openat2, dir, ARG(path), ARG(&how), sizeof how, 0, 0);
	if (fd >= 0) {
		struct stat s;
		fstat(fd, &s);
		close(fd);
		printf("  %s %#lx %#lx: mode %o\n", path, flags, resolve, s.st_mode);
	} else
		printf("  %s %#lx %#lx: %s\n", path, flags, resolve, outcome(fd));
	return fd;
}

static const char *paths[] = {"a", "link", "..", "../hard", "deep/..", "deep/../..", "deep/../../hard", "/", "/a", "abs", "out", "deep/er/../../a", "deep/er/d",
	"up", "/proc/self/cwd", "/proc/self/fd/0", "magic", "/..", "/../a", "dangling", ".", "./a", "a/", "none", "//a", "/proc", "selfroot"};

static void where(const char *what)
{
	char buf[4096] = "", link[4096] = "";
	long r = raw(SYS_getcwd, ARG(buf), sizeof buf, 0, 0, 0, 0);
	printf("%s: %s\n", what, r < 0 ? outcome(r) : strrchr(buf, '/'));
	r = readlink("/proc/self/cwd", link, sizeof link - 1);
	printf("  shown %s\n", r < 0 ? "no" : strrchr(link, '/'));
}

int main(void)
{
	symlink("/etc/passwd", "src/abs");
	symlink("../hard", "src/out");
	symlink("..", "src/up");
	symlink("/proc/self/fd/0", "src/magic");
	symlink("deep/none", "src/dangling");
	symlink("/proc/self/root", "src/selfroot");
	int dir = open("src", O_RDONLY | O_DIRECTORY);
	static const unsigned long modes[] = {0, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS};
	for (int m = 0; m < 5; m++)
		for (int i = 0; i < sizeof paths / sizeof *paths; i++)
			open2(dir, paths[i], O_PATH, modes[m]);
	open2(dir, "a", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	open2(dir, "a", O_PATH | O_RDWR, 0);
	open2(dir, "a", O_RDONLY | 1UL << 40, 0);
	open2(dir, "a", O_RDONLY, 1UL << 20);
	open2(dir, "a", O_RDONLY | O_CREAT, RESOLVE_CACHED);
	open2(dir, "/proc/self", O_PATH, RESOLVE_NO_XDEV);
	struct open_how how = {.flags = O_RDONLY, .mode = 0644};
	CALL(openat2, dir, "a", &how, sizeof how);
	how.flags |= O_CREAT;
	how.mode = 01000644 << 3;
	CALL(openat2, dir, "a", &how, sizeof how);
	CALL(openat2, dir, "a", &how, 16);
	CALL(openat2, dir, "a", &how, 5000);
	CALL(openat2, dir, "a", 8, sizeof how);
	struct { struct open_how how; long more; } big = {{.flags = O_PATH}, 1};
	CALL(openat2, dir, "a", &big, sizeof big);

	printf("directories that move\n");
	chdir("src/deep/er");
	where("before");
	rename("../../../src", "../../../moved");
	where("moved");
	printf("%ld\n", raw(SYS_access, ARG("../c"), F_OK, 0, 0, 0, 0));
	rename("../er", "../../../else");
	where("alone");
	CALL(access, "../hard", F_OK);
	CALL(access, "../c", F_OK);
	unlink("d");
	rmdir("../else");
	where("gone");
	CALL(access, ".", F_OK);
	CALL(access, "..", F_OK);
	CALL(access, "x", F_OK);
	CALL(mkdir, "x", 0755);
	CALL(open, "x", O_CREAT | O_RDWR, 0644);
	CALL(open, ".", O_RDONLY);
	CALL(chdir, ".");
	CALL(chdir, "..");
	where("up");
	CALL(fchdir, dir);
	where("by descriptor");
	CALL(fchdir, 0);

	printf("chroot\n");
	CALL(chroot, "none");
	CALL(chroot, "a");
	CALL(chroot, "deep");
	where("outside");
	CALL(access, "a", F_OK);
	CALL(access, "/c", F_OK);
	CALL(access, "/../c", F_OK);
	CALL(access, "/../../a", F_OK);
	chdir("/");
	char buf[100];
	printf("%ld %s\n", (long)raw(SYS_getcwd, ARG(buf), 100, 0, 0, 0, 0), buf);
	CALL(access, "../../../c", F_OK);
	CALL(access, "../a", F_OK);
	CALL(openat, dir, "../hard", O_RDONLY);
	setresuid(1000, 1000, 1000);
	CALL(chroot, "/");
	CALL(chroot, "/none");
	return 0;
}

// Extended attributes, in an empty directory of the guest's own.
#include "guest.h"
#include <sys/xattr.h>

static char big[70000], buf[70000], name[400];

static void list(const char *path)
{
	long n = raw(SYS_llistxattr, ARG(path), ARG(buf), sizeof buf, 0, 0, 0);
	printf("  %s: %s", path, outcome(n));
	for (long i = 0; i < n; i += strlen(buf + i) + 1)
		printf(" %.20s", buf + i);
	puts("");
}

static void names(void)
{
	const char *all[] = {"", "user", "user.", "user.ok", "trusted", "trusted.", "trusted.ok", "security", "security.", "security.ok", "security.capability", "foo", "foo.x", "system.foo", ".", "user.a.b"};
	const char *paths[] = {"file", "dir", "link", "none", "/dev/null", "/proc/self/maps"};
	for (unsigned p = 0; p < sizeof paths / sizeof *paths; p++) {
		const char *path = paths[p];
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
			if (p >= 4 && strncmp(all[i], "user", 4))
				continue; // the host's devtmpfs and security modules keep some
			printf("%s %s:\n", path, all[i]);
			CALL(lgetxattr, path, all[i], buf, 10);
			CALL(lsetxattr, path, all[i], "abc", 3, 0);
			CALL(lgetxattr, path, all[i], buf, 10);
			CALL(lgetxattr, path, all[i], buf, 2);
			CALL(lgetxattr, path, all[i], 0, 0);
			CALL(lremovexattr, path, all[i]);
			CALL(lremovexattr, path, all[i]);
		}
		if (p < 4)
			list(path);
	}
}

static void values(void)
{
	CALL(setxattr, "file", "user.a", "1", 1, 0);
	CALL(setxattr, "file", "user.a", "22", 2, XATTR_CREATE);
	CALL(setxattr, "file", "user.a", "22", 2, XATTR_REPLACE);
	CALL(setxattr, "file", "user.b", "1", 1, XATTR_REPLACE);
	CALL(setxattr, "file", "user.b", "1", 1, XATTR_CREATE | XATTR_REPLACE);
	CALL(setxattr, "file", "user.b", "1", 1, 4);
	CALL(setxattr, "none", "user.b", "1", 1, 4);
	CALL(getxattr, "file", "user.a", buf, sizeof buf);
	printf("%.2s\n", buf);
	CALL(setxattr, "file", "user.empty", 0, 0, 0);
	CALL(setxattr, "file", "user.empty", 0, 1, 0);
	CALL(getxattr, "file", "user.empty", buf, 5);
	memset(name, 'x', sizeof name);
	memcpy(name, "user.", 5);
	name[255] = 0;
	CALL(setxattr, "file", name, "1", 1, 0);
	name[255] = 'x', name[256] = 0;
	CALL(setxattr, "file", name, "1", 1, 0);
	CALL(getxattr, "none", name, buf, 1);
	CALL(removexattr, "none", name);
	CALL(setxattr, "file", "user.big", big, 65536, 0);
	CALL(setxattr, "file", "user.big", big, 65537, 0);
	CALL(getxattr, "file", "user.big", buf, 65535);
	CALL(getxattr, "file", "user.big", buf, sizeof buf);
	CALL(setxattr, "file", 8, "1", 1, 0);
	CALL(setxattr, "file", "user.q", 8, 1, 0);
	CALL(setxattr, 8, "user.q", "1", 1, 0);
	CALL(getxattr, "file", "user.a", 8, 10);
	CALL(listxattr, "file", 8, 1000);
	CALL(listxattr, "file", buf, 1);
	CALL(listxattr, "file", 0, 0);
	list("file");
	for (int i = 0; i < 400; i++) {
		sprintf(name, "user.%0200d", i);
		if (setxattr("file", name, "1", 1, 0))
			printf("%d: %s\n", i, strerrorname_np(errno));
	}
	CALL(listxattr, "file", buf, sizeof buf);
	CALL(listxattr, "file", buf, 65535);
	CALL(listxattr, "file", 0, 0);
}

static void descriptors(void)
{
	int r = open("dir/other", O_RDONLY | O_CREAT, 0600), p = open("dir/other", O_PATH), d = open("dir", O_RDONLY), fds[2];
	struct stat before, after;
	if (pipe(fds))
		exit(1);
	fstat(r, &before);
	CALL(fsetxattr, r, "user.r", "1", 1, 0);
	fstat(r, &after);
	printf("mtime %d\n", memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim));
	CALL(fsetxattr, p, "user.r", "1", 1, 0);
	CALL(fgetxattr, p, "user.r", buf, 5);
	CALL(fgetxattr, r, "user.r", buf, 5);
	CALL(flistxattr, r, buf, 100);
	CALL(fremovexattr, r, "user.r");
	CALL(fsetxattr, d, "user.d", "1", 1, 0);
	CALL(fsetxattr, 99, "user.d", "1", 1, 0);
	CALL(fsetxattr, 99, "", "1", 1, 0);
	CALL(fsetxattr, fds[0], "user.p", "1", 1, 0);
	CALL(fgetxattr, fds[0], "user.p", buf, 1);
	CALL(flistxattr, fds[0], buf, 1);
	CALL(fsetxattr, r, "user.kept", "1", 1, 0);
	unlink("dir/other");
	CALL(fgetxattr, r, "user.kept", buf, 1);
	close(r), close(p), close(d), close(fds[0]), close(fds[1]);
}

static void others(void)
{
	CALL(setxattr, "file", "trusted.t", "1", 1, 0);
	CALL(setxattr, "file", "security.s", "1", 1, 0);
	chmod("file", 0600), chmod("dir", 01777);
	fflush(stdout);
	if (fork() == 0) {
		if (setresuid(1000, 1000, 1000))
			_exit(1);
		CALL(setxattr, "file", "user.z", "1", 1, 0);
		CALL(getxattr, "file", "user.a", buf, 10);
		CALL(getxattr, "file", "trusted.t", buf, 10);
		CALL(setxattr, "file", "trusted.t", "1", 1, 0);
		CALL(getxattr, "file", "security.s", buf, 10);
		CALL(setxattr, "file", "security.s", "1", 1, 0);
		CALL(removexattr, "file", "security.s");
		CALL(setxattr, "dir", "user.z", "1", 1, 0);
		CALL(getxattr, "dir", "user.z", buf, 10);
		CALL(listxattr, "file", 0, 0);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int main(void)
{
	close(open("file", O_RDWR | O_CREAT, 0644));
	mkdir("dir", 0755);
	if (symlink("file", "link"))
		return 1;
	names();
	values();
	descriptors();
	others();
	unlink("link"), unlink("file"), rmdir("dir");
	return 0;
}

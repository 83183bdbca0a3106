// What is mounted where, as /proc and statx tell; calls that mount; attributes with a
// directory. The guest has an empty directory of its own.
#include "guest.h"
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define STATX_MNT_ID_ 0x1000
#define STATX_DIOALIGN_ 0x2000
#define ATTR_MOUNT_ROOT 0x2000

// by_id checks that path's mount is in mountinfo as statx and stat tell.
static void mounted(const char *path)
{
	struct statx x;
	struct stat s;
	int id, parent, major_, minor_, found = 0;
	char root[4096], at[4096];
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID_, &x) || lstat(path, &s)) {
		printf("%s: no statx\n", path);
		return;
	}
	for (char *l = strtok(slurp("/proc/self/mountinfo"), "\n"); l; l = strtok(NULL, "\n")) {
		if (sscanf(l, "%d %d %d:%d %4095s %4095s", &id, &parent, &major_, &minor_, root, at) != 6 || id != (int)x.stx_mnt_id)
			continue;
		found++;
		if (strcmp(path, "."))
			printf("%s is in %s\n", path, at);
		printf("device %s, root %s, dash %d\n", makedev(major_, minor_) == s.st_dev ? "of st_dev" : "differs", root[0] == '/' ? "ok" : root, strstr(l, " - ") != NULL);
	}
	printf("%s: told %s, found %d times, mount root %s\n", path, x.stx_mask & STATX_MNT_ID_ ? "yes" : "no", found,
	       x.stx_attributes_mask & ATTR_MOUNT_ROOT ? x.stx_attributes & ATTR_MOUNT_ROOT ? "yes" : "no" : "unknown");
}

static void tables(void)
{
	int lines[2] = {0, 0}, bad = 0;
	mounted("/proc");
	mounted("/proc/self/maps");
	mounted("/");
	char link[64];
	long n = readlink("/proc/mounts", link, 64);
	printf("/proc/mounts -> %.*s\n", (int)n, link);
	for (char *l = strtok(slurp("/proc/mounts"), "\n"); l; l = strtok(NULL, "\n"), lines[0]++) {
		char what[4096], at[4096], kind[64], how[4096];
		int a, b;
		bad += sscanf(l, "%4095s %4095s %63s %4095s %d %d", what, at, kind, how, &a, &b) != 6 || at[0] != '/' || (strncmp(how, "rw", 2) && strncmp(how, "ro", 2));
		if (!strcmp(at, "/proc"))
			printf("%s %s %s\n", what, at, kind);
	}
	for (char *l = strtok(slurp("/proc/self/mountinfo"), "\n"); l; l = strtok(NULL, "\n"))
		lines[1]++;
	printf("%s lines, %d of them odd\n", lines[0] == lines[1] ? "as many" : "other", bad);
	lines[0] = 0;
	for (char *l = strtok(slurp("/proc/self/mountstats"), "\n"); l; l = strtok(NULL, "\n"))
		if (!strncmp(l, "device ", 7))
			lines[0]++;
	printf("%s lines of mountstats\n", lines[0] == lines[1] ? "as many" : "other");
	static const char *kinds[] = {"nodev\tproc\n", "nodev\ttmpfs\n", "nodev\tpipefs\n"};
	for (int i = 0; i < 3; i++)
		printf("%.*s %s\n", (int)strlen(kinds[i]) - 1, kinds[i], strstr(slurp("/proc/filesystems"), kinds[i]) ? "known" : "not known");
}

static void births(void)
{
	struct statx x;
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	CALL(statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &x);
	printf("birth %s, %s\n", x.stx_mask & STATX_BTIME ? "told" : "not told", x.stx_btime.tv_sec == x.stx_ctime.tv_sec ? "with the file" : "else");
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	futimens(fd, old);
	long born = x.stx_btime.tv_sec;
	statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &x);
	printf("birth %s, modified %ld\n", x.stx_btime.tv_sec == born ? "stays" : "moves", (long)x.stx_mtime.tv_sec);
	statx(AT_FDCWD, "/proc/self/maps", 0, STATX_BASIC_STATS | STATX_BTIME, &x);
	printf("of /proc %s\n", x.stx_mask & STATX_BTIME ? "told" : "not told");
	int p[2];
	pipe(p);
	statx(p[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &x);
	printf("of a pipe %s\n", x.stx_mask & STATX_BTIME ? "told" : "not told");
	close(p[0]);
	close(p[1]);
	close(fd);
}

static void refused(void)
{
	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	if (setuid(1000))
		_exit(1);
	CALL(mount, "none", "/tmp", "tmpfs", 0, 0);
	CALL(mount, "none", "/none", "tmpfs", 0, 0);
	CALL(mount, "none", 8, "tmpfs", 0, 0);
	CALL(mount, "none", "/tmp", 8, 0, 0);
	CALL(umount2, "/proc", 0);
	CALL(umount2, "/none", 0);
	CALL(umount2, "/proc", 0x100);
	CALL(umount2, 8, 0);
	CALL(pivot_root, "/", "/");
	CALL(fsopen, "tmpfs", 0);
	CALL(fsopen, 8, 0);
	CALL(fsconfig, -1, 0, 0, 0, 0);
	CALL(fsmount, -1, 0, 0);
	CALL(fspick, AT_FDCWD, "/", 0);
	CALL(open_tree, AT_FDCWD, "/", 1);
	CALL(open_tree, AT_FDCWD, "/", 0x100000);
	CALL(move_mount, AT_FDCWD, "/", AT_FDCWD, "/", 0);
	CALL(mount_setattr, AT_FDCWD, "/", 0, "12345678901234567890123456789012", 32);
	fflush(stdout);
	_exit(0);
}

int main(void)
{
	tables();
	births();
	refused();
}

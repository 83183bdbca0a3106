// Directories as old programs read them, file handles, what is in the page cache, and
// ioctls that every file has. The guest has an empty directory of its own.
#include "guest.h"
#include <sys/ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

static char buf[1 << 16];

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// list prints what old getdents tells of the directory, sorted by name.
static void list(const char *name, int room)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY), count = 0, calls = 0;
	static char *all[100];
	long n;
	while ((n = NR(getdents, fd, buf, room)) > 0) {
		calls++;
		for (long at = 0; at < n;) {
			struct old { unsigned long ino, off; unsigned short len; char name[]; } *e = (void *)(buf + at);
			char *line = malloc(300);
			snprintf(line, 300, "%s type %d, %d bytes%s", e->name, buf[at + e->len - 1], e->len, e->ino && e->off ? "" : " ?");
			all[count++] = line;
			at += e->len;
		}
	}
	printf("%s: %d entries%s, then %s\n", name, count, calls > 1 ? " in several calls" : "", outcome(n));
	qsort(all, count, sizeof *all, by_name);
	for (int i = 0; i < count; i++)
		printf("  %s\n", all[i]);
	close(fd);
}

static void dirs(void)
{
	mkdir("dir", 0700);
	close(open("dir/file", O_CREAT | O_WRONLY, 0600));
	close(open("dir/a-longer-name-of-a-file", O_CREAT | O_WRONLY, 0600));
	mkdir("dir/sub", 0700);
	symlink("file", "dir/link");
	list("dir", sizeof buf);
	list("dir", 60);
	int fd = open("dir", O_RDONLY), f = open("dir/file", O_RDWR), path = open("dir", O_PATH);
	CALL(getdents, fd, buf, 10);
	CALL(getdents, fd, buf, 0);
	CALL(getdents, fd, 8, 1000);
	CALL(getdents64, fd, 8, 1000);
	// Memory that ends early: what did not fit comes next.
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(edge + PAGE, PAGE);
	long first = NR(getdents64, fd, edge + PAGE - 60, 1000), second = NR(getdents64, fd, buf, 1000);
	printf("%s of all\n", first + second == 24 * 5 + 48 ? "all" : "some");
	CALL(getdents, f, buf, 1000);
	CALL(getdents, path, buf, 1000);
	CALL(getdents, -1, buf, 1000);
	close(fd);
	close(f);
	close(path);
}

static void handles(void)
{
	struct { struct file_handle h; char room[128]; } s = {{128}};
	int mount = 0;
	CALL(name_to_handle_at, AT_FDCWD, "/proc/self/maps", &s, &mount, 0);
	CALL(name_to_handle_at, AT_FDCWD, "none", &s, &mount, 0);
	CALL(name_to_handle_at, AT_FDCWD, "", &s, &mount, 0);
	CALL(name_to_handle_at, -1, "x", &s, &mount, 0);
	CALL(name_to_handle_at, AT_FDCWD, "/proc/self/maps", &s, &mount, 0x100000);
	CALL(name_to_handle_at, AT_FDCWD, "/proc/self/maps", 8, &mount, 0);
	s.h.handle_bytes = 129;
	CALL(name_to_handle_at, AT_FDCWD, "/proc/self/maps", &s, &mount, 0);
	int fd = open(".", O_RDONLY), proc = open("/proc/self/maps", O_RDONLY);
	CALL(open_by_handle_at, -1, &s, O_RDONLY);
	s.h.handle_bytes = 0;
	CALL(open_by_handle_at, proc, &s, O_RDONLY);
	CALL(open_by_handle_at, -1, &s, O_RDONLY);
	s.h.handle_bytes = 8;
	s.h.handle_type = 1;
	CALL(open_by_handle_at, proc, &s, O_RDONLY);
	CALL(open_by_handle_at, fd, &s, O_RDONLY);
	CALL(open_by_handle_at, fd, 8, O_RDONLY);
	CALL(open_by_handle_at, AT_FDCWD, &s, O_RDONLY);
	close(fd);
	close(proc);
}

#ifndef SYS_cachestat
#endif

struct range { uint64_t off, len; };
struct stats { uint64_t cache, dirty, writeback, evicted, recently; };

static void stats(int fd, uint64_t off, uint64_t len, const char *what)
{
	struct range r = {off, len};
	struct stats s = {0};
	long n = NR(cachestat, fd, &r, &s, 0);
	printf("cachestat %s [%lu, +%lu) = %s: %lu cached, %lu dirty, %lu written\n", what, off, len, outcome(n), s.cache, s.dirty, s.writeback);
}

static void cache(void)
{
	int fd = open("pages", O_RDWR | O_CREAT | O_TRUNC, 0600), r = open("pages", O_RDONLY), path = open("pages", O_PATH), p[2];
	struct range range = {0, 0};
	struct stats s;
	stats(fd, 0, 0, "an empty file");
	pwrite(fd, "x", 1, 0);
	pwrite(fd, buf, 10000, 100000);
	stats(fd, 0, 0, "a file with a hole");
	stats(r, 0, 4096, "its first page");
	stats(fd, 4096, 4096, "its hole");
	stats(fd, 100000, 1, "a byte");
	stats(fd, 0, 102400, "its beginning");
	stats(fd, 1UL << 40, 4096, "beyond");
	char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m[8192] = 1;
	stats(fd, 0, 0, "written by a mapping");
	ftruncate(fd, 4096);
	stats(fd, 0, 0, "cut short");
	pipe(p);
	stats(p[0], 0, 0, "a pipe");
	stats(path, 0, 0, "a path");
	int dir = open(".", O_RDONLY), null = open("/dev/null", O_RDONLY);
	stats(null, 0, 0, "a device");
	CALL(cachestat, fd, &range, &s, 1);
	CALL(cachestat, -1, &range, &s, 1);
	CALL(cachestat, fd, 8, &s, 0);
	CALL(cachestat, fd, &range, 8, 0);
	for (int i = 0; i < 7; i++)
		close((int[]){fd, r, path, p[0], p[1], dir, null}[i]);
}

static void controls(void)
{
	int fd = open("pages", O_RDWR | O_CREAT | O_TRUNC, 0600), dir = open(".", O_RDONLY), path = open("pages", O_PATH), p[2], n;
	pipe(p);
	write(p[1], "hello", 5);
	pwrite(fd, buf, 1000, 0);
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	int fds[] = {fd, dir, path, p[0], p[1], null, zero};
	const char *names[] = {"file", "directory", "path", "pipe's end", "pipe's start", "null", "zero"};
	struct { unsigned request; const char *name; int prints; } all[] = {
		{FIONREAD, "FIONREAD", 1}, {FIGETBSZ, "FIGETBSZ", 1}, {FIBMAP, "FIBMAP", 0}, {FS_IOC_FIEMAP, "FS_IOC_FIEMAP", 0},
		{FIONBIO, "FIONBIO", 0}, {FIOASYNC, "FIOASYNC", 0}, {FIOQSIZE, "FIOQSIZE", 0}, {FICLONE, "FICLONE", 0},
		{TCGETS, "TCGETS", 0}, {0x12345678, "0x12345678", 0}, {BLKGETSIZE64, "BLKGETSIZE64", 0},
	};
	for (unsigned r = 0; r < sizeof all / sizeof *all; r++)
		for (int i = 0; i < 7; i++) {
			static long room[32];
			memset(room, 0, sizeof room);
			long got = raw(SYS_ioctl, fds[i], all[r].request, ARG(room), 0, 0, 0);
			printf("ioctl %s of a %s = %s", all[r].name, names[i], outcome(got));
			if (all[r].prints && got == 0)
				printf(": %d", *(int *)room);
			printf("\n");
		}
	lseek(fd, 400, SEEK_SET);
	CALL(ioctl, fd, FIONREAD, &n);
	printf("%d\n", n);
	lseek(fd, 4000, SEEK_SET);
	CALL(ioctl, fd, FIONREAD, &n);
	printf("%d\n", n);
	CALL(ioctl, fd, FIONREAD, 8);
	CALL(ioctl, p[0], FIONREAD, 8);
	CALL(ioctl, fd, FIGETBSZ, 8);
	for (int i = 0; i < 7; i++)
		close(fds[i]);
}

int main(void)
{
	dirs();
	handles();
	cache();
	controls();
}

// Two mappings, a private one and descriptors of one file: truncated up and down,
// written through each, synchronised, forked.
#include "guest.h"
#include <linux/falloc.h>
#include <setjmp.h>
#include <sys/uio.h>

static sigjmp_buf back;
static void bus(int sig) { siglongjmp(back, sig); }

// peek prints the byte at p, or the signal that reading it meets.
static void peek(const char *what, const volatile unsigned char *p)
{
	int sig = sigsetjmp(back, 1);
	if (sig)
		printf("  %s: %s\n", what, sig == SIGBUS ? "SIGBUS" : "SIGSEGV");
	else
		printf("  %s: %#x\n", what, *p);
}

static void poke(const char *what, volatile unsigned char *p, int v)
{
	int sig = sigsetjmp(back, 1);
	if (sig)
		printf("  %s: poke: %s\n", what, sig == SIGBUS ? "SIGBUS" : "SIGSEGV");
	else
		*p = v;
}

static int fd;
static unsigned char *a, *b, *priv;

static void show(const char *when)
{
	struct stat s;
	unsigned char c[4] = {0};
	fstat(fd, &s);
	printf("%s: size %ld\n", when, s.st_size);
	for (int page = 0; page < 4; page++) {
		char name[32];
		long n = pread(fd, c, 1, page * PAGE + 5);
		sprintf(name, "fd %d", page);
		if (n == 1)
			printf("  %s: %#x\n", name, c[0]);
		else
			printf("  %s: %ld\n", name, n);
		sprintf(name, "a %d", page);
		peek(name, a + page * PAGE + 5);
		sprintf(name, "b %d", page);
		peek(name, b + page * PAGE + 5);
		sprintf(name, "private %d", page);
		peek(name, priv + page * PAGE + 5);
	}
}

static void holes(int f)
{
	CALL(lseek, f, 0, SEEK_DATA);
	CALL(lseek, f, 0, SEEK_HOLE);
	CALL(lseek, f, 3 * PAGE, SEEK_DATA);
	CALL(lseek, f, 3 * PAGE, SEEK_HOLE);
	CALL(lseek, f, 1 << 30, SEEK_HOLE);
}

static void mappings(void)
{
	fd = open("f", O_RDWR | O_CREAT, 0644);
	CALL(ftruncate, fd, 3 * PAGE + 100);
	a = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	priv = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	show("new");
	a[5] = 1;
	b[PAGE + 5] = 2;
	pwrite(fd, "\3", 1, 2 * PAGE + 5);
	priv[5] = 0x41;
	priv[2 * PAGE + 5] = 0x43;
	a[3 * PAGE + 200] = 9; // behind the end, in its page
	show("written through each");
	CALL(msync, a, 4 * PAGE, MS_SYNC);
	CALL(msync, a, PAGE, MS_ASYNC);
	CALL(msync, a + 1, PAGE, MS_SYNC);
	CALL(fsync, fd);
	CALL(fdatasync, fd);
	CALL(ftruncate, fd, PAGE + 10);
	show("shrunk");
	poke("a 2", a + 2 * PAGE, 1);
	CALL(ftruncate, fd, 4 * PAGE);
	show("grown");
	peek("tail", a + 3 * PAGE + 200);
	poke("a 3", a + 3 * PAGE + 5, 7);
	show("written again");
	fflush(stdout);
	if (fork() == 0) {
		a[2 * PAGE + 5] = 0x77;
		priv[PAGE + 5] = 0x78;
		pwrite(fd, "\x79", 1, 3 * PAGE + 5);
		show("child");
		CALL(ftruncate, fd, 3 * PAGE);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	show("parent");
	munmap(b, 4 * PAGE);
	b = mmap(0, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	show("mapped again");
	CALL(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 5, 2 * PAGE);
	show("punched");
	CALL(fallocate, fd, 0, 3 * PAGE, PAGE + 1);
	show("allocated");
	CALL(fallocate, fd, 0xf00, 0, PAGE);
	CALL(fallocate, fd, 0, -1, PAGE);
	CALL(mprotect, b, PAGE, PROT_READ | PROT_WRITE);
	b[6] = 6;
	peek("a", a + 6);
}

static void appends(void)
{
	int x = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600), y = open("log", O_RDWR | O_APPEND);
	char text[64] = "";
	for (int i = 0; i < 5; i++) {
		write(i % 2 ? x : y, &"abcde"[i], 1);
		pwrite(x, "-", 1, 0);
	}
	printf("appended %ld %ld", lseek(x, 0, SEEK_CUR), lseek(y, 0, SEEK_CUR));
	pread(y, text, 63, 0);
	printf(" %s\n", text);
	CALL(read, x, text, 1);
	CALL(open, "log", O_CREAT | O_EXCL | O_RDWR, 0600);
	CALL(open, "log", O_RDONLY | O_DIRECTORY);
	int z = open("log", O_RDWR | O_TRUNC);
	printf("truncated: %ld\n", lseek(z, 0, SEEK_END));
	struct iovec v[2] = {{"one ", 4}, {"two", 3}};
	CALL(writev, z, v, 2);
	int ro = open("log", O_RDONLY);
	CALL(write, ro, "x", 1);
	CALL(ftruncate, ro, 1);
	CALL(mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0);
	CALL(mmap, 0, PAGE, PROT_READ, MAP_SHARED, x, 0);
	CALL(sync_file_range, z, 0, 0, 7);
	CALL(sync_file_range, z, -1, 0, 7);
	CALL(sync_file_range, z, 0, 0, 8);
	CALL(syncfs, z);
	CALL(sync, 0);
	CALL(fsync, -1);
	int p[2];
	pipe(p);
	CALL(fsync, p[0]);
	CALL(sync_file_range, p[0], 0, 0, 7);
}

// where prints what the descriptor's file is called now.
static void where(int f)
{
	char link[64], text[256];
	sprintf(link, "/proc/self/fd/%d", f);
	long n = readlink(link, text, 255);
	text[n < 0 ? 0 : n] = 0;
	printf("  is %s\n", text);
}

static void names(void)
{
	int f = open("name", O_RDWR | O_CREAT, 0640);
	write(f, "bytes", 5);
	unsigned char *m = mmap((void *)PLACE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	where(f);
	CALL(rename, "name", "other");
	where(f);
	CALL(link, "other", "twin");
	CALL(unlink, "other");
	where(f);
	show_maps_in("named", PLACE, PLACE + PAGE);
	struct stat s;
	fstat(f, &s);
	printf("links %ld mode %o\n", (long)s.st_nlink, s.st_mode);
	CALL(unlink, "twin");
	m[1] = 'Y';
	fstat(f, &s);
	printf("links %ld size %ld\n", (long)s.st_nlink, s.st_size);
	char c[8] = "";
	pread(f, c, 8, 0);
	printf("still %s\n", c);
	CALL(linkat, f, "", AT_FDCWD, "again", AT_EMPTY_PATH);
	int t = open(".", O_TMPFILE | O_RDWR, 0600);
	write(t, "born", 4);
	char link[64];
	sprintf(link, "/proc/self/fd/%d", t);
	CALL(linkat, AT_FDCWD, link, AT_FDCWD, "born", AT_SYMLINK_FOLLOW);
	where(t);
	CALL(fchmod, t, 0400);
	CALL(fchown, t, 3, 4);
	struct timespec times[2] = {{5, 6}, {7, 8}};
	CALL(utimensat, t, 0, times, 0);
	stat("born", &s);
	printf("born: mode %o %d:%d %ld.%ld %ld.%ld\n", s.st_mode, s.st_uid, s.st_gid, s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
	write(t, "!", 1);
	fstat(t, &s);
	printf("written: mtime moved %d\n", s.st_mtim.tv_sec > 7);
	futimens(t, times);
	CALL(mkdir, "d", 0777);
	CALL(mkdir, "d", 0777);
	CALL(rename, "born", "d/born");
	where(t);
	CALL(rmdir, "d");
	CALL(rename, "d", "e");
	where(t);
	CALL(renameat2, AT_FDCWD, "e", AT_FDCWD, "f", RENAME_EXCHANGE);
	CALL(renameat2, AT_FDCWD, "e", AT_FDCWD, "log", RENAME_NOREPLACE);
	CALL(rename, "e", "f");
	CALL(symlink, "log", "sym");
	CALL(open, "sym", O_RDWR | O_NOFOLLOW);
	CALL(truncate, "sym", 3);
	CALL(truncate, "f", 3);
	CALL(truncate, "none", 3);
	CALL(unlink, "f");
	CALL(rename, "f", "../outside/x");
}

static void sparse(void)
{
	int f = open("sparse", O_RDWR | O_CREAT, 0600);
	ftruncate(f, 8 * PAGE);
	unsigned char *m = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	holes(f);
	m[2 * PAGE] = 1;
	pwrite(f, "x", 1, 5 * PAGE);
	holes(f);
	CALL(unlink, "sparse");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	signal(SIGBUS, bus);
	signal(SIGSEGV, bus);
	mappings();
	appends();
	names();
	sparse();
	return 0;
}

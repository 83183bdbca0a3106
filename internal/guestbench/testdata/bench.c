// bench: what a program pays for its memory, its files and its processes. Each row is
// "NAME VALUE UNIT"; less is better. Files are made in the directory argv[1], rows are
// those named behind it, or all.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, KB = 1 << 10, MB = 1 << 20, BIG = 256 * MB, STEP = 64 * KB };

static char path[4096];
static char buffer[STEP];

static void need(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static double us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static char *anon(size_t n)
{
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "mmap");
	return p;
}

static void touch(volatile char *p, size_t n)
{
	for (size_t i = 0; i < n; i += PAGE)
		p[i] = 1;
}

static int file(size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	need(fd >= 0, path);
	unlink(path);
	memset(buffer, 'x', STEP);
	for (size_t i = 0; i < n; i += STEP)
		need(write(fd, buffer, STEP) == STEP, "write");
	return fd;
}

static double call(void)
{
	double t = us();
	for (int i = 0; i < 20000; i++)
		syscall(SYS_getppid);
	return (us() - t) / 20000;
}

static double map_touch_unmap(void)
{
	double t = us();
	for (int i = 0; i < 4000; i++) {
		char *p = anon(16 * KB);
		touch(p, 1);
		munmap(p, 16 * KB);
	}
	return (us() - t) / 4000;
}

static double first_touch(void)
{
	char *p = anon(64 * MB);
	double t = us();
	touch(p, 64 * MB);
	t = us() - t;
	munmap(p, 64 * MB);
	return t / (64 * MB / PAGE);
}

static double dontneed(void)
{
	char *p = anon(64 * KB);
	double t = us();
	for (int i = 0; i < 2000; i++) {
		touch(p, 64 * KB);
		madvise(p, 64 * KB, MADV_DONTNEED);
	}
	t = us() - t;
	munmap(p, 64 * KB);
	return t / 2000;
}

static double fork_wait(void)
{
	double t = us();
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		need(waitpid(pid, NULL, 0) == pid, "waitpid");
	}
	return (us() - t) / 200;
}

static double pread_page(void)
{
	int fd = file(MB);
	double t = us();
	for (int i = 0; i < 10000; i++)
		need(pread(fd, buffer, PAGE, i * PAGE % MB) == PAGE, "pread");
	t = us() - t;
	close(fd);
	return t / 10000;
}

static double write_file(void)
{
	double t = us();
	close(file(BIG));
	return (us() - t) / 1e3;
}

static double read_file(void)
{
	int fd = file(BIG);
	lseek(fd, 0, SEEK_SET);
	double t = us();
	for (size_t i = 0; i < BIG; i += STEP)
		need(read(fd, buffer, STEP) == STEP, "read");
	t = us() - t;
	close(fd);
	return t / 1e3;
}

static double mapping(int fill)
{
	int fd = file(fill ? STEP : BIG);
	need(ftruncate(fd, BIG) == 0, "ftruncate");
	char *p = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED, "mmap");
	double t = us();
	for (size_t i = 0; i < BIG; i += STEP) {
		if (fill)
			memset(p + i, 'y', STEP);
		else
			memcpy(buffer, p + i, STEP);
	}
	t = us() - t;
	munmap(p, BIG);
	close(fd);
	return t / 1e3;
}

static double write_mapping(void) { return mapping(1); }
static double read_mapping(void) { return mapping(0); }

static const struct {
	const char *name, *unit;
	double (*run)(void);
} rows[] = {
	{"getppid", "us", call},
	{"map_touch_unmap_16k", "us", map_touch_unmap},
	{"first_touch_64m", "us/page", first_touch},
	{"touch_dontneed_64k", "us", dontneed},
	{"fork_wait", "us", fork_wait},
	{"pread_4k", "us", pread_page},
	{"write_256m", "ms", write_file},
	{"read_256m", "ms", read_file},
	{"write_mapping_256m", "ms", write_mapping},
	{"read_mapping_256m", "ms", read_mapping},
};

int main(int argc, char **argv)
{
	need(argc > 1, "bench DIRECTORY [ROW...]");
	snprintf(path, sizeof path, "%s/bench-file", argv[1]);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int wanted = argc == 2;
		for (int a = 2; a < argc; a++)
			wanted |= !strcmp(argv[a], rows[i].name);
		if (wanted) {
			printf("%s %.2f %s\n", rows[i].name, rows[i].run(), rows[i].unit);
			fflush(stdout);
		}
	}
	return 0;
}

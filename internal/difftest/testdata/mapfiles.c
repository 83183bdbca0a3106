// /proc/PID/map_files: a link for each mapping of a file, called by where it is.
#include "guest.h"
#include <dirent.h>
#include <sys/ipc.h>
#include <sys/shm.h>

static char *const at = (char *)PLACE;
static char text[300];

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static char *target(const char *path)
{
	long n = readlink(path, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

int main(int argc, char **argv)
{
	char path[400];
	struct stat s;
	struct dirent **all;
	int fd = open(argv[0], O_RDONLY), m = memfd_create("mm", 0), f;
	setvbuf(stdout, NULL, _IONBF, 0);
	ftruncate(m, 2 * PAGE);
	mmap(at, PAGE, 1, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(at + 2 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, fd, 0);
	mmap(at + 4 * PAGE, 2 * PAGE, 3, MAP_SHARED | MAP_FIXED, m, 0);
	mmap(at + 8 * PAGE, PAGE, 0, MAP_SHARED | MAP_FIXED, m, PAGE);
	mmap(at + 16 * PAGE, PAGE, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(at + 20 * PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int id = shmget(IPC_PRIVATE, PAGE, 0600);
	shmat(id, at + 32 * PAGE, 0);
	shmat(id, at + 34 * PAGE, SHM_RDONLY);
	shmctl(id, IPC_RMID, 0);
	int n = scandir("/proc/self/map_files", &all, NULL, by_name);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "/proc/self/map_files/%s", all[i]->d_name);
		lstat(path, &s);
		printf("%s kind %d mode %o -> %s\n", all[i]->d_name, all[i]->d_type, s.st_mode, target(path));
	}
	stat("/proc/self/map_files", &s);
	printf("mode %o\n", s.st_mode);
#define AT(x) "/proc/self/map_files/" x
	DO(readlink(AT("20000000-20002000"), text, 9));
	DO(readlink(AT("020000000-20001000"), text, 9));
	DO(readlink(AT("20000000-20001000x"), text, 9));
	DO(readlink(AT("x"), text, 9));
	DO(readlink(AT("20001000-20002000"), text, 9));
	DO(readlink(AT("20014000-20015000"), text, 9));
	DO(open(AT("20000000-20001000"), O_RDONLY));
	DO(open(AT("q"), O_CREAT | O_RDWR, 0600));
	DO(f = open(AT("20004000-20006000"), O_RDWR));
	DO(write(f, "hi", 2));
	printf("  %c%c\n", at[4 * PAGE], at[4 * PAGE + 1]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", f);
	printf("  %s\n", target(path));
	close(f), close(m);
	munmap(at + 8 * PAGE, PAGE);
	DO(f = open(AT("20004000-20006000"), O_RDWR));
	munmap(at + 4 * PAGE, 2 * PAGE);
	DO(read(f, text, 2));
	DO(stat("/proc/thread-self/map_files", &s));
	return 0;
}

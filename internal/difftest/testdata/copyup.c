// Files of the host that are open and mapped while they are changed for the first
// time, in a directory that the test has filled.
#include "guest.h"
#include <sys/mman.h>
#include <sys/wait.h>

static int early, late;

static void show(const char *what, const char *shared, const char *private)
{
	char buf[12] = {0};
	long n = pread(early, buf, 9, 0);
	printf("%s: early %ld %.9s shared %.9s private %.9s\n", what, n, buf, shared, private);
}

static void identity(const char *what, const char *path)
{
	static struct stat first;
	struct stat s;
	fstat(early, &s);
	if (!first.st_ino)
		first = s;
	struct stat p;
	long r = stat(path, &p);
	printf("%s: same %d by path %ld %d links %lu size %ld\n", what, s.st_ino == first.st_ino && s.st_dev == first.st_dev, r, r == 0 && p.st_ino == first.st_ino, s.st_nlink, s.st_size);
}

int main(void)
{
	early = open("src/a", O_RDONLY);
	char *shared = mmap(0, 20000, PROT_READ, MAP_SHARED, early, 0);
	char *private = mmap(0, 20000, PROT_READ | PROT_WRITE, MAP_PRIVATE, early, 0);
	char *touched = mmap(0, 20000, PROT_READ | PROT_WRITE, MAP_PRIVATE, early, 0);
	touched[0] = 'T';
	show("before", shared, private);
	identity("before", "src/a");
	late = open("hard", O_RDWR);
	identity("open", "src/a");
	pwrite(late, "WRITTEN", 7, 0);
	show("written", shared, private);
	printf("touched %.9s\n", touched);
	char *writable = mmap(0, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, late, 0);
	strcpy(writable, "mapped!!");
	show("by mapping", shared, private);
	if (fork() == 0) {
		strcpy(writable, "by child");
		_exit(0);
	}
	wait(0);
	show("by child", shared, private);
	private[0] = 'P';
	ftruncate(late, 4096);
	identity("cut", "src/a");
	show("cut", shared, private);
	ftruncate(late, 20000);
	printf("page 2 is %d\n", shared[5000]);
	rename("src/a", "src/moved");
	identity("moved", "src/moved");
	unlink("hard");
	identity("unlinked", "src/moved");
	unlink("src/moved");
	identity("gone", "src/moved");
	show("gone", shared, private);
	int cut = open("src/b.txt", O_RDONLY);
	char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, cut, 0);
	printf("%.9s", map);
	close(open("src/b.txt", O_WRONLY | O_TRUNC));
	struct stat s;
	fstat(cut, &s);
	printf("size %ld\n", s.st_size);
	int w = open("src/b.txt", O_WRONLY | O_APPEND);
	printf("append %zd\n", write(w, "fresh", 5));
	printf("mapped %s\n", map);
	struct stat h;
	stat("hole", &h);
	int hole = open("hole", O_RDWR);
	printf("hole: data %ld hole %ld\n", lseek(hole, 0, SEEK_DATA), lseek(hole, 0, SEEK_HOLE));
	pwrite(hole, "x", 1, 500000);
	printf("data %ld\n", lseek(hole, 4096, SEEK_DATA));
	return 0;
}

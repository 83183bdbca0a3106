// vm.overcommit_memory as it comes: what is more at once than all memory is refused,
// wherever it would be promised, and VmFlags tell what is promised.
#include "guest.h"
#include <sys/ipc.h>
#include <sys/shm.h>

#define TOO_MUCH (1UL << 45) // more than any machine has
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static long errno_only(long r) { return r < 0 && r > -4096 ? r : 0; }

#define TRY(call) printf("%s: %s\n", #call, outcome(errno_only(call)))

// flags prints which of ac and nr the mapping at addr has.
static void flags(const char *when, unsigned long addr)
{
	static char line[1024], out[64];
	unsigned long a, b;
	int in = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	snprintf(out, sizeof out, "not mapped");
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
			in = a <= addr && addr < b;
		if (in && !strncmp(line, "VmFlags:", 8))
			snprintf(out, sizeof out, "%s%s", strstr(line, " ac") ? "ac " : "", strstr(line, " nr") ? "nr" : "");
	}
	fclose(f);
	printf("%s: %s\n", when, out);
}

static void knob(const char *name, const char *text)
{
	char path[64], was[32] = "", now[32] = "";
	snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
	int fd = open(path, O_RDWR | O_TRUNC);
	int n = read(fd, was, sizeof was - 1);
	lseek(fd, 0, SEEK_SET);
	long r = write(fd, text, strlen(text));
	printf("%s <- %s: %s", name, text, outcome(r < 0 ? -errno : r));
	close(fd);
	fd = open(path, O_RDONLY);
	printf(" stays %d\n", read(fd, now, sizeof now - 1) == n && !strcmp(was, now));
	close(fd);
}

int main(void)
{
	TRY(NR(mmap, 0, TOO_MUCH, RW, ANON, -1, 0));
	TRY(NR(mmap, 0, TOO_MUCH, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	TRY(NR(mmap, 0, TOO_MUCH, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	long lazy = NR(mmap, 0, TOO_MUCH, RW, ANON | MAP_NORESERVE, -1, 0);
	long shared = NR(mmap, 0, TOO_MUCH, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	flags("private, no reserve", lazy);
	flags("shared, no reserve", shared);
	TRY(NR(mprotect, lazy, TOO_MUCH, PROT_READ));
	TRY(NR(mprotect, lazy, TOO_MUCH, RW));
	flags("readable for a while", lazy);
	fflush(stdout);
	if (fork() == 0) {
		printf("forked\n");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	TRY(NR(munmap, lazy, TOO_MUCH));
	TRY(NR(munmap, shared, TOO_MUCH));
	long none = NR(mmap, 0, TOO_MUCH, PROT_NONE, ANON, -1, 0);
	flags("nothing allowed", none);
	TRY(NR(mprotect, none, TOO_MUCH, RW));
	TRY(NR(mprotect, none, PAGE, RW));
	flags("the first page", none);
	flags("the others", none + PAGE);
	TRY(NR(mprotect, none, PAGE, PROT_NONE));
	flags("one again", none);
	TRY(NR(mprotect, none, PAGE, RW));
	*(volatile char *)none = 1;
	TRY(NR(mprotect, none, PAGE, PROT_NONE));
	flags("written", none);
	TRY(NR(munmap, none, TOO_MUCH));
	long small = NR(mmap, 0, 2 * PAGE, RW, ANON, -1, 0);
	TRY(NR(mremap, small, 2 * PAGE, TOO_MUCH, MREMAP_MAYMOVE));
	TRY(NR(mremap, small, 2 * PAGE, TOO_MUCH, 0));
	flags("as it was", small);
	int file = open("/etc/passwd", O_RDONLY);
	long mapped = NR(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	flags("a file", mapped);
	TRY(NR(mprotect, mapped, PAGE, RW));
	flags("a file to write", mapped);
	TRY(NR(mprotect, mapped, PAGE, PROT_READ));
	flags("a file again", mapped);
	TRY(NR(shmget, IPC_PRIVATE, TOO_MUCH, 0600));
	long id = NR(shmget, IPC_PRIVATE, TOO_MUCH / 64, 0600 | SHM_NORESERVE);
	printf("shmget, no reserve: %s\n", outcome(errno_only(id)));
	NR(shmctl, id, IPC_RMID, 0);
	const char *bad[] = { "3", "-1", "x", " 1x" };
	for (int i = 0; i < 4; i++)
		knob("overcommit_memory", bad[i]);
	knob("overcommit_ratio", "x");
	knob("overcommit_kbytes", "-1");
	return 0;
}

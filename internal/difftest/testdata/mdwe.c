// PR_SET_MDWE and READ_IMPLIES_EXEC: what may become executable, and what does.
#include "guest.h"
#include <sys/personality.h>
#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

static void play(const char *when)
{
	printf("%s: %s\n", when, outcome(NR(prctl, PR_GET_MDWE)));
	NR(munmap, PLACE, 64 * PAGE);
	for (int prot = 0; prot < 8; prot++)
		for (int kind = 0; kind < 3; kind++) {
			unsigned long at = PLACE + (prot * 3 + kind) * 2 * PAGE;
			printf("mmap %d kind %d: %s\n", prot, kind,
			       outcome(NR(mmap, at, PAGE, prot, (kind == 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (kind == 2 ? 0 : MAP_ANONYMOUS), kind == 2 ? 3 : -1, 0)));
			for (int p = 0; p < 8; p++)
				printf(" %s", outcome(NR(mprotect, at, PAGE, p)));
			printf("\n");
		}
	CALL(mmap, PLACE, 2 * PAGE, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	show_maps_in(when, PLACE, PLACE + 64 * PAGE);
	unsigned long heap = (NR(brk, 0) + PAGE - 1) & -PAGE;
	printf("brk %ld\n", NR(brk, heap + 2 * PAGE) - heap);
	FILE *maps = fopen("/proc/self/maps", "r"); // where the heap's mapping starts is anon_vma's affair
	static char line[512], perms[8];
	unsigned long a, b;
	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %7s", &a, &b, perms) == 3 && b == heap + 2 * PAGE)
			printf("heap %s\n", perms);
	fclose(maps);
}

static void child(const char *when)
{
	fflush(stdout);
	if (fork() == 0) {
		play(when);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int main(void)
{
	static char out[1 << 16];
	setvbuf(stdout, out, _IOFBF, sizeof out);
	if (open("/etc/passwd", O_RDONLY) != 3)
		return 1;
	fflush(stdout);
	if (fork() == 0) {
		personality(personality(0xffffffff) | READ_IMPLIES_EXEC);
		play("reading executes");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	CALL(prctl, PR_SET_MDWE, 4, 0, 0, 0);
	CALL(prctl, PR_SET_MDWE, 2, 0, 0, 0);
	CALL(prctl, PR_SET_MDWE, 1, 1, 0, 0);
	CALL(prctl, PR_GET_MDWE, 0, 0, 1, 0);
	CALL(prctl, PR_SET_MDWE, 0, 0, 0, 0);
	fflush(stdout);
	if (fork() == 0) {
		CALL(prctl, PR_SET_MDWE, 3, 0, 0, 0);
		CALL(prctl, PR_SET_MDWE, 1, 0, 0, 0);
		play("not inherited");
		child("child without");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	CALL(prctl, PR_SET_MDWE, 1, 0, 0, 0);
	CALL(prctl, PR_SET_MDWE, 0, 0, 0, 0);
	CALL(prctl, PR_SET_MDWE, 3, 0, 0, 0);
	play("denied");
	child("child");
	return 0;
}

// The kernel's own mappings: what may be done to [vdso], [vvar] and [vvar_vclock].
#include "guest.h"
#include <sys/auxv.h>

static struct { unsigned long start, end; char name[32]; } all[3];

// find looks the three mappings up.
static int find(void)
{
	char line[512];
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f)) {
		unsigned long a, b;
		char name[32] = "";
		sscanf(line, "%lx-%lx %*s %*s %*s %*s %31s", &a, &b, name);
		if (!strncmp(name, "[vdso]", 6) || !strncmp(name, "[vvar", 5)) {
			if (n < 3) {
				all[n].start = a;
				all[n].end = b;
				snprintf(all[n].name, 32, "%s", name);
			}
			n++;
		}
	}
	fclose(f);
	return n;
}

// say prints a result, without the brackets of the name: lines that have it are not compared.
static void say(const char *name, const char *what, long r)
{
	printf("%.*s %s = %s\n", (int)strlen(name) - 2, name + 1, what, r > 0 ? "done" : outcome(r));
}

#define TRY(i, what, nr, ...) say(all[i].name, what, NR(nr, __VA_ARGS__))

// advised plays all advice on one mapping.
static void advised(int i)
{
	static const int advice[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE,
		MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DODUMP, MADV_DONTDUMP,
		MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT, 22, 23, 24, 25, 102, 103 };
	for (unsigned k = 0; k < sizeof advice / sizeof *advice; k++) {
		char what[32];
		snprintf(what, sizeof what, "madvise %d", advice[k]);
		TRY(i, what, madvise, all[i].start, PAGE, advice[k]);
	}
	TRY(i, "normal again", madvise, all[i].start, all[i].end - all[i].start, MADV_NORMAL);
	TRY(i, "dodump", madvise, all[i].start, all[i].end - all[i].start, MADV_DODUMP);
}

static void played(int i)
{
	unsigned long at = all[i].start, n = all[i].end - at;
	char vec[32];
	TRY(i, "mprotect rw", mprotect, at, n, PROT_READ | PROT_WRITE);
	TRY(i, "mprotect none", mprotect, at, n, PROT_NONE);
	TRY(i, "mprotect rx", mprotect, at, n, PROT_READ | PROT_EXEC);
	TRY(i, "mprotect r", mprotect, at, n, PROT_READ);
	TRY(i, "mlock", mlock, at, n);
	TRY(i, "mlock2", mlock2, at, n, 1);
	TRY(i, "munlock", munlock, at, n);
	TRY(i, "msync", msync, at, n, MS_SYNC);
	TRY(i, "mincore", mincore, at, n, vec);
	TRY(i, "grow", mremap, at, n, n + PAGE, MREMAP_MAYMOVE);
	TRY(i, "grow in place", mremap, at, n, n + PAGE, 0);
	TRY(i, "duplicate", mremap, at, 0, n, MREMAP_MAYMOVE);
	TRY(i, "dontunmap", mremap, at, n, n, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	TRY(i, "split", mremap, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE + 64 * PAGE);
	printf("%d mappings\n", find());
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 4096);
	int n = find();
	printf("%d:", n);
	for (int i = 0; i < n; i++)
		printf(" %s", all[i].name + 1);
	printf("\n");
	int vdso = 2;
	for (int i = 0; i < n; i++) {
		if (!strcmp(all[i].name, "[vdso]"))
			vdso = i;
		if (!strcmp(all[i].name, "[vvar]") || !strcmp(all[i].name, "[vdso]"))
			advised(i);
	}
	unsigned long at = all[vdso].start, size = all[vdso].end - at;
	// The program goes on using the vdso that it knows; these calls need none.
	TRY(vdso, "move", mremap, at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE);
	printf("magic %.3s\n", (char *)PLACE + 1);
	TRY(vdso, "move back", mremap, PLACE, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	TRY(vdso, "a page only", mprotect, at, PAGE, PROT_READ);
	TRY(vdso, "write through", mprotect, at, size, PROT_READ | PROT_WRITE | PROT_EXEC);
	*(volatile char *)(at + 8) = 'w';
	printf("written: %c\n", *(volatile char *)(at + 8));
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		printf("child: %c, %d mappings\n", *(volatile char *)(at + 8), find());
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, 0, 0);
	TRY(vdso, "mseal a page", mseal, at, PAGE, 0);
	TRY(vdso, "munmap a page", munmap, at, PAGE);
	TRY(vdso, "mprotect back", mprotect, at, size, PROT_READ | PROT_EXEC);
	find();
	played(vdso);
	for (int i = 0; i < 3; i++)
		if (!strcmp(all[i].name, "[vvar]")) {
			played(i);
			unsigned long at = all[i].start, size = all[i].end - at;
			TRY(i, "move", mremap, at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE);
			TRY(i, "munmap a page", munmap, PLACE, PAGE);
			TRY(i, "munmap", munmap, PLACE, size);
			break;
		}
	printf("%d mappings\n", find());
	return 0;
}

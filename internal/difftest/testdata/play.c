// Plays scripts of memory calls, and prints what each call returns and what it
// changes. Scripts come from standard input, a line a call, all numbers hexadecimal:
// Generate in ../script.go makes them and says what the words mean. Each script is
// played by a process of its own, with files of its own.
#include "guest.h"
#include <setjmp.h>
#include <sys/uio.h>

#define AREA_PAGES 64UL
#define END (PLACE + AREA_PAGES * PAGE)
enum { FILE_RW = 10, FILE_RO, MEMFD, PROGRAM, SCRATCH, SEALABLE };

static char script[1 << 23], buffer[16 * PAGE];
static sigjmp_buf back;
static int loud, a_child;
static unsigned long heap;

static void handler(int sig, siginfo_t *info, void *context)
{
	if (loud)
		printf(" %s/%d@%lx", sig == SIGBUS ? "BUS" : "SEGV", info->si_code, (unsigned long)info->si_addr);
	siglongjmp(back, 1);
}

static void result(long r) { printf(" = %s\n", outcome(r)); }

// ours says whether a line of maps is one that scripts can change. The program's own
// and the kernel's stay as they are.
static int ours(const char *l, unsigned long *from, unsigned long *to)
{
	return sscanf(l, "%lx-%lx ", from, to) == 2 && (*from >= PLACE || strstr(l, "[heap]")) && !strstr(l, "[v") && !strstr(l, "[stack]");
}

// show_maps_of_ours prints the lines of maps that scripts can change.
static void show_maps_of_ours(void)
{
	unsigned long a, b;
	for (char *l = strtok(slurp("/proc/self/maps"), "\n"); l; l = strtok(NULL, "\n"))
		if (ours(l, &a, &b))
			printf("  %s\n", l);
}

// changes_maps says whether a call can change maps at all.
static int changes_maps(const char *word)
{
	static const char *const none[] = {"file", "fill", "contents", "smaps", "mincore", "ftruncate", "fallocate", "fsync", "msync", "pwrite", "fcntl", 0};
	for (int i = 0; none[i]; i++)
		if (!strcmp(word, none[i]))
			return 0;
	return 1;
}

// Whose numbers depend on more than the process did: see Generate.
static const char *const unshown[] = {"Size:", "KernelPageSize:", "MMUPageSize:", "Referenced:", "KSM:", "LazyFree:", "Swap:", "SwapPss:", "ShmemPmdMapped:", "FilePmdMapped:", "THPeligible:", 0};

static int shown(const char *name, int file)
{
	for (int i = 0; unshown[i]; i++)
		if (!strcmp(name, unshown[i]))
			return 0;
	return !file || !strcmp(name, "Anonymous:");
}

// show_smaps prints a line a mapping: what is not zero. Of a file's pages a host maps
// more than are touched (fault-around), so of files only private copies are shown.
static void show_smaps(void)
{
	int show = 0, file = 0;
	unsigned long a, b, ino;
	for (char *l = strtok(slurp("/proc/self/smaps"), "\n"); l; l = strtok(NULL, "\n")) {
		char name[32], perms[8];
		long kb;
		if (sscanf(l, "%lx-%lx %7s %*x %*s %lu", &a, &b, perms, &ino) == 4) {
			show = ours(l, &a, &b) && a >= PLACE;
			file = ino != 0;
			if (show)
				printf("smaps %lx-%lx %s", a, b, perms);
		} else if (show && !strncmp(l, "VmFlags:", 8)) {
			printf(" %s\n", l);
		} else if (show && sscanf(l, "%31s %ld", name, &kb) == 2 && kb && shown(name, file)) {
			printf(" %s%ld", name, kb);
		}
	}
}

// touch reads (0), writes (1) or executes (2) a byte.
static void touch(unsigned long at, int how, int value)
{
	volatile unsigned char *p = (void *)at;
	loud = 1;
	if (sigsetjmp(back, 0) == 0) {
		if (how == 1)
			*p = value;
		else
			printf(" %02x", *p);
		if (how == 2 && *p == 0xc3) {
			((void (*)(void))at)();
			printf(" ran");
		}
	}
	loud = 0;
}

static unsigned sum_of(volatile unsigned char *p, unsigned long n)
{
	unsigned s = 0;
	for (unsigned long i = 0; i < n; i++)
		s = s * 31 + p[i];
	return s;
}

// show_contents sums up what every page of [from, to) holds.
static void show_contents(unsigned long from, unsigned long to)
{
	for (volatile unsigned long at = from; at < to; at += PAGE)
		if (sigsetjmp(back, 0))
			printf(" -");
		else
			printf(" %x", sum_of((void *)at, PAGE));
	printf("\n");
}

// show_core prints the vector of mincore, but where the program's file is mapped: how
// much of that is in memory is the host's affair; and in a child, whose page tables
// start out empty where nothing was written.
static void show_core(unsigned long at, unsigned long len)
{
	static unsigned char vec[1 << 10];
	unsigned long a, b;
	int foreign = 0;
	for (char *l = strtok(slurp("/proc/self/maps"), "\n"); l; l = strtok(NULL, "\n"))
		if (ours(l, &a, &b) && a < at + len && b > at && strstr(l, "play"))
			foreign = 1;
	long r = NR(mincore, at, len, vec);
	result(r);
	if (r == 0 && !foreign && !a_child) {
		printf("core");
		for (unsigned long i = 0; i < (len + PAGE - 1) / PAGE; i++)
			printf(" %d", vec[i] & 1);
		printf("\n");
	}
}

// lines counts the mappings that touch [at, at+len).
static int lines(unsigned long at, unsigned long len)
{
	unsigned long a, b;
	int n = 0;
	for (char *l = strtok(slurp("/proc/self/maps"), "\n"); l; l = strtok(NULL, "\n"))
		n += sscanf(l, "%lx-%lx ", &a, &b) == 2 && a < at + len && b > at;
	return n;
}

static void show_file(int fd)
{
	struct stat s;
	result(fstat(fd, &s) ? -errno : 0);
	printf("size %lx\nblocks %lx\n", (long)s.st_size, (long)s.st_blocks);
	memset(buffer, 0, sizeof buffer);
	long n = pread(fd, buffer, sizeof buffer, 0);
	printf("file %lx %x\n", n, sum_of((void *)buffer, sizeof buffer));
}

struct name { const char *name; long nr; };
static const struct name names[] = {
	{"mmap", SYS_mmap}, {"munmap", SYS_munmap}, {"mprotect", SYS_mprotect}, {"mremap", SYS_mremap}, {"madvise", SYS_madvise},
	{"mlock", SYS_mlock}, {"mlock2", SYS_mlock2}, {"munlock", SYS_munlock}, {"mlockall", SYS_mlockall}, {"munlockall", SYS_munlockall},
	{"msync", SYS_msync}, {"mseal", SYS_mseal}, {"remap_file_pages", SYS_remap_file_pages}, {"pkey_mprotect", SYS_pkey_mprotect},
	{"ftruncate", SYS_ftruncate}, {"fallocate", SYS_fallocate}, {"fsync", SYS_fsync}, {"set_mempolicy_home_node", SYS_set_mempolicy_home_node},
	{"pread", SYS_pread64}, {"pwrite", SYS_pwrite64}, {"fcntl", SYS_fcntl}, {0},
};

// number returns which call a word names, 0 if none.
static long number(const char *word)
{
	for (const struct name *n = names; n->name; n++)
		if (!strcmp(word, n->name))
			return n->nr;
	return 0;
}

static void play(char **at, int skip);

// child lets a child play what follows, up to the matching "end", and skips it.
static void child(char **at)
{
	int status;
	printf("\n");
	fflush(stdout);
	if (fork() == 0) {
		a_child = 1;
		show_maps_of_ours();
		play(at, 0);
		printf("contents");
		show_contents(PLACE, END);
		fflush(stdout);
		_exit(7);
	}
	play(at, 1);
	wait(&status);
	printf("child %x\n", status);
}

// readable returns how many of n bytes can be read. A write(2) that fails half way
// leaves a tmpfs with a page and a size that nobody wrote.
static unsigned long readable(unsigned long at, unsigned long n)
{
	for (unsigned long i = 0; i < n; i = i + PAGE - (at + i) % PAGE)
		if (NR(pwrite64, SCRATCH, at + i, 1, 0) < 0)
			return i;
	return n;
}

// special plays the calls that need more than numbers; 0 if word is none.
static int special(const char *word, unsigned long *v)
{
	static unsigned long mask;
	long r;
	if (!strcmp(word, "brk")) {
		r = NR(brk, heap + v[0]);
		result(r < 0 ? r : r - heap);
	} else if (!strcmp(word, "read") || !strcmp(word, "write") || !strcmp(word, "execute")) {
		touch(v[0], *word == 'r' ? 0 : *word == 'w' ? 1 : 2, v[1]);
		printf("\n");
	} else if (!strcmp(word, "mincore")) {
		show_core(v[0], v[1]);
	} else if (!strcmp(word, "contents")) {
		show_contents(v[0], v[0] + v[1]);
	} else if (!strcmp(word, "smaps")) {
		printf("\n");
		show_smaps();
	} else if (!strcmp(word, "file")) {
		show_file(v[0]);
	} else if (!strcmp(word, "fill")) { // a file, from us
		memset(buffer, v[3], sizeof buffer);
		result(NR(pwrite64, v[0], buffer, v[1] % sizeof buffer, v[2]));
	} else if (!strcmp(word, "mbind")) {
		mask = v[3];
		result(NR(mbind, v[0], v[1], v[2], &mask, v[4], v[5]));
	} else if (!strcmp(word, "set_mempolicy")) {
		mask = v[1];
		result(NR(set_mempolicy, v[0], &mask, v[2]));
	} else if (!strcmp(word, "process_madvise")) {
		struct iovec iov[2] = {{(void *)v[0], v[1]}, {(void *)v[2], v[3]}};
		result(NR(process_madvise, -10001, iov, 2, v[4], 0));
	} else {
		return 0;
	}
	return 1;
}

// step plays one line.
static void step(char *line)
{
	unsigned long v[6] = {0};
	char word[32];
	sscanf(line, "%31s %lx %lx %lx %lx %lx %lx", word, v, v + 1, v + 2, v + 3, v + 4, v + 5);
	printf("%s", line);
	if (special(word, v))
		return;
	if (!strcmp(word, "mremap") && v[1] > PAGE)
		printf(" of %d", lines(v[0], v[1]));
	if (!strcmp(word, "pwrite"))
		v[2] = readable(v[1], v[2]);
	long nr = number(word);
	result(nr ? raw(nr, v[0], v[1], v[2], v[3], v[4], v[5]) : -ENOSYS);
}

static void step_and_show(char *line)
{
	step(line);
	line[strcspn(line, " ")] = 0;
	if (changes_maps(line))
		show_maps_of_ours();
}

// play plays lines until "end" or the end of the script, or skips them.
static void play(char **at, int skip)
{
	while (**at) {
		char *line = *at, *end = strchr(line, '\n');
		*at = end + 1;
		*end = 0;
		if (!strcmp(line, "end"))
			return;
		if (!strcmp(line, "fork")) {
			if (skip) {
				play(at, 1);
				continue;
			}
			printf("fork");
			child(at);
		} else if (!skip) {
			step_and_show(line);
		}
	}
}

static void place(int fd, int at)
{
	if (dup2(fd, at) != at)
		exit(3);
	close(fd);
}

// files opens what scripts map: a file, twice, another, the program, and a memfd.
// The file, which has a name of its own for each script, may be there already, with what it
// would get here.
static void files(const char *program, const char *file)
{
	int there = open(file, O_RDONLY);
	if (there < 0)
		there = open(file, O_RDONLY | O_CREAT, 0600);
	struct stat s;
	fstat(there, &s);
	place(there, FILE_RO);
	place(open(file, O_RDWR), FILE_RW);
	place(open("g", O_RDWR | O_CREAT | O_TRUNC, 0600), MEMFD);
	place(open(program, O_RDONLY), PROGRAM);
	place(open("h", O_RDWR | O_CREAT | O_TRUNC, 0600), SCRATCH);
	place(memfd_create("sealable", MFD_ALLOW_SEALING), SEALABLE);
	for (int i = 0; i < 6; i++) {
		memset(buffer, 0xc3, PAGE);
		buffer[9] = i;
		if (s.st_size == 0)
			pwrite(FILE_RW, buffer, i == 5 ? 100 : PAGE, i * PAGE);
		pwrite(MEMFD, buffer, i == 5 ? 100 : PAGE, i * PAGE);
		pwrite(SEALABLE, buffer, i == 5 ? 100 : PAGE, i * PAGE);
	}
}

int main(int argc, char **argv)
{
	static char out[1 << 16], stack[1 << 16];
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
	long n, len = 0;
	setvbuf(stdout, out, _IOFBF, sizeof out);
	while ((n = read(0, script + len, sizeof script - 1 - len)) > 0)
		len += n;
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	heap = NR(brk, 0);
	for (char *p = script; *p;) { // "script N", its lines, an empty line
		char *next = strstr(p, "\n\n");
		if (next) {
			next[1] = 0;
			next += 2;
		}
		fflush(stdout);
		if (fork() == 0) {
			char *body = strchr(p, '\n') + 1;
			body[-1] = 0;
			printf("%s\n", p);
			char file[32] = "f";
			sscanf(p, "script %30s", file + 1);
			files(argv[0], file);
			while (*body) // an "end" too many ends nothing
				play(&body, 0);
			printf("contents");
			show_contents(PLACE, END);
			show_smaps();
			fflush(stdout);
			unlink(file);
			_exit(0);
		}
		int status;
		wait(&status);
		printf("ended %x\n", status);
		p = next ? next : p + strlen(p);
	}
	return 0;
}

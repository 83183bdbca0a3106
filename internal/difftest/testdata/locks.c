// Advisory locks: records of processes and of open files, flock, who waits, who is
// refused. The guest has an empty directory of its own.
#include "guest.h"
#include <sys/file.h>

static int child_pid;
static int a, b, c; // three opens of one file: read and write, the same, read only

static const char *lock_type(int t)
{
	return t == F_RDLCK ? "read" : t == F_WRLCK ? "write" : t == F_UNLCK ? "unlocked" : "?";
}

static const char *who(int pid)
{
	return pid == getpid() ? "self" : pid == getppid() ? "parent" : pid && pid == child_pid ? "child" : pid == -1 ? "nobody" : pid ? "other" : "0";
}

static void lock(int fd, int cmd, int type, int whence, long start, long len)
{
	struct flock l = {type, whence, start, len, 0};
	long r = raw(SYS_fcntl, fd, cmd, ARG(&l), 0, 0, 0);
	printf("fcntl(%d, %s, %s %d %ld %ld) = %s\n", fd, cmd == F_SETLK ? "SETLK" : cmd == F_SETLKW ? "SETLKW" : cmd == F_OFD_SETLK ? "OFD_SETLK" : "OFD_SETLKW",
	       lock_type(type), whence, start, len, outcome(r));
}

static void query(int fd, int cmd, int type, int whence, long start, long len)
{
	struct flock l = {type, whence, start, len, 0};
	long r = raw(SYS_fcntl, fd, cmd, ARG(&l), 0, 0, 0);
	printf("%s(%d, %s %d %ld %ld) = %s", cmd == F_GETLK ? "GETLK" : "OFD_GETLK", fd, lock_type(type), whence, start, len, outcome(r));
	printf(": %s whence %d start %ld len %ld pid %s\n", lock_type(l.l_type), l.l_whence, l.l_start, l.l_len, who(l.l_pid));
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

// locks reads the lines of /proc/locks on our file, and returns how many wait. Linux
// lists locks by the processor that took them: they are sorted, each with its waiters.
static int locks(int show)
{
	static char text[1 << 16], held[64][1024];
	int holders = 0;
	struct stat s;
	char key[64];
	fstat(a, &s);
	sprintf(key, ":%lu ", s.st_ino);
	int fd = open("/proc/locks", O_RDONLY), waiting = 0;
	long n, len = 0;
	while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n")) {
		int pid, arrow = strstr(l, "->") != NULL;
		char kind[16], mode[16], type[16], dev[64], from[32], to[32];
		if (!strstr(l, key) || sscanf(strchr(l, ' ') + (arrow ? 4 : 1), "%15s %15s %15s %d %63s %31s %31s", kind, mode, type, &pid, dev, from, to) != 7)
			continue;
		waiting += arrow;
		if (!arrow)
			held[holders++][0] = 0;
		char *to_here = held[holders - 1] + strlen(held[holders - 1]);
		sprintf(to_here, "  %s%s %s %s %s %s %s\n", arrow ? "-> " : "", kind, mode, type, who(pid), from, to);
	}
	qsort(held, holders, sizeof *held, by_text);
	for (int i = 0; show && i < holders; i++)
		printf("%s", held[i]);
	return waiting;
}

static void await_waiters(int n)
{
	while (locks(0) < n)
		sched_yield();
}

// children start with nothing in the buffer.
static int start(void)
{
	fflush(stdout);
	return child_pid = fork();
}

static void finish(void)
{
	int st;
	wait(&st);
	printf("status %x\n", st);
	child_pid = 0;
}

static void nothing(int sig) {}

static void ranges(void)
{
	for (int fd = a; fd <= c; fd++) {
		lock(fd, F_SETLK, F_RDLCK, SEEK_SET, 0, 1);
		lock(fd, F_SETLK, F_WRLCK, SEEK_SET, 0, 1);
		lock(fd, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
	}
	long starts[] = {0, 1, 10, -1, -1000, 0x7fffffffffffffff, -0x7fffffffffffffff - 1}, lens[] = {0, 1, -1, -11, 0x7fffffffffffffff, -0x7fffffffffffffff - 1};
	lseek(a, 20, SEEK_SET);
	for (int whence = -1; whence <= 3; whence++)
		for (unsigned i = 0; i < sizeof starts / sizeof *starts; i++)
			for (unsigned j = 0; j < sizeof lens / sizeof *lens; j++) {
				lock(a, F_SETLK, F_WRLCK, whence, starts[i], lens[j]);
				locks(1);
				lock(a, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
			}
	lock(a, F_SETLK, 7, SEEK_SET, 0, 0);
	lock(a, F_SETLK, 7, 9, 0, 0);
	lock(99, F_SETLK, F_RDLCK, SEEK_SET, 0, 0);
	query(a, F_GETLK, F_UNLCK, SEEK_SET, 0, 0);
	query(a, F_GETLK, 7, SEEK_SET, 0, 0);
	query(a, F_GETLK, F_RDLCK, 9, 0, 0);
	query(c, F_GETLK, F_WRLCK, SEEK_CUR, 3, 4);
	query(c, F_OFD_GETLK, F_UNLCK, SEEK_CUR, 3, 4);
	CALL(fcntl, a, F_SETLK, 8);
	CALL(fcntl, a, F_GETLK, 8);
	struct flock l = {F_RDLCK, 0, 0, 0, 5};
	CALL(fcntl, a, F_OFD_SETLK, &l);
	CALL(fcntl, a, F_OFD_GETLK, &l);
	l.l_type = F_WRLCK;
	CALL(fcntl, c, F_OFD_SETLK, &l);
	int p = open(".", O_PATH);
	CALL(fcntl, p, F_SETLK, &l);
	CALL(flock, p, LOCK_SH);
	close(p);
}

// Locks of one owner are merged, split, changed.
static void merging(void)
{
	struct { int type; long from, len; } steps[] = {
		{F_WRLCK, 10, 10}, {F_WRLCK, 30, 10}, {F_WRLCK, 20, 10}, {F_RDLCK, 15, 10}, {F_UNLCK, 17, 2}, {F_RDLCK, 0, 100}, {F_WRLCK, 50, 1}, {F_WRLCK, 51, 1},
		{F_UNLCK, 99, 0}, {F_WRLCK, 200, 0}, {F_RDLCK, 300, 5}, {F_UNLCK, 250, 0}, {F_WRLCK, 52, 148}, {F_UNLCK, 0, 1}, {F_UNLCK, 1, 1}, {F_RDLCK, 0, 0}, {F_UNLCK, 5, 5}, {F_WRLCK, 5, 5},
	};
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		lock(a, F_SETLK, steps[i].type, SEEK_SET, steps[i].from, steps[i].len);
		if (start() == 0) { // who is in its way, from everywhere
			for (long at = 0; at < 320;) {
				struct flock l = {F_WRLCK, SEEK_SET, at, 0, 0};
				if (fcntl(b, F_GETLK, &l) || l.l_type == F_UNLCK)
					break;
				printf("  %s %ld %ld %s\n", lock_type(l.l_type), l.l_start, l.l_len, who(l.l_pid));
				if (l.l_len == 0)
					break;
				at = l.l_start + l.l_len;
			}
			fflush(stdout);
			_exit(0);
		}
		finish();
	}
	lock(a, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
}

// Open files' locks, processes' locks, and flock's.
static void families(void)
{
	lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
	lock(b, F_SETLK, F_WRLCK, SEEK_SET, 5, 10);
	lock(b, F_OFD_SETLK, F_RDLCK, SEEK_SET, 5, 10);
	query(b, F_OFD_GETLK, F_RDLCK, SEEK_SET, 5, 10);
	lock(b, F_OFD_SETLK, F_RDLCK, SEEK_SET, 20, 10);
	query(a, F_OFD_GETLK, F_WRLCK, SEEK_SET, 0, 0);
	query(b, F_OFD_GETLK, F_UNLCK, SEEK_SET, 0, 0);
	query(b, F_OFD_GETLK, F_WRLCK, SEEK_SET, 20, 0);
	query(a, F_GETLK, F_WRLCK, SEEK_SET, 0, 0);
	lock(a, F_OFD_SETLK, F_RDLCK, SEEK_SET, 25, 0);
	lock(a, F_OFD_SETLK, F_WRLCK, SEEK_SET, 25, 0);
	CALL(flock, a, LOCK_EX | LOCK_NB);
	CALL(flock, b, LOCK_SH | LOCK_NB);
	CALL(flock, c, LOCK_EX | LOCK_NB);
	CALL(flock, a, LOCK_SH | LOCK_NB);
	CALL(flock, b, LOCK_SH | LOCK_NB);
	CALL(flock, c, LOCK_SH);
	CALL(flock, c, LOCK_SH);
	CALL(flock, a, LOCK_EX | LOCK_NB); // and loses what it had
	locks(1);
	CALL(flock, a, LOCK_UN);
	CALL(flock, a, 0);
	CALL(flock, a, LOCK_EX | LOCK_SH);
	CALL(flock, a, LOCK_NB);
	CALL(flock, a, LOCK_MAND | LOCK_READ);
	CALL(flock, 99, 77);
	CALL(flock, 99, LOCK_EX);
	// A child has none of the process's locks, but shares the open files'.
	if (start() == 0) {
		lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 1);
		query(a, F_GETLK, F_WRLCK, SEEK_SET, 0, 0);
		lock(b, F_OFD_SETLK, F_WRLCK, SEEK_SET, 20, 2);
		CALL(flock, b, LOCK_UN);
		lock(a, F_SETLK, F_RDLCK, SEEK_SET, 100, 1);
		close(a);
		fflush(stdout);
		_exit(0);
	}
	finish();
	locks(1);
	// Any close drops the process's, the last one the open file's.
	int d = dup(b);
	close(d);
	locks(1);
	d = open("file", O_RDWR);
	lock(d, F_OFD_SETLK, F_WRLCK, SEEK_SET, 70, 1);
	CALL(flock, c, LOCK_UN);
	CALL(flock, d, LOCK_EX);
	int e = dup(d);
	close(d);
	locks(1);
	close(e);
	locks(1);
	lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
	dup2(b, c); // closes c
	locks(1);
	close(c);
	c = open("file", O_RDONLY);
	lock(b, F_OFD_SETLK, F_UNLCK, SEEK_SET, 0, 0);
	lock(a, F_OFD_SETLK, F_UNLCK, SEEK_SET, 0, 0);
	locks(1);
	// A file that has no name any more, and another with its name.
	int gone = open("gone", O_RDWR | O_CREAT, 0600), pipes[2];
	lock(gone, F_SETLK, F_WRLCK, SEEK_SET, 0, 0);
	unlink("gone");
	int other = open("gone", O_RDWR | O_CREAT, 0600);
	if (start() == 0) {
		lock(gone, F_SETLK, F_RDLCK, SEEK_SET, 0, 0);
		lock(other, F_SETLK, F_RDLCK, SEEK_SET, 0, 0);
		fflush(stdout);
		_exit(0);
	}
	finish();
	close(gone), close(other), unlink("gone");
	if (pipe(pipes))
		exit(1);
	CALL(flock, pipes[0], LOCK_EX | LOCK_NB);
	CALL(flock, pipes[1], LOCK_EX | LOCK_NB);
	close(pipes[0]), close(pipes[1]);
}

// Who waits gets the lock, or is interrupted, or told that it would be for ever.
static void waiting(void)
{
	int up[2];
	char ch;
	if (pipe(up))
		exit(1);
	lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
	if (start() == 0) {
		lock(b, F_SETLKW, F_WRLCK, SEEK_SET, 5, 10);
		fflush(stdout);
		_exit(0);
	}
	await_waiters(1);
	locks(1);
	lock(a, F_SETLK, F_UNLCK, SEEK_SET, 0, 5);
	await_waiters(1);
	locks(1);
	lock(a, F_SETLK, F_RDLCK, SEEK_SET, 5, 5);
	await_waiters(1);
	locks(1);
	fflush(stdout);
	lock(a, F_SETLK, F_UNLCK, SEEK_SET, 5, 5);
	finish();
	// Interrupted, with and without going on.
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
		CALL(flock, c, LOCK_EX);
		for (int kind = 0; kind < 3; kind++) {
			if (start() == 0) {
				struct sigaction act = {.sa_handler = nothing, .sa_flags = flags};
				sigaction(SIGUSR1, &act, NULL);
				if (kind == 0)
					lock(b, F_SETLKW, F_RDLCK, SEEK_SET, 0, 0);
				else if (kind == 1)
					lock(b, F_OFD_SETLKW, F_RDLCK, SEEK_SET, 0, 0);
				else
					CALL(flock, b, LOCK_SH);
				fflush(stdout);
				_exit(0);
			}
			await_waiters(1);
			kill(child_pid, SIGUSR1);
			if (flags) {
				await_waiters(1);
				kill(child_pid, SIGKILL);
			}
			finish();
		}
		CALL(flock, c, LOCK_UN);
		printf("%d wait\n", locks(1));
		lock(a, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
	}
	// A circle of two.
	lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 1);
	if (start() == 0) {
		lock(b, F_SETLK, F_WRLCK, SEEK_SET, 1, 1);
		fflush(stdout);
		if (write(up[1], "x", 1) != 1)
			_exit(1);
		lock(b, F_SETLKW, F_WRLCK, SEEK_SET, 0, 1);
		fflush(stdout);
		_exit(0);
	}
	if (read(up[0], &ch, 1) != 1)
		exit(1);
	await_waiters(1);
	lock(a, F_SETLKW, F_WRLCK, SEEK_SET, 1, 1);
	lock(a, F_SETLKW, F_RDLCK, SEEK_SET, 1, 1);
	lock(a, F_SETLK, F_RDLCK, SEEK_SET, 1, 1);
	close(c); // all go
	finish();
	c = open("file", O_RDONLY);
	// The end of a process is the end of its locks.
	if (start() == 0) {
		lock(b, F_SETLK, F_WRLCK, SEEK_SET, 0, 1);
		fflush(stdout);
		if (write(up[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	if (read(up[0], &ch, 1) != 1)
		exit(1);
	lock(a, F_SETLK, F_WRLCK, SEEK_SET, 0, 1);
	query(a, F_GETLK, F_RDLCK, SEEK_SET, 0, 1);
	kill(child_pid, SIGKILL);
	lock(a, F_SETLKW, F_WRLCK, SEEK_SET, 0, 1);
	finish();
	locks(1);
}

static void leases(void)
{
	CALL(fcntl, c, F_GETLEASE);
	CALL(fcntl, c, F_SETLEASE, F_UNLCK);
	CALL(fcntl, c, F_SETLEASE, F_RDLCK);
	CALL(fcntl, c, F_SETLEASE, 99);
	CALL(fcntl, c, F_NOTIFY, 4);
}

int main(void)
{
	char text[100] = "";
	a = open("file", O_RDWR | O_CREAT, 0600), b = open("file", O_RDWR), c = open("file", O_RDONLY);
	if (write(a, text, sizeof text) != sizeof text)
		return 1;
	ranges();
	merging();
	families();
	waiting();
	leases();
	unlink("file");
	return 0;
}

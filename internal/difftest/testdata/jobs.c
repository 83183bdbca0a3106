// Terminals and sessions: who has a terminal, who is in its foreground, whom it
// signals.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>

static int m, s;
static volatile sig_atomic_t got[65];

static void count(int sig) { got[sig]++; }

// signals prints the signals that came, and forgets them.
static void signals(const char *when)
{
	printf("%s:", when);
	for (int i = 1; i < 32; i++)
		if (got[i]) {
			printf(" SIG%s", sigabbrev_np(i));
			got[i] = 0;
		}
	printf("\n");
}

static void handle(int sig, void (*h)(int), int flags)
{
	struct sigaction a = {.sa_handler = h, .sa_flags = flags};
	sigaction(sig, &a, NULL);
}

static void handle_all(void)
{
	static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGTTIN, SIGTTOU, SIGWINCH};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		handle(all[i], count, 0);
}

static void settle(void)
{
	struct pollfd p[2] = {{m, POLLIN}, {s, POLLIN}};
	struct timespec t = pace(1);
	poll(p, 2, 0);
	nanosleep(&t, NULL);
}

static void type(const char *b)
{
	write(m, b, strlen(b));
	settle();
}

// who names a process group or session.
static const char *who(int id)
{
	if (id == 0)
		return "nobody";
	return id == getpid() ? "me" : id == getppid() ? "my parent" : "another";
}

static void state(const char *when, int fd)
{
	int pgrp = -1, sid = -1;
	printf("%s: foreground %s", when, outcome(NR(ioctl, fd, TIOCGPGRP, &pgrp)));
	printf(" %s", who(pgrp));
	printf(", session %s", outcome(NR(ioctl, fd, TIOCGSID, &sid)));
	printf(" %s\n", who(sid));
}

// stat prints the terminal's device and foreground of /proc/self/stat.
static void stat_line(const char *when)
{
	char b[1000];
	int fd = open("/proc/self/stat", O_RDONLY), tty = 0, pgrp = 0, pos = 0;
	long n = read(fd, b, sizeof b - 1);
	close(fd);
	b[n] = 0;
	char *p = strrchr(b, ')');
	sscanf(p + 2, "%*c %*d %*d %*d %d %d%n", &tty, &pgrp, &pos);
	printf("%s: terminal %d:%s, foreground %s\n", when, tty >> 8, tty ? "N" : "0", pgrp == -1 ? "none" : who(pgrp));
}

static void dev_tty(const char *when)
{
	int fd = open("/dev/tty", O_RDWR);
	printf("%s: /dev/tty %s", when, fd < 0 ? strerrorname_np(errno) : "opened");
	if (fd >= 0) {
		struct stat st;
		char link[100] = "", path[100];
		fstat(fd, &st);
		sprintf(path, "/proc/self/fd/%d", fd);
		printf(" device %d:%d, link %d", major(st.st_rdev), minor(st.st_rdev), readlink(path, link, 99) > 0);
		printf(" %s, terminal %d", link, isatty(fd));
		close(fd);
	}
	printf("\n");
}

static void leader(void)
{
	CALL(ioctl, s, TIOCSCTTY, 0);
	state("before", s);
	setsid();
	dev_tty("a new session");
	state("a new session", s);
	stat_line("a new session");
	CALL(ioctl, s, TIOCNOTTY, 0);
	int other = open(ptsname(m), O_RDWR | O_NOCTTY);
	dev_tty("opened with O_NOCTTY");
	close(other);
	other = open(ptsname(m), O_WRONLY);
	dev_tty("opened for writing");
	close(other);
	close(open(ptsname(m), O_RDWR));
	dev_tty("opened");
	state("opened", s);
	state("the master says", m);
	stat_line("opened");
	CALL(ioctl, s, TIOCSCTTY, 0);
	CALL(setsid, 0);
	CALL(ioctl, m, TIOCSPGRP, &(int){getpid()});
	CALL(ioctl, s, TIOCSPGRP, &(int){-1});
	CALL(ioctl, s, TIOCSPGRP, &(int){0x3fffff});
	CALL(ioctl, s, TIOCSPGRP, &(int){1});
	CALL(ioctl, s, TIOCSPGRP, &(int){getpid()});
	CALL(ioctl, s, TIOCSPGRP, 8);
	CALL(ioctl, s, TIOCGPGRP, 8);
	CALL(ioctl, m, TIOCNOTTY, 0);
}

// await_sleep returns when a process waits in a call.
static void await_sleep(int pid)
{
	char path[32], b[1000];
	char *p;
	sprintf(path, "/proc/%d/stat", pid);
	do {
		sched_yield();
		int fd = open(path, O_RDONLY);
		long n = read(fd, b, sizeof b - 1);
		close(fd);
		b[n < 0 ? 0 : n] = 0;
		p = strrchr(b, ')');
	} while (p && p[2] != 'S');
}

static void keys(void)
{
	handle_all();
	type("\003");
	signals("interrupt");
	type("\034");
	signals("quit");
	type("\032");
	signals("stop");
	struct winsize w = {10, 20, 1, 2};
	CALL(ioctl, m, TIOCSWINSZ, &w);
	settle();
	signals("size");
	CALL(ioctl, s, TIOCSWINSZ, &w);
	settle();
	signals("the same size");
	memset(&w, 0, sizeof w);
	CALL(ioctl, s, TIOCGWINSZ, &w);
	printf("%d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	CALL(ioctl, m, TIOCSIG, SIGINT);
	CALL(ioctl, m, TIOCSIG, SIGKILL);
	CALL(ioctl, s, TIOCSIG, SIGINT);
	settle();
	signals("sent");
	char b[10];
	CALL(ioctl, s, TIOCSTI, "x");
	CALL(ioctl, s, TIOCSTI, "\n");
	CALL(ioctl, s, TIOCSTI, 8);
	CALL(read, s, b, 10);
	if (fork() == 0) {
		await_sleep(getppid());
		type("\003");
		_exit(0);
	}
	CALL(read, s, b, 10);
	signals("while reading");
	while (wait(NULL) < 0)
		;
	handle(SIGINT, count, SA_RESTART);
	if (fork() == 0) {
		await_sleep(getppid());
		type("\003");
		type("line\n");
		_exit(0);
	}
	CALL(read, s, b, 10);
	signals("while reading, restarted");
	while (wait(NULL) < 0)
		;
}

// background does what the foreground may, from another group.
static void background(void)
{
	struct termios t;
	char b[10];
	int status;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		handle_all();
		state("in the background", s);
		CALL(read, s, b, 10);
		signals("read");
		tcgetattr(s, &t);
		CALL(ioctl, s, TCSETS, &t);
		signals("settings");
		CALL(ioctl, s, TCFLSH, 0);
		signals("flush");
		CALL(write, s, "x", 1);
		signals("write");
		t.c_lflag |= TOSTOP;
		handle(SIGTTOU, SIG_IGN, 0);
		CALL(ioctl, s, TCSETS, &t);
		CALL(write, s, "x", 1);
		handle(SIGTTOU, count, 0);
		CALL(write, s, "x", 1);
		signals("write that is to stop");
		CALL(ioctl, s, TIOCSPGRP, &(int){getpid()});
		signals("come to the front");
		handle(SIGTTIN, SIG_IGN, 0);
		CALL(read, s, b, 10);
		sigset_t set;
		handle(SIGTTIN, count, 0);
		sigemptyset(&set);
		sigaddset(&set, SIGTTIN);
		sigaddset(&set, SIGTTOU);
		sigprocmask(SIG_BLOCK, &set, NULL);
		CALL(read, s, b, 10);
		CALL(ioctl, s, TIOCSPGRP, &(int){getpid()});
		state("in the foreground", s);
		stat_line("in the foreground");
		tcgetattr(s, &t);
		t.c_lflag &= ~TOSTOP;
		CALL(ioctl, s, TCSETS, &t);
		type("\003");
		signals("interrupt");
		CALL(ioctl, s, TIOCSPGRP, &(int){getppid()});
		fflush(stdout);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		handle(SIGTTIN, SIG_DFL, 0);
		read(s, b, 10);
		printf("went on\n");
		handle(SIGTTIN, SIG_IGN, 0);
		CALL(ioctl, s, TIOCNOTTY, 0);
		dev_tty("without a terminal");
		stat_line("without a terminal");
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(child, &status, WUNTRACED) < 0)
		;
	printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	fflush(stdout);
	handle(SIGTTOU, SIG_IGN, 0);
	tcsetpgrp(s, child);
	type("hello\n");
	kill(child, SIGCONT);
	while (waitpid(child, &status, 0) < 0)
		;
	printf("ended with %d\n", status);
	tcsetpgrp(s, getpid());
	signals("the parent got");
	tcflush(s, TCIOFLUSH);
}

static void masters(void)
{
	int n = -1, other = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	CALL(ioctl, other, TIOCGPTN, &n);
	CALL(ioctl, other, TIOCGPTLCK, &n);
	printf("locked %d\n", n);
	printf("open %s\n", outcome(NR(openat, AT_FDCWD, ptsname(other), O_RDWR | O_NOCTTY, 0)));
	CALL(ioctl, other, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	CALL(ioctl, other, TIOCSPTLCK, 8);
	CALL(ioctl, other, TIOCSPTLCK, &(int){0});
	int peer = ioctl(other, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	printf("peer flags %x %x\n", fcntl(peer, F_GETFL) & (O_ACCMODE | O_NONBLOCK), fcntl(peer, F_GETFD));
	struct stat a, b;
	char path[100];
	fstat(peer, &a);
	stat(ptsname(other), &b);
	printf("the same %d, mode %o, inode %ld, device %d, block %ld\n", a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_rdev == b.st_rdev,
	       a.st_mode, (long)a.st_ino - minor(a.st_rdev), major(a.st_rdev), (long)a.st_blksize);
	sprintf(path, "/proc/self/fd/%d", peer);
	char link[100] = "";
	readlink(path, link, 99);
	printf("name %d ttyname %d\n", strcmp(link, ptsname(other)), strcmp(ttyname(peer), ptsname(other)));
	fstat(other, &a);
	printf("master mode %o device %d:%d\n", a.st_mode, major(a.st_rdev), minor(a.st_rdev));
	CALL(ioctl, peer, TIOCGPTN, &n);
	CALL(ioctl, peer, TIOCGPTPEER, O_RDWR);
	CALL(ioctl, peer, TIOCGDEV, &n);
	printf("device %x\n", n >> 8);
	CALL(ioctl, other, TIOCGDEV, &n);
	printf("device %x\n", n >> 8);
	static const unsigned long odd[] = {
		TIOCGETD, TIOCMGET, TIOCMSET, TIOCGICOUNT, TIOCGSERIAL, TIOCSBRK, TIOCCBRK, TCSBRKP, TIOCOUTQ, TIOCEXCL, TIOCGEXCL, TIOCNXCL,
		TIOCGSOFTCAR, 0x5456, TIOCLINUX, 0x5432, TCGETA, 2, FIOQSIZE, FIOASYNC, 0x5499, TIOCPKT, TIOCGPKT, TIOCSPTLCK, TIOCGPTLCK,
	};
	for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
		long zero[40] = {0}, again[40] = {0};
		printf("ioctl %#lx: %s", odd[i], outcome(NR(ioctl, peer, odd[i], zero)));
		printf(" %d, master %s", (int)zero[0], outcome(NR(ioctl, other, odd[i], again)));
		printf(" %d\n", (int)again[0]);
	}
	for (int i = -1; i < 5; i++) {
		CALL(ioctl, peer, TCFLSH, i);
		CALL(ioctl, other, TCFLSH, i);
		CALL(ioctl, other, TCXONC, i);
		CALL(ioctl, peer, TIOCSETD, &i);
	}
	CALL(ioctl, other, TCXONC, TCOON);
	CALL(ioctl, peer, TCSBRK, 1);
	CALL(ioctl, other, TCSBRK, 0);
	CALL(lseek, peer, 0, 0);
	CALL(lseek, other, 0, 0);
	CALL(pread64, other, path, 1, 0);
	CALL(ftruncate, peer, 0);
	CALL(fsync, peer);
	CALL(mmap, 0, PAGE, PROT_READ, MAP_SHARED, peer, 0);
	close(other);
	close(peer);
	CALL(openat, AT_FDCWD, "/dev/pts/ptmx/x", O_RDWR, 0);
	CALL(openat, AT_FDCWD, "/dev/pts/99999", O_RDWR, 0);
	CALL(openat, AT_FDCWD, "/dev/pts/00", O_RDWR, 0);
	CALL(openat, AT_FDCWD, "/dev/pts/-1", O_RDWR, 0);
	other = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY);
	printf("the other ptmx %d\n", ioctl(other, TIOCGPTN, &n));
	close(other);
	stat("/dev/pts", &a);
	printf("directory %o, inode %ld\n", a.st_mode, (long)a.st_ino);
}

static void speeds(void)
{
	struct { unsigned i, o, c, l; unsigned char line, cc[19]; unsigned in, out; } t;
	static const unsigned flags[] = {0, 1, 13, 15, 0x1001, 0x100f, 0x1000, 0xd000d, 0x10001000, 0x1000000d};
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		memset(&t, 0, sizeof t);
		ioctl(s, 0x802c542a, &t);
		t.c = flags[i] | PARENB | CS5 | CLOCAL;
		t.in = 1234;
		t.out = 5678;
		t.line = i;
		printf("speed %#x: %s", flags[i], outcome(NR(ioctl, s, 0x402c542b, &t)));
		memset(&t, 0, sizeof t);
		ioctl(s, 0x802c542a, &t);
		printf(" %x %u %u line %d\n", t.c, t.in, t.out, t.line);
	}
}

// hangup: the leader of a session and its foreground are told.
static void hangup(void)
{
	int p[2];
	char b[100];
	sigset_t all, none;
	pipe(p);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) { // in another group, to see what the leader's end brings
		setpgid(0, 0);
		handle_all();
		close(m);
		sigfillset(&all);
		sigemptyset(&none);
		sigprocmask(SIG_BLOCK, &all, NULL);
		write(p[1], "r", 1);
		while (!got[SIGCONT]) // which is sent last
			sigsuspend(&none);
		signals("the other group");
		dev_tty("the other group");
		fflush(stdout);
		_exit(0);
	}
	read(p[0], b, 1);
	handle(SIGTTOU, SIG_IGN, 0);
	tcsetpgrp(s, child);
	close(m);
	settle();
	signals("hung up");
	dev_tty("hung up");
	stat_line("hung up");
	CALL(ioctl, s, TIOCGPGRP, b);
	fflush(stdout);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	unlockpt(m);
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	int done[2], alone[2];
	pipe(done), pipe(alone);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		alarm(50 + pace(100).tv_sec);
		close(alone[1]);
		read(alone[0], &child, 1); // until nobody else has the master
		void (*parts[])(void) = {leader, keys, background, masters, speeds, hangup};
		const char *names[] = {"leader", "keys", "background", "masters", "speeds", "hangup"};
		for (int i = 0; i < 6; i++) {
			printf("#### %s\n", names[i]);
			parts[i]();
		}
		fflush(stdout);
		_exit(0);
	}
	close(m);
	close(s);
	close(alone[1]);
	close(done[1]);
	wait(NULL);
	read(done[0], &child, 1); // until all of the child's children are gone
	printf("done\n");
	return 0;
}

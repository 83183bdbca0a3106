// Pseudoterminals: what a line discipline makes of what is typed and written.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

static int m, s; // master and terminal

// bytes prints b so that every byte can be seen.
static void bytes(const char *what, const char *b, long n)
{
	printf("%s %ld: ", what, n);
	if (n < 0)
		printf("%s", strerrorname_np(errno));
	for (long i = 0; i < n; i++)
		if (b[i] >= ' ' && b[i] < 127 && b[i] != '\\')
			putchar(b[i]);
		else
			printf("\\%03o", b[i] & 255);
	printf("\n");
}

// ready prints what poll says.
static void ready(const char *what, int fd, int events)
{
	struct pollfd p = {fd, events};
	int n = poll(&p, 1, 0);
	printf("%s: poll %d %#x\n", what, n, p.revents);
}

// settle waits until the other end has seen what was written. On Linux a kernel thread
// passes it on: poll waits for that if there is nothing to read yet, else it takes time.
static void settle(void)
{
	struct pollfd p[2] = {{m, POLLIN}, {s, POLLIN}};
	struct timespec t = pace(1);
	if (poll(p, 2, 0) > 0)
		nanosleep(&t, NULL);
}

static void type(const char *b, long n)
{
	long done = write(m, b, n);
	if (done != n)
		bytes("typed only", b, done);
	settle();
}

// screen prints what the master has to read.
static void screen(const char *when)
{
	char b[4096];
	long n = 0, got;
	struct pollfd p = {m, POLLIN};
	settle();
	while (n < (long)sizeof b && poll(&p, 1, 0) > 0 && p.revents & POLLIN && (got = read(m, b + n, sizeof b - n)) > 0) {
		n += got;
		settle();
	}
	bytes(when, b, n);
}

// lines prints what the terminal has to read.
static void lines(const char *when)
{
	char b[5000];
	struct pollfd p = {s, POLLIN};
	int queued = -1;
	ioctl(s, FIONREAD, &queued);
	printf("%s: %d queued\n", when, queued);
	while (poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
		long n = read(s, b, sizeof b);
		bytes("  read", b, n);
		if (n < 0)
			break;
	}
}

static void both(const char *what, const char *typed, long n)
{
	printf("-- %s\n", what);
	type(typed, n);
	screen("  screen");
	lines("  lines");
}
#define BOTH(what, typed) both(what, typed, sizeof typed - 1)

static struct termios first;

// set changes the settings: flags to set and to clear.
static void set(tcflag_t i, tcflag_t noi, tcflag_t o, tcflag_t noo, tcflag_t l, tcflag_t nol)
{
	struct termios t = first;
	t.c_iflag = (t.c_iflag | i) & ~noi;
	t.c_oflag = (t.c_oflag | o) & ~noo;
	t.c_lflag = (t.c_lflag | l) & ~nol;
	t.c_cc[VEOL] = ';';
	t.c_cc[VEOL2] = '!';
	tcsetattr(s, TCSANOW, &t);
	settle();
}

static void editing(void)
{
	BOTH("a line", "hello\n");
	BOTH("two lines", "one\ntwo\n");
	BOTH("carriage return", "cr\r");
	BOTH("no end", "abc");
	BOTH("erase", "\177\177x\n");
	BOTH("erase too much", "\177\177\177a\177\177\n");
	BOTH("kill", "to be killed\025alive\n");
	BOTH("word", "one two_3  \027four\n");
	BOTH("words", "a.b,c  d\027\027\027\n");
	BOTH("literal", "a\026\003b\026\026c\026\n.\n");
	BOTH("literal end", "a\026\004\n");
	BOTH("reprint", "abc\022def\n");
	BOTH("control", "a\001b\033c\177\177\177\177\n");
	BOTH("tabs", "a\tbc\t\177\177\177d\t\001\t\177\177x\n");
	BOTH("end of file", "abc\004");
	BOTH("end of file alone", "\004");
	BOTH("twice", "a\004\004b\n");
	BOTH("latin", "\344\366\377\177\n");
	BOTH("nul", "a\0b\n");
	set(0, 0, 0, 0, 0, 0);
	BOTH("other ends", "a;b!c\n");
	set(0, 0, 0, 0, 0, IEXTEN);
	BOTH("no extensions", "a;b!c\027\026\022\n");
	set(IUTF8, 0, 0, 0, 0, 0);
	BOTH("utf8", "\303\244\303\266x\177\177\n");
	BOTH("broken utf8", "a\200\177\n");
	set(ISTRIP, 0, 0, 0, 0, 0);
	BOTH("strip", "\341\342\n");
	set(IUCLC, 0, 0, 0, 0, 0);
	BOTH("lower", "ABC xyz\n");
	set(IGNCR, 0, 0, 0, 0, 0);
	BOTH("no returns", "a\rb\n");
	set(INLCR, ICRNL, 0, 0, 0, 0);
	BOTH("line feeds are returns", "a\nb\r\004");
	set(0, ICRNL, 0, 0, 0, 0);
	BOTH("returns stay", "a\rb\n");
	set(PARMRK, 0, 0, 0, 0, 0);
	BOTH("marks", "a\377b\n");
}

static void echoes(void)
{
	static const struct { const char *name; tcflag_t on, off; } modes[] = {
		{"no echo", 0, ECHO}, {"newlines only", ECHONL, ECHO}, {"no ECHOE", 0, ECHOE}, {"no ECHOK", 0, ECHOK},
		{"no ECHOKE", 0, ECHOKE}, {"neither", 0, ECHOK | ECHOKE}, {"no ECHOCTL", 0, ECHOCTL}, {"printer", ECHOPRT, 0},
	};
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
		printf("== %s\n", modes[i].name);
		set(0, 0, 0, 0, modes[i].on, modes[i].off);
		BOTH("erase", "ab\001\177\177c\n");
		BOTH("kill", "abc\025d\n");
		BOTH("word", "ab cd\027e\n");
		BOTH("tab", "a\tb\177\177c\n");
		BOTH("all", "ab\177\177\177\n");
		BOTH("literal", "\026\001\n");
		BOTH("reprint", "ab\022\n");
	}
}

static void out(const char *what, const char *b, long n)
{
	printf("-- %s\n", what);
	long done = write(s, b, n);
	printf("wrote %ld\n", done);
	screen("  screen");
}
#define OUT(what, b) out(what, b, sizeof b - 1)

static void output(void)
{
	static const struct { const char *name; tcflag_t on, off; } modes[] = {
		{"as it is", 0, 0}, {"raw", 0, OPOST}, {"no ONLCR", 0, ONLCR}, {"OCRNL", OCRNL, 0}, {"ONOCR", ONOCR, 0}, {"ONLRET", ONLRET, ONLCR},
		{"OLCUC", OLCUC, 0}, {"tabs", XTABS, 0}, {"OCRNL ONLRET", OCRNL | ONLRET | ONOCR, 0},
	};
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
		printf("== %s\n", modes[i].name);
		set(0, 0, modes[i].on, modes[i].off, 0, 0);
		OUT("start", "\r\n");
		OUT("lines", "one\ntwo\r\n\nthree");
		OUT("returns", "\r\rx\ry\r\n");
		OUT("tabs", "\ta\tbcdefgh\t\b\b\tx\n");
		OUT("others", "\001\033\177\344\377z\n");
		BOTH("echo", "a\tb\rx\ty\177\177\n");
	}
	set(0, 0, 0, 0, 0, 0);
}

static void raw_mode(void)
{
	static const struct { int min, time; } waits[] = {{1, 0}, {0, 0}, {3, 0}, {0, 1}, {3, 1}, {200, 1}};
	for (unsigned i = 0; i < sizeof waits / sizeof *waits; i++) {
		struct termios t = first;
		char b[100];
		cfmakeraw(&t);
		t.c_cc[VMIN] = waits[i].min;
		t.c_cc[VTIME] = waits[i].time;
		tcsetattr(s, TCSANOW, &t);
		printf("== min %d time %d\n", waits[i].min, waits[i].time);
		type("ab\003\r\n\004\177", 7);
		struct pollfd p = {s, POLLIN};
		ready("now", p.fd, p.events);
		bytes("read 2", b, read(s, b, 2));
		bytes("read 0", b, read(s, b, 0));
		fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK);
		bytes("read what is there", b, read(s, b, sizeof b));
		bytes("read nothing", b, read(s, b, sizeof b));
		type("x", 1);
		ready("now", p.fd, p.events);
		fcntl(s, F_SETFL, O_RDWR);
		if (waits[i].min < 2 || waits[i].time)
			bytes("read one", b, read(s, b, sizeof b));
		if (waits[i].min == 0)
			bytes("wait in vain", b, read(s, b, sizeof b));
		type("abc", 3);
		bytes("read three", b, read(s, b, sizeof b));
		screen("  screen");
		tcflush(s, TCIOFLUSH);
	}
	printf("== from raw to lines and back\n");
	struct termios t = first;
	cfmakeraw(&t);
	tcsetattr(s, TCSANOW, &t);
	type("abc", 3);
	tcsetattr(s, TCSANOW, &first);
	lines("lines of what was raw");
	type("def", 3);
	tcsetattr(s, TCSANOW, &t);
	lines("raw of what was a line");
	type("ghi", 3);
	tcsetattr(s, TCSAFLUSH, &first);
	lines("flushed");
	t.c_lflag |= ECHO | ECHOCTL;
	tcsetattr(s, TCSANOW, &t);
	BOTH("echo in raw", "a\n\001\t\r");
	tcsetattr(s, TCSANOW, &first);
	screen("screen");
}

static void long_lines(void)
{
	static char b[5000], got[6000];
	struct termios t = first;
	t.c_lflag &= ~ECHO;
	tcsetattr(s, TCSANOW, &t);
	memset(b, 'a', sizeof b);
	type(b, sizeof b);
	type("b\n", 2);
	long n = read(s, got, sizeof got);
	printf("a long line: %ld, ends in %.2s\n", n, n > 2 ? got + n - 2 : "");
	type("hello world\n", 12);
	bytes("part", got, read(s, got, 5));
	bytes("rest", got, read(s, got, 100));
	type("abc\004d\n", 6);
	bytes("just the line", got, read(s, got, 3));
	bytes("the next", got, read(s, got, 100));
	tcsetattr(s, TCSANOW, &first);
}

static void flow(void)
{
	char b[10];
	BOTH("stop", "a\023b\n");
	fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK);
	bytes("write to what is stopped", "", write(s, "x", 1));
	struct pollfd p = {s, POLLOUT};
	ready("now", p.fd, p.events);
	BOTH("start", "\021c\n");
	ready("now", p.fd, p.events);
	CALL(ioctl, s, TCXONC, TCOOFF);
	bytes("write to what is off", "", write(s, "x", 1));
	BOTH("start does not", "\021d\n");
	CALL(ioctl, s, TCXONC, TCOON);
	screen("on");
	CALL(ioctl, s, TCXONC, TCIOFF);
	screen("please stop");
	CALL(ioctl, s, TCXONC, TCION);
	screen("please start");
	set(IXANY, 0, 0, 0, 0, 0);
	BOTH("any byte starts", "\023e\n");
	type("\023", 1);
	set(0, IXON, 0, 0, 0, 0);
	bytes("no flow control", "", write(s, "x", 1));
	screen("screen");
	BOTH("bytes like others", "a\023b\021\n");
	set(0, 0, 0, 0, 0, 0);
	fcntl(s, F_SETFL, O_RDWR);
	fcntl(m, F_SETFL, O_RDWR | O_NONBLOCK);
	bytes("nothing on the screen", b, read(m, b, 10));
	fcntl(m, F_SETFL, O_RDWR);
	type("pending", 7);
	CALL(ioctl, s, TCFLSH, TCIFLUSH);
	BOTH("flushed", "x\n");
}

static void packets(void)
{
	int on = 1;
	tcsetattr(s, TCSANOW, &first);
	CALL(ioctl, m, TIOCPKT, &on);
	on = 7;
	CALL(ioctl, m, TIOCGPKT, &on);
	printf("packet mode %d\n", on);
	struct pollfd p = {m, POLLIN | POLLPRI};
	OUT("data", "hello\n");
	type("\023", 1);
	ready("now", p.fd, p.events);
	screen("stopped");
	type("\021", 1);
	screen("started");
	CALL(ioctl, s, TCFLSH, TCIFLUSH);
	screen("flushed input");
	CALL(ioctl, s, TCFLSH, TCOFLUSH);
	screen("flushed output");
	set(0, IXON, 0, 0, 0, 0);
	screen("no stops");
	set(0, 0, 0, 0, 0, 0);
	screen("stops");
	set(0, 0, 0, 0, EXTPROC, 0);
	screen("external");
	BOTH("external", "ab\177\n");
	set(0, 0, 0, 0, 0, 0);
	screen("internal");
	type("a\003", 2);
	screen("interrupt");
	on = 0;
	CALL(ioctl, m, TIOCPKT, &on);
	BOTH("no packets", "x\n");
}

static void ends(void)
{
	char b[100];
	struct pollfd p = {m, POLLIN | POLLOUT};
	write(s, "last", 4);
	settle();
	close(s);
	settle();
	ready("now", p.fd, p.events);
	bytes("read", b, read(m, b, 100));
	bytes("read", b, read(m, b, 100));
	type("typed\n", 6);
	screen("echo to nobody");
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	ready("now", p.fd, p.events);
	lines("again");
	char name[100], fd[100];
	sprintf(fd, "/proc/self/fd/%d", s);
	strcpy(name, ptsname(m));
	close(m);
	ready("hung up", s, POLLIN | POLLOUT);
	bytes("read", b, read(s, b, 100));
	bytes("write", b, write(s, "x", 1));
	CALL(ioctl, s, TCGETS, b);
	CALL(ioctl, s, TIOCGPGRP, b);
	CALL(ioctl, s, TIOCSPGRP, b);
	CALL(ioctl, s, FIONREAD, b);
	CALL(ioctl, s, FIONBIO, "\0\0\0");
	struct stat st;
	fstat(s, &st);
	printf("links %ld\n", (long)st.st_nlink);
	printf("open %d %s\n", open(name, O_RDWR | O_NOCTTY), strerrorname_np(errno));
	printf("open %d %s\n", open(fd, O_RDWR | O_NOCTTY), strerrorname_np(errno));
	close(s);
}

static void fresh(void)
{
	m = posix_openpt(O_RDWR | O_NOCTTY);
	unlockpt(m);
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	tcgetattr(s, &first);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	signal(SIGALRM, SIG_DFL);
	alarm(50 + pace(500).tv_sec);
	void (*parts[])(void) = {editing, echoes, output, raw_mode, long_lines, flow, packets, ends};
	const char *names[] = {"editing", "echoes", "output", "raw", "long", "flow", "packets", "ends"};
	for (int i = 0; i < 8; i++) {
		printf("#### %s\n", names[i]);
		fresh();
		parts[i]();
		if (i < 7) {
			close(s);
			close(m);
		}
		fflush(stdout);
	}
	return 0;
}

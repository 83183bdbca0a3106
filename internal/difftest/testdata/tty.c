// A terminal as descriptors 0, 1 and 2: its settings, its size, a line of input.
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void settings(const char *when)
{
	struct termios t;
	memset(&t, 0, sizeof t);
	printf("%s: %s", when, outcome(NR(ioctl, 0, TCGETS, &t)));
	printf(" %x %x %x %x line %d cc", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
	for (int i = 0; i < 19; i++)
		printf(" %d", t.c_cc[i]);
	printf("\n");
}

int main(void)
{
	struct winsize w;
	struct termios t, old;
	char line[100];
	struct pollfd p = {0, POLLIN};
	printf("terminals %d %d %d\n", isatty(0), isatty(1), isatty(2));
	settings("at first");
	CALL(ioctl, 1, TIOCGWINSZ, &w);
	printf("%d x %d\n", w.ws_row, w.ws_col);
	CALL(ioctl, 0, TCGETS, 8);
	CALL(ioctl, 0, TIOCGWINSZ, 8);
	tcgetattr(0, &old);
	t = old;
	cfmakeraw(&t);
	CALL(ioctl, 0, TCSETS, &t);
	settings("raw");
	CALL(ioctl, 0, TCSETSW, &old);
	settings("as before");
	CALL(ioctl, 0, TCSETSF, 8);
	CALL(ioctl, 0, 0x12345, 0);
	CALL(lseek, 0, 0, 0);
	CALL(pread64, 0, line, 1, 0);
	struct stat s;
	printf("fstat %d mode %o major %ld\n", fstat(0, &s), s.st_mode & S_IFMT, (long)s.st_rdev >> 8);
	fflush(stdout);
	printf("poll %s", outcome(NR(poll, &p, 1, -1)));
	printf(" %#x\n", p.revents);
	int queued = 0;
	CALL(ioctl, 0, FIONREAD, &queued);
	printf("queued %d\n", queued);
	long n = read(0, line, sizeof line);
	printf("read %ld: %.*s", n, (int)n, line);
	return 0;
}

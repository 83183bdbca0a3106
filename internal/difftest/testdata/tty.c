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
	char link[100] = "";
	readlink("/proc/self/fd/0", link, sizeof link - 1);
	printf("names %d %d\n", strncmp(link, "/dev/pts/", 9), strcmp(ttyname(0), link));
	struct stat by_name;
	stat(link, &by_name);
	printf("found %d, inode %ld\n", by_name.st_dev == s.st_dev && by_name.st_rdev == s.st_rdev, (long)(s.st_ino - (s.st_rdev & 255)));
	CALL(ioctl, 0, TIOCSWINSZ, &w);
	CALL(ioctl, 0, TIOCSWINSZ, 8);
	CALL(ioctl, 0, TCFLSH, 9);
	CALL(ioctl, 0, TCXONC, 9);
	CALL(ioctl, 0, TCSBRK, 1);
	CALL(ioctl, 0, TIOCGPTN, line);
	CALL(ioctl, 0, TIOCGETD, line);
	CALL(ioctl, 0, 0x802c542a, line);
	int again = open(link, O_RDWR | O_NOCTTY);
	printf("opened again %d\n", isatty(again));
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

// Forks argv[1] rounds of 4 children that write to inherited pages, each of which forks once more.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static char pages[16 * 4096];
int main(int argc, char **argv) {
	(void)argc;
	for (int n = atoi(argv[1]); n > 0; n--) {
		for (int i = 0; i < 4; i++)
			if (fork() == 0) {
				for (int j = 0; j < 16; j++)
					pages[j * 4096] = (char)j;
				if (fork() == 0)
					_exit(1);
				wait(0);
				_exit(0);
			}
		for (int i = 0; i < 4; i++) {
			int status;
			if (wait(&status) < 0 || status)
				return 1;
		}
	}
	return 0;
}

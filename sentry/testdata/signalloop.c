// Sends itself argv[1] signals that it handles.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static void handler(int sig) { (void)sig; }
int main(int argc, char **argv) {
	(void)argc;
	signal(SIGUSR1, handler);
	for (long n = atol(argv[1]), self = getpid(); n > 0; n--)
		kill(self, SIGUSR1);
	return 0;
}

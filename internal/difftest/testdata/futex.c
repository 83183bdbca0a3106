// Futexes of one thread, and between processes through shared memory.
#include "guest.h"
#include <linux/futex.h>

int main(void)
{
	int word = 5, st;
	struct timespec t = {0, 2000000}, bad = {0, -1};
	char *at = (char *)&word;
	CALL(futex, &word, FUTEX_WAIT, 4, 0);
	CALL(futex, &word, FUTEX_WAIT_PRIVATE, 4, 0);
	CALL(futex, &word, FUTEX_WAIT_PRIVATE, 5, &t);
	CALL(futex, &word, FUTEX_WAIT, 5, &t);
	CALL(futex, &word, FUTEX_WAIT, 5, &bad);
	CALL(futex, &word, FUTEX_WAIT, 5, 8);
	CALL(futex, at + 1, FUTEX_WAIT, 5, &t);
	CALL(futex, 8, FUTEX_WAIT, 5, &t);
	CALL(futex, 8, FUTEX_WAIT_PRIVATE, 5, &t);
	CALL(futex, -4096, FUTEX_WAIT, 5, &t);
	CALL(futex, &word, FUTEX_WAKE, 1);
	CALL(futex, &word, FUTEX_WAKE_PRIVATE, 1);
	CALL(futex, at + 1, FUTEX_WAKE, 1);
	CALL(futex, 8, FUTEX_WAKE_PRIVATE, 1);
	CALL(futex, 8, FUTEX_WAKE, 1);
	CALL(futex, &word, FUTEX_WAKE_BITSET, 1, 0, 0, 0);
	CALL(futex, &word, FUTEX_WAKE_BITSET, 1, 0, 0, 1);
	CALL(futex, &word, FUTEX_WAIT_BITSET, 5, 0, 0, 0);
	struct timespec past = {0, 1};
	CALL(futex, &word, FUTEX_WAIT_BITSET, 5, &past, 0, -1);
	CALL(futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, 0, -1);
	CALL(futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 4, &past, 0, -1);
	word = 0;
	CALL(futex, &word, FUTEX_UNLOCK_PI, 0);
	CALL(futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0);
	CALL(futex, 8, FUTEX_UNLOCK_PI_PRIVATE, 0);
	CALL(futex, &word, 99, 0);
	CALL(futex, &word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0);
	// Between processes.
	volatile int *shared = mmap(0, PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		while (*shared == 0)
			NR(futex, shared, FUTEX_WAIT, 0, 0);
		*shared = 2;
		NR(futex, shared, FUTEX_WAKE, 1);
		_exit(0);
	}
	*shared = 1;
	NR(futex, shared, FUTEX_WAKE, 1);
	while (*shared == 1)
		NR(futex, shared, FUTEX_WAIT, 1, 0);
	waitpid(pid, &st, 0);
	printf("shared %d status %d\n", *shared, st);
	return 0;
}

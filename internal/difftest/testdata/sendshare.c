// Two processes send what they share: each byte goes out once. Not run natively: Linux
// reads a description's offset without a lock there.
#include "guest.h"
#include <sys/sendfile.h>

int main(void)
{
	static uint32_t all[1 << 17], got[1 << 17]; // numbers, each once
	const long pages = sizeof all / PAGE;
	static char seen[sizeof all / PAGE];
	for (unsigned i = 0; i < sizeof all / 4; i++)
		all[i] = i;
	int in = memfd_create("in", 0), out[2] = {memfd_create("a", 0), memfd_create("b", 0)};
	if (write(in, all, sizeof all) != sizeof all || lseek(in, 0, SEEK_SET))
		return 1;
	for (int c = 0; c < 2; c++)
		if (!fork()) {
			while (sendfile(out[c], in, NULL, PAGE) > 0)
				;
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	for (int c = 0; c < 2; c++) {
		long n = pread(out[c], got, sizeof got, 0);
		for (long p = 0; p < n / (long)PAGE; p++)
			seen[got[p * PAGE / 4] * 4 / PAGE]++;
	}
	for (long p = 0; p < pages; p++)
		if (seen[p] != 1) {
			printf("page %ld was sent %d times\n", p, seen[p]);
			return 1;
		}
	printf("each page once\n");
}

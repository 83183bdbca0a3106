// What the first program anyone runs does: arguments, environment, exit status.
#include "guest.h"

int main(int argc, char **argv, char **env)
{
	for (int i = 1; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	for (; *env; env++)
		printf("environment: %s\n", *env);
	fprintf(stderr, "to stderr\n");
	printf("stack at %p, main at %p, heap at %p\n", (void *)&argc, (void *)main, sbrk(0));
	return 7;
}

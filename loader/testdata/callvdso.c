/* callvdso opens the shared object argv[1] as a C library does, finds the functions
   of the vDSO by name and version, and calls them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

static void *find(void *so, const char *name)
{
	void *f = dlvsym(so, name, "LINUX_2.6");
	if (!f || f != dlsym(so, name))
		printf("%s: not found, or without its version\n", name);
	return f;
}

int main(int argc, char **argv)
{
	void *so = dlopen(argv[1], RTLD_NOW);
	if (!so) {
		printf("%s\n", dlerror());
		return 1;
	}
	struct timespec now, ours, step;
	struct timeval tv;
	unsigned cpu = -1, node = -1;
	int (*gettime)(clockid_t, struct timespec *) = find(so, "__vdso_clock_gettime");
	int (*getres)(clockid_t, struct timespec *) = find(so, "clock_getres");
	int (*getday)(struct timeval *, void *) = find(so, "__vdso_gettimeofday");
	time_t (*seconds)(time_t *) = find(so, "__vdso_time");
	int (*getcpu)(unsigned *, unsigned *, void *) = find(so, "__vdso_getcpu");
	clock_gettime(CLOCK_REALTIME, &now);
	if (gettime(CLOCK_REALTIME, &ours) || ours.tv_sec - now.tv_sec > 5 || getday(&tv, 0) || tv.tv_sec - now.tv_sec > 5 ||
	    seconds(0) - now.tv_sec > 5 || getcpu(&cpu, &node, 0) || cpu == -1u || getres(CLOCK_REALTIME, &step) || step.tv_nsec != 1)
		printf("a function answers wrongly\n");
	if (gettime(12345, &ours) != -22)
		printf("an error is not returned\n");
	printf("done\n");
	return 0;
}

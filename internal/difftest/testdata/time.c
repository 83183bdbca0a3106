// Clocks and sleeping: what is the same at any time.
#include "guest.h"
#include <sys/times.h>
#include <time.h>

static volatile int rings;

static void ring(int sig) { rings++; }

static long ns(struct timespec *t) { return t->tv_sec * 1000000000 + t->tv_nsec; }

int main(void)
{
	struct timespec a = {0}, b = {0}, t, left = {7, 7};
	struct timeval tv;
	for (int id = -3; id < 16; id++) {
		memset(&a, 0, sizeof a);
		printf("clock %d: %s", id, outcome(NR(clock_gettime, id, &a)));
		printf(" %s", outcome(NR(clock_gettime, id, &b)));
		printf(" monotone %d", ns(&b) >= ns(&a));
		a.tv_nsec = 0;
		printf(" res %s", outcome(NR(clock_getres, id, &a)));
		printf(" %ld %s\n", a.tv_nsec, outcome(NR(clock_getres, id, 0)));
	}
	CALL(clock_gettime, 0, 8);
	CALL(clock_getres, 0, 8);
	clockid_t cpu;
	printf("clock_getcpuclockid %d", clock_getcpuclockid(0, &cpu));
	printf(" %s\n", outcome(NR(clock_gettime, cpu, &a)));
	CALL(clock_gettime, (~99999999 << 3) | 2, &a);
	NR(clock_gettime, CLOCK_REALTIME, &a);
	NR(gettimeofday, &tv, 0);
	long now = raw(SYS_time, ARG(&t.tv_sec), 0, 0, 0, 0, 0);
	NR(clock_gettime, CLOCK_REALTIME, &b); // time(2) may be a tick behind
	printf("in between %d %d %d\n", a.tv_sec <= tv.tv_sec && tv.tv_sec <= b.tv_sec, a.tv_sec - 1 <= now && now <= b.tv_sec, now == t.tv_sec);
	CALL(gettimeofday, 0, 0);
	CALL(gettimeofday, 8, 0);
	CALL(time, 8);
	static const long sleeps[][2] = {{0, 0}, {0, 1}, {0, 3000000}, {-1, 0}, {0, -1}, {0, 1000000000}};
	for (int i = 0; i < 6; i++) {
		t.tv_sec = sleeps[i][0], t.tv_nsec = sleeps[i][1];
		NR(clock_gettime, CLOCK_MONOTONIC, &a);
		printf("nanosleep %ld %ld: %s", t.tv_sec, t.tv_nsec, outcome(NR(nanosleep, &t, 0)));
		NR(clock_gettime, CLOCK_MONOTONIC, &b);
		printf(" slept %d", ns(&b) - ns(&a) >= (t.tv_sec == 0 && t.tv_nsec < 1000000000 ? t.tv_nsec : 0));
		for (int id = 0; id < 12; id++)
			if (id != CLOCK_PROCESS_CPUTIME_ID) // whose time does not pass meanwhile
				printf(" %s", outcome(NR(clock_nanosleep, id, 0, &t, 0)));
		printf("\n");
	}
	CALL(nanosleep, 8, 0);
	NR(clock_gettime, CLOCK_MONOTONIC, &t);
	CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
	t.tv_nsec += 2000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	CALL(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
	NR(clock_gettime, CLOCK_MONOTONIC, &a);
	printf("woke after %d\n", ns(&a) >= ns(&t));
	CALL(clock_nanosleep, 99, 0, &t, 0);
	// Interrupted.
	struct itimerval it = {{0, 0}, {0, 5000}}, got;
	struct sigaction sa = {.sa_handler = ring};
	sigaction(SIGALRM, &sa, NULL);
	t.tv_sec = 500, t.tv_nsec = 0;
	INTERRUPTED(nanosleep, &t, &left);
	printf("rang %d, left most: %d\n", rings > 0, left.tv_sec >= 400 && left.tv_sec < 500 && left.tv_nsec < 1000000000);
	CALL(getitimer, ITIMER_REAL, &got);
	printf("%ld %ld\n", got.it_value.tv_sec, got.it_value.tv_usec);
	rings = 0;
	INTERRUPTED(pause, 0);
	printf("rang %d\n", rings > 0);
	// Once.
	rings = 0;
	CALL(setitimer, ITIMER_REAL, &it, &got);
	while (!rings) {
		t.tv_sec = 0, t.tv_nsec = 1000000;
		NR(nanosleep, &t, 0);
	}
	CALL(getitimer, ITIMER_REAL, &got);
	printf("rings %d, then %ld %ld\n", rings, got.it_value.tv_sec, got.it_value.tv_usec);
	rings = 0;
	it.it_interval.tv_usec = 2000;
	CALL(setitimer, ITIMER_REAL, &it, &got);
	while (rings < 5)
		NR(pause, 0);
	it.it_value.tv_usec = it.it_interval.tv_usec = 0;
	CALL(setitimer, ITIMER_REAL, &it, &got);
	printf("interval %ld\n", got.it_interval.tv_usec);
	CALL(alarm, 100000);
	long rest = raw(SYS_alarm, 0, 0, 0, 0, 0, 0);
	printf("most of it is left %d\n", rest > 90000 && rest <= 100000);
	CALL(alarm, 0);
	it.it_value.tv_usec = 1000000;
	CALL(setitimer, ITIMER_REAL, &it, 0);
	CALL(setitimer, 7, &it, 0);
	CALL(getitimer, 7, &got);
	CALL(setitimer, ITIMER_REAL, 8, 0);
	struct tms tms;
	printf("times %d\n", times(&tms) > 0);
	CALL(times, 8);
	return 0;
}

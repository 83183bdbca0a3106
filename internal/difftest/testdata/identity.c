// Who one is, limits, names, odds and ends.
#include "guest.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void)
{
	unsigned r[3];
	char buf[256];
	printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
	printf("pid is tid %d, set_tid_address %d\n", getpid() == gettid(), NR(set_tid_address, r) == gettid());
	printf("getresuid %s", outcome(NR(getresuid, r, r + 1, r + 2)));
	printf(" %u %u %u\n", r[0], r[1], r[2]);
	printf("getresgid %s", outcome(NR(getresgid, r, r + 1, r + 2)));
	printf(" %u %u %u\n", r[0], r[1], r[2]);
	CALL(getresuid, 8, r, r);
	CALL(getgroups, 0, 0);
	CALL(getgroups, -1, 0);
	CALL(getgroups, 100, buf);
	// Identities are lost and not won back.
	if (getuid() == 0) {
		CALL(setresuid, 5, 6, 7);
		CALL(setuid, 8);
		CALL(setreuid, 6, 5);
		printf("ids %d %d\n", getuid(), geteuid());
		CALL(setresuid, -1, 7, -1);
		CALL(setresuid, 9, -1, -1);
		CALL(setfsuid, 6);
		CALL(setfsuid, -1);
		CALL(setfsuid, 1234);
		CALL(setfsuid, -1);
		CALL(setgid, 3);
	}
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	CALL(capget, &h, d);
	printf("caps %x %x %x\n", d[0].effective, d[0].permitted, d[0].inheritable);
	h.version = 1;
	CALL(capget, &h, d);
	printf("version %x\n", h.version);
	h.version = 1;
	CALL(capget, &h, 0);
	h.pid = -1;
	CALL(capget, &h, d);
	h.pid = 99999999;
	CALL(capget, &h, d);
	CALL(capget, 8, d);
	// prctl.
	CALL(prctl, PR_SET_NAME, "a name that is too long");
	CALL(prctl, PR_GET_NAME, buf);
	printf("%s\n", buf);
	CALL(prctl, PR_SET_NAME, 8);
	CALL(prctl, PR_GET_NAME, 8);
	CALL(prctl, PR_SET_PDEATHSIG, 65);
	CALL(prctl, PR_SET_PDEATHSIG, SIGHUP);
	CALL(prctl, PR_GET_PDEATHSIG, buf);
	printf("%d\n", *(int *)buf);
	CALL(prctl, PR_SET_PDEATHSIG, 0);
	CALL(prctl, PR_SET_DUMPABLE, 2);
	CALL(prctl, PR_SET_DUMPABLE, 0);
	CALL(prctl, PR_GET_DUMPABLE);
	CALL(prctl, PR_SET_DUMPABLE, 1);
	CALL(prctl, PR_GET_DUMPABLE);
	CALL(prctl, PR_GET_KEEPCAPS);
	CALL(prctl, PR_GET_TIMING);
	CALL(prctl, PR_GET_SECCOMP);
	CALL(prctl, PR_GET_TIMERSLACK);
	CALL(prctl, PR_GET_NO_NEW_PRIVS);
	CALL(prctl, PR_GET_NO_NEW_PRIVS, 1);
	CALL(prctl, PR_GET_THP_DISABLE);
	CALL(prctl, PR_GET_THP_DISABLE, 1);
	CALL(prctl, PR_MCE_KILL_GET);
	CALL(prctl, PR_CAPBSET_READ, 0);
	CALL(prctl, PR_CAPBSET_READ, 40);
	CALL(prctl, PR_CAPBSET_READ, 41);
	CALL(prctl, PR_GET_TSC, buf);
	printf("%d\n", *(int *)buf);
	CALL(prctl, PR_GET_CHILD_SUBREAPER, buf);
	CALL(prctl, 9999);
	CALL(prctl, PR_SET_VMA, 7, 0, 0, 0);
	// arch_prctl.
	unsigned long fs, gs;
	CALL(arch_prctl, 0x1003, &fs);
	printf("fs %d\n", fs != 0);
	CALL(arch_prctl, 0x1001, 0x123456789);
	CALL(arch_prctl, 0x1004, &gs);
	printf("gs %#lx\n", gs);
	CALL(arch_prctl, 0x1001, 0x7ffffffff000);
	CALL(arch_prctl, 0x1001, 0x7fffffffefff);
	CALL(arch_prctl, 0x1001, 0x8000000000000000);
	CALL(arch_prctl, 0x1001, 0);
	CALL(arch_prctl, 0x1003, 8);
	CALL(arch_prctl, 0x1011, 0);
	CALL(arch_prctl, 0x3001, buf);
	CALL(arch_prctl, 0, 0);
	// Limits.
	struct rlimit l[2];
	for (int i = -1; i < 18; i++) {
		int shown = i == RLIMIT_STACK || i == RLIMIT_AS || i == RLIMIT_DATA || i == RLIMIT_CPU || i == RLIMIT_FSIZE;
		memset(l, 0, sizeof l);
		printf("limit %d: %s", i, outcome(NR(prlimit64, 0, i, 0, l)));
		printf(" %s", outcome(NR(getrlimit, i, l + 1)));
		if (shown)
			printf(" %lx %lx", l[0].rlim_cur, l[0].rlim_max);
		printf(" same %d\n", !memcmp(l, l + 1, sizeof *l));
	}
	l[0].rlim_cur = 2 << 20, l[0].rlim_max = 1 << 20;
	CALL(setrlimit, RLIMIT_STACK, l);
	l[0].rlim_cur = 1 << 20, l[0].rlim_max = 2 << 20;
	CALL(setrlimit, RLIMIT_STACK, l);
	CALL(prlimit64, getpid(), RLIMIT_STACK, 0, l + 1);
	printf("%lx %lx\n", l[1].rlim_cur, l[1].rlim_max);
	CALL(prlimit64, 99999999, RLIMIT_STACK, 0, l);
	CALL(prlimit64, 0, RLIMIT_STACK, 8, 0);
	CALL(prlimit64, 0, RLIMIT_STACK, 0, 8);
	CALL(getrlimit, RLIMIT_STACK, 8);
	CALL(setrlimit, RLIMIT_STACK, 8);
	struct rusage u;
	CALL(getrusage, RUSAGE_SELF, &u);
	CALL(getrusage, RUSAGE_CHILDREN, &u);
	CALL(getrusage, RUSAGE_THREAD, &u);
	CALL(getrusage, 5, &u);
	CALL(getrusage, 0, 8);
	// The system.
	struct utsname n;
	CALL(uname, &n);
	printf("%s %s %s %.4s\n", n.sysname, n.nodename, n.machine, n.release);
	CALL(uname, 8);
	struct sysinfo si;
	CALL(sysinfo, &si);
	printf("memory %d unit %d\n", si.totalram > 0 && si.freeram <= si.totalram, si.mem_unit);
	CALL(sysinfo, 8);
	memset(buf, 0, sizeof buf);
	CALL(getrandom, buf, 16, 0);
	CALL(getrandom, buf, 16, 1);
	CALL(getrandom, buf, 0, 0);
	CALL(getrandom, buf, 16, 8);
	CALL(getrandom, buf, 16, 6);
	CALL(getrandom, 8, 16, 0);
	CALL(getrandom, -1, 16, 0);
	CALL(sched_yield, 0);
	CALL(sched_getaffinity, 0, 8, buf);
	CALL(sched_getaffinity, 0, 128, buf);
	CALL(sched_getaffinity, 0, 7, buf);
	CALL(sched_getaffinity, 0, 0, buf);
	CALL(sched_getaffinity, 0, 8, 8);
	CALL(sched_getaffinity, 99999999, 8, buf);
	CALL(getcpu, 0, 0, 0);
	CALL(getcpu, 8, 0, 0);
	CALL(personality, 0xffffffff);
	CALL(personality, 0x0040000);
	CALL(personality, 0xffffffff);
	CALL(set_robust_list, buf, 24);
	CALL(set_robust_list, buf, 23);
	unsigned long head, len;
	CALL(get_robust_list, 0, &head, &len);
	printf("%d %lu\n", head == (unsigned long)buf, len);
	CALL(get_robust_list, 99999999, &head, &len);
	CALL(get_robust_list, 0, 8, &len);
	CALL(set_robust_list, 0, 24);
	return 0;
}

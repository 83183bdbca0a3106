// Capabilities: what can be given up, and that it does not come back.
#include "guest.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <fcntl.h>

static struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct d[2];

static void show(const char *when)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");
	CALL(capget, &h, d);
	printf("%s: effective %x %x, permitted %x %x, inheritable %x %x\n", when, d[0].effective, d[1].effective,
	       d[0].permitted, d[1].permitted, d[0].inheritable, d[1].inheritable);
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "Cap", 3))
			fputs(line, stdout);
	if (f)
		fclose(f);
}

static void set(unsigned effective, unsigned permitted, unsigned inheritable)
{
	for (int i = 0; i < 2; i++)
		d[i] = (struct __user_cap_data_struct){effective, permitted, inheritable};
	CALL(capset, &h, d);
}

// inChild runs f in a child of its own, so that nothing is lost for the others.
static void inChild(const char *name, void (*f)(void))
{
	int status;
	printf("-- %s\n", name);
	fflush(stdout);
	if (!fork()) {
		f();
		fflush(stdout);
		_exit(0);
	}
	wait(&status);
	printf("-- %d\n", status);
}

static void lowered(void)
{
	set(0x4000, 0x4100, 0);
	show("less");
	set(0x4100, 0x4100, 0);
	set(0xc000, 0xc000, 0);
	set(0xc000, 0x4000, 0);
	set(0, 0x4100, 0x4100);
	set(0, 0x4100, 0x8000);
	show("inheritable");
	set(0x100, 0x4100, 0x8100);
	show("with setpcap");
	set(0, 0, 0);
	set(0, 0, 0x100);
	show("none");
	CALL(mlock, (unsigned long)d & ~4095ul, 4096);
	CALL(setuid, 5);
	CALL(prctl, PR_CAPBSET_DROP, 3);
}

static void user(void)
{
	CALL(setresuid, 5, 5, 0);
	show("saved root");
	CALL(setresuid, -1, 0, -1);
	show("effective root again");
	CALL(setresuid, 5, 5, 5);
	show("a user");
	CALL(setuid, 0);
}

static void kept(void)
{
	CALL(prctl, PR_SET_KEEPCAPS, 2);
	CALL(prctl, PR_SET_KEEPCAPS, 1);
	CALL(prctl, PR_GET_KEEPCAPS);
	CALL(setresuid, 5, 5, 5);
	show("kept");
	set(0x80, 0x80, 0);
	CALL(setresuid, 0, 6, 7);
	CALL(prctl, PR_SET_KEEPCAPS, 0);
	CALL(setresuid, 8, 8, 8);
	show("not kept");
}

static void files(void)
{
	CALL(setfsuid, 5);
	show("files of a user");
	CALL(setfsuid, 0);
	show("files of root");
}

static void bounded(void)
{
	CALL(prctl, PR_CAPBSET_DROP, 41);
	CALL(prctl, PR_CAPBSET_DROP, 12);
	CALL(prctl, PR_CAPBSET_READ, 12);
	CALL(prctl, PR_CAPBSET_READ, 13);
	set(~0u, ~0u, 0x1000);
	set(~0u, ~0u, 0x2000);
	show("bounded");
}

static void ambient(void)
{
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 0, 0);
	set(~0u, ~0u, 0x2000);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 1, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 41, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 13, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 14, 0, 0);
	show("ambient");
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, 13, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 13, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0);
	set(~0u, ~0u, 0);
	show("no longer inheritable");
	CALL(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, 9, 0, 0, 0);
	CALL(prctl, PR_CAP_AMBIENT, 9, 99, 0, 0);
}

static void odd(void)
{
	h.pid = 1;
	set(0, 0, 0);
	h.pid = getpid();
	set(~0u, ~0u, 0);
	h.pid = 0;
	h.version = 7;
	set(0, 0, 0);
	printf("version %x\n", h.version);
	CALL(capset, 8, d);
	CALL(capset, &h, 8);
	h.version = _LINUX_CAPABILITY_VERSION_1;
	set(0x4000, ~0u, 0);
	h.version = _LINUX_CAPABILITY_VERSION_3;
	show("version 1");
}

int main(void)
{
	show("at first");
	inChild("lowered", lowered);
	inChild("a user", user);
	inChild("kept", kept);
	inChild("files", files);
	inChild("bounded", bounded);
	inChild("ambient", ambient);
	inChild("odd", odd);
	return 0;
}

// Frames that no kernel wrote: a handler spoils one field of its frame, and the
// parent says how the child that returned through it ended.
#include "guest.h"
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { CS, SS = 3 }; // in REG_CSGSFS

static int spoil;

static void handler(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *c = arg;
	greg_t *r = c->uc_mcontext.gregs;
	unsigned short *selectors = (unsigned short *)&r[REG_CSGSFS];
	unsigned char *vector = (unsigned char *)c->uc_mcontext.fpregs;

	switch (spoil) {
	case 0: selectors[CS] = 0x23; break;
	case 1: selectors[CS] = 0x10; break;
	case 2: selectors[CS] = 0x2b; break;
	case 3: selectors[CS] = 0; break;
	case 4: selectors[CS] = 0x30; break; // made 0x33
	case 5: selectors[SS] = 0; break;
	case 6: selectors[SS] = 0x33; break;
	case 7: selectors[SS] = 0x28; break; // made 0x2b
	case 8: selectors[SS] = 0x33, c->uc_flags &= ~4UL; break; // ss need not be restored
	case 9: r[REG_EFL] = -1; break;
	case 10: r[REG_RIP] = 1L << 63; break;
	case 11: r[REG_RSP] = 1; break;
	case 12: memset(vector, 0xff, 512); break;
	case 13: memset(vector + 512, 0xff, 64); break;
	case 14: c->uc_mcontext.fpregs = (void *)0x1234; break;
	case 15: c->uc_mcontext.fpregs = (void *)(vector + 1); break;
	case 16: c->uc_mcontext.fpregs = NULL; break;
	case 17: memset(vector + 464 + 4, 0xff, 4); break; // the size of the state
	case 18: memset(vector + 24, 0xff, 4); break;      // mxcsr
	case 19: c->uc_stack.ss_sp = (void *)1, c->uc_stack.ss_size = 1; break;
	case 20: r[REG_EFL] |= 0x100; break; // TF
	}
}

int main(void)
{
	for (spoil = 0; spoil <= 20; spoil++) {
		int status;

		if (fork() == 0) {
			struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

			sigaction(SIGUSR1, &a, NULL);
			raise(SIGUSR1);
			_exit(7);
		}
		wait(&status);
		printf("%d: %#x\n", spoil, status & ~0x80); // but for the core
	}
	return 0;
}

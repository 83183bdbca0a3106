// System V shared memory: shmget, shmat, shmdt, shmctl. Keys are private, as others on
// the host may use any; ids count from the first one that the guest makes.
#include "guest.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static struct shmid_ds ds;
static char *const at = (char *)PLACE;
static int id;

// masked prints the mappings in PLACE without their inode numbers, which are ids.
static void maps(void)
{
	char line[512], rest[400];
	unsigned long a, b, off;
	char perms[8], dev[16];
	FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx %7s %lx %15s %*d %399[^\n]", &a, &b, perms, &off, dev, rest) == 6 && a >= PLACE && a < PLACE + 64 * PAGE)
			printf("  %lx-%lx %s %lx %s %s\n", a, b, perms, off, dev, rest);
	fclose(f);
}

static void status(const char *when)
{
	if (shmctl(id, IPC_STAT, &ds)) {
		printf("  %s: %s\n", when, strerrorname_np(errno));
		return;
	}
	printf("  %s: size %ld mode %o attached %ld uid %d cuid %d key %x times %d %d %d cpid %d lpid %d\n", when, (long)ds.shm_segsz, ds.shm_perm.mode,
	       (long)ds.shm_nattch, ds.shm_perm.uid, ds.shm_perm.cuid, ds.shm_perm.__key, ds.shm_atime != 0, ds.shm_dtime != 0,
	       ds.shm_ctime != 0, ds.shm_cpid == getpid(), ds.shm_lpid == getpid());
}

static void fresh(long size)
{
	id = shmget(IPC_PRIVATE, size, 0640);
}

static void gone(void)
{
	shmdt(at);
	shmctl(id, IPC_RMID, 0);
	status("gone");
}

static void sizes(void)
{
	printf("sizes\n");
	DO(shmget(IPC_PRIVATE, 0, 0600));
	DO(shmget(IPC_PRIVATE, -1L, 0600));
	DO(shmat(-1, 0, 0));
	DO(shmdt(at));
	DO(shmdt(at + 1));
	DO(shmctl(-1, IPC_STAT, &ds));
	DO(shmctl(0, -1, &ds));
	DO(shmctl(0, 99, &ds));
	fresh(5000);
	status("fresh");
	DO(shmctl(id, IPC_STAT, (void *)8));
	DO(shmctl(id, IPC_SET, (void *)8));
	DO(shmat(id, at, 0));
	maps();
	at[4999] = 1, at[8191] = 2;
	status("attached");
	gone();
}

// pieces: what mprotect, munmap and mremap make of an attachment, and shmdt.
static void pieces(void)
{
	printf("pieces\n");
	fresh(4 * PAGE);
	DO(shmat(id, at, 0));
	DO(mprotect(at + PAGE, PAGE, 1));
	status("mprotect");
	DO(mprotect(at + PAGE, PAGE, 3));
	status("mprotect back");
	maps();
	DO(munmap(at + 2 * PAGE, PAGE));
	status("munmap");
	DO(shmdt(at + PAGE));
	DO(shmdt(at));
	status("shmdt");
	maps();
	DO(shmat(id, at, 0));
	DO(mremap(at, 4 * PAGE, PAGE, 0));
	DO(mremap(at, PAGE, 6 * PAGE, 0));
	status("grown");
	maps();
	DO(munmap(at, PAGE));
	DO(shmdt(at));
	maps();
	DO(munmap(at, 8 * PAGE));
	DO(shmat(id, at, 0));
	DO(mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 16 * PAGE));
	DO(shmdt(at));
	maps();
	DO(shmdt(at + 16 * PAGE));
	DO(shmat(id, at, 0));
	DO(shmat(id, at + 4 * PAGE, 0));
	maps();
	status("twice");
	DO(shmdt(at));
	maps();
	DO(shmdt(at + 4 * PAGE));
	gone();
}

static void flags(void)
{
	printf("flags\n");
	fresh(2 * PAGE);
	DO(shmat(id, at + 5, 0));
	DO(shmat(id, at + PAGE + 5, SHM_RND));
	maps();
	DO(shmat(id, at, 0));
	DO(shmat(id, at, SHM_REMAP));
	maps();
	status("over");
	DO(shmdt(at + PAGE));
	DO(shmdt(at));
	DO(shmat(id, 0, SHM_REMAP));
	DO(shmat(id, (void *)5, SHM_REMAP | SHM_RND));
	DO(shmat(id, at, SHM_RDONLY));
	maps();
	DO(mprotect(at, PAGE, 3));
	DO(mprotect(at, PAGE, 5));
	DO(shmat(id, at, SHM_RDONLY | SHM_EXEC | SHM_REMAP));
	maps();
	DO(shmat(id, at, SHM_EXEC | SHM_REMAP));
	maps();
	DO(shmat(id, (void *)0x7ffffffff000, 0));
	DO(shmat(id, (void *)-4096L, 0));
	DO(madvise(at, PAGE, MADV_REMOVE));
	DO(msync(at, PAGE, MS_SYNC));
	gone();
}

static void changes(void)
{
	printf("changes\n");
	fresh(PAGE);
	shmctl(id, IPC_STAT, &ds);
	ds.shm_perm.mode = 07777;
	ds.shm_perm.uid = 1000;
	DO(shmctl(id, IPC_SET, &ds));
	status("set");
	DO(shmctl(id, SHM_LOCK, 0));
	status("locked");
	DO(shmctl(id, SHM_UNLOCK, 0));
	status("unlocked");
	ds.shm_perm.uid = -1;
	DO(shmctl(id, IPC_SET, &ds));
	DO(shmctl(id & 32767, SHM_STAT, &ds) == id);
	DO(shmctl(id & 32767, SHM_STAT_ANY, &ds) == id);
	DO(shmctl(32767, SHM_STAT, &ds));
	struct shminfo limits;
	DO(shmctl(0, IPC_INFO, (void *)&limits));
	printf("  %lx %lx %lx %lx %lx\n", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg, limits.shmall);
	struct shm_info usage;
	DO(shmctl(0, SHM_INFO, (void *)&usage) >= (id & 32767));
	gone();
}

// others: a child has the attachments of its parent, a removed segment lives as long
// as somebody has it.
static void others(void)
{
	int p[2], q[2];
	char c = 0;
	printf("others\n");
	fresh(2 * PAGE);
	shmat(id, at, 0);
	at[0] = 5;
	pipe(p), pipe(q);
	fflush(stdout);
	if (fork() == 0) {
		status("child");
		printf("  child sees %d\n", at[0]);
		at[0] = 6;
		shmctl(id, IPC_RMID, 0);
		status("removed");
		DO(shmdt(at));
		status("child detached");
		DO(shmat(id, at, 0));
		fflush(stdout);
		write(p[1], &c, 1);
		read(q[0], &c, 1);
		_exit(0);
	}
	read(p[0], &c, 1);
	printf("  parent sees %d\n", at[0]);
	shmctl(id, IPC_STAT, &ds);
	printf("  attached %ld mode %o\n", (long)ds.shm_nattch, ds.shm_perm.mode);
	write(q[1], &c, 1);
	wait(NULL);
	shmctl(id, IPC_STAT, &ds);
	printf("  attached %ld lpid %d\n", (long)ds.shm_nattch, ds.shm_lpid == getpid());
	DO(shmat(id, at + 8 * PAGE, 0));
	maps();
	DO(shmdt(at));
	status("one left");
	DO(munmap(at + 8 * PAGE, 2 * PAGE));
	status("none left");
	DO(shmat(id, 0, 0));
}

// permissions: as another user.
static void permissions(void)
{
	printf("permissions\n");
	fresh(PAGE);
	fflush(stdout);
	if (geteuid() == 0 && fork() == 0) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
			_exit(1);
		DO(shmat(id, at, 0));
		DO(shmat(id, at, SHM_RDONLY));
		DO(shmctl(id, IPC_STAT, &ds));
		DO(shmctl(id, IPC_SET, &ds));
		DO(shmctl(id, IPC_RMID, 0));
		DO(shmctl(id, SHM_LOCK, 0));
		DO(shmctl(id & 32767, SHM_STAT, &ds));
		DO(shmctl(id & 32767, SHM_STAT_ANY, &ds));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	gone();
}

// listed: the line of /proc/sysvipc/shm, without ids and times.
static void listed(void)
{
	char line[512];
	int key, shmid, cpid, lpid, uid, gid, cuid, cgid, len;
	unsigned mode;
	unsigned long size, attached, rss;
	printf("listed\n");
	fresh(3 * PAGE - 1);
	shmat(id, at, 0);
	at[0] = 1;
	FILE *f = fopen("/proc/sysvipc/shm", "r");
	printf("  %s", f && fgets(line, sizeof line, f) ? line : "none\n");
	while (f && fgets(line, sizeof line, f)) {
		len = sscanf(line, "%d %d %o %lu %d %d %lu %d %d %d %d %*d %*d %*d %lu", &key, &shmid, &mode, &size, &cpid, &lpid, &attached, &uid, &gid, &cuid, &cgid, &rss);
		if (shmid == id)
			printf("  %d %d %o %lu %d %d %lu %d %d %d %d %lu, %ld characters\n", len, key, mode, size, cpid == getpid(), lpid == getpid(), attached, uid,
			       gid, cuid, cgid, rss, (long)strlen(line));
	}
	gone();
}

int main(void)
{
	sizes();
	pieces();
	flags();
	changes();
	others();
	permissions();
	listed();
	return 0;
}

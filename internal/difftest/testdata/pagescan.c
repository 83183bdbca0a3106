// PAGEMAP_SCAN of /proc/self/pagemap: what it refuses, every category, the limits of its
// answer, and the protection of what it found.
#include "guest.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

struct scan { // struct pm_scan_arg, newer than some headers
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
struct region { uint64_t start, end, categories; };
#define SCAN _IOWR('f', 16, struct scan)

enum { WPALLOWED = 1, WRITTEN = 2, FILE_ = 4, PRESENT = 8, SWAPPED = 16, PFNZERO = 32, HUGE_ = 64, SOFT_DIRTY = 128, GUARD = 256 };
enum { WP_MATCHING = 1, CHECK_WPASYNC = 2 };
#define ALL (WPALLOWED | WRITTEN | FILE_ | PRESENT | SWAPPED | PFNZERO | HUGE_ | GUARD) // what a kernel without soft-dirty has too

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#define AT(i) ((char *)PLACE + (i) * PAGE)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

static int pagemap;
static struct region found[1024];

static long ask(struct scan *s)
{
	long r = ioctl(pagemap, SCAN, s);
	return r < 0 ? -errno : r;
}

static void answer(const char *what, struct scan *s)
{
	memset(found, 0xee, sizeof found);
	long r = ask(s);
	printf("%s = %s, walked to %#lx\n", what, outcome(r), (unsigned long)s->walk_end);
	for (long i = 0; i < r && i < 16; i++)
		printf("  %#lx-%#lx %#lx\n", (unsigned long)found[i].start, (unsigned long)found[i].end, (unsigned long)found[i].categories);
}

#define SCANNED(...) answer(#__VA_ARGS__, &(struct scan){ .size = sizeof(struct scan), .start = PLACE, .end = PLACE + 32 * PAGE, \
	.vec = (uint64_t)found, .vec_len = 1024, .returned = ALL, ##__VA_ARGS__ })

static void refusals(void)
{
	SCANNED(.size = 88);
	SCANNED(.flags = 4);
	SCANNED(.mask = 1 << 9);
	SCANNED(.inverted = 1 << 9);
	SCANNED(.anyof = 1UL << 63);
	SCANNED(.returned = 1 << 9);
	SCANNED(.start = PLACE + 1);
	SCANNED(.end = PLACE + 1);
	SCANNED(.end = PLACE - PAGE);
	SCANNED(.end = 1UL << 48);
	SCANNED(.vec = 0);
	SCANNED(.vec = 0, .vec_len = 0);
	SCANNED(.vec_len = 0);
	SCANNED(.vec = ~0UL - 100);
	SCANNED(.vec_len = 1UL << 60);
	SCANNED(.vec = PLACE + 40 * PAGE);
	SCANNED(.flags = CHECK_WPASYNC);
	SCANNED(.start = 0, .end = 0);
	printf("no such request: %s\n", outcome(ioctl(pagemap, _IO('f', 17)) < 0 ? -errno : 0));
	printf("no argument: %s\n", outcome(ioctl(pagemap, SCAN, 0) < 0 ? -errno : 0));
}

static void categories(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	mmap(AT(0), 8 * PAGE, RW, ANON, -1, 0);
	mmap(AT(8), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	mmap(AT(12), 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	SCANNED();
	*AT(0) = *AT(1) = *AT(3) = 1;
	(void)*(volatile char *)AT(4);
	(void)*(volatile char *)AT(8);
	*AT(12) = 1;
	madvise(AT(6), PAGE, 102);
	SCANNED(.end = PLACE + 8 * PAGE);
	SCANNED(.start = PLACE + 8 * PAGE, .end = PLACE + 9 * PAGE);
	SCANNED(.start = PLACE + 11 * PAGE, .end = PLACE + 20 * PAGE);
	SCANNED(.mask = PRESENT, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .returned = 0, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .inverted = PFNZERO, .returned = PRESENT | PFNZERO, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT | PFNZERO, .inverted = PFNZERO, .end = PLACE + 8 * PAGE);
	SCANNED(.anyof = PFNZERO | GUARD, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .inverted = PRESENT, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = WRITTEN, .returned = WRITTEN, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = WRITTEN, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = WPALLOWED);
	SCANNED(.mask = PRESENT, .max_pages = 1, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .max_pages = 2, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .max_pages = 3, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .vec_len = 1, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = PRESENT, .vec_len = 2, .end = PLACE + 8 * PAGE);
	SCANNED(.mask = GUARD, .vec = (uint64_t)AT(50));
	SCANNED(.flags = WP_MATCHING, .mask = PRESENT);
	munmap(AT(0), 32 * PAGE);
	close(fd);
}

static void many(void) // more regions than Linux keeps at once
{
	mmap(AT(0), 2048 * PAGE, RW, ANON, -1, 0);
	madvise(AT(0), 2048 * PAGE, MADV_NOHUGEPAGE);
	for (int i = 0; i < 2048; i += 2)
		*AT(i) = 1;
	SCANNED(.mask = PRESENT, .end = PLACE + 2048 * PAGE, .vec_len = 1000);
	SCANNED(.mask = PRESENT, .end = PLACE + 2048 * PAGE, .vec_len = 1000, .max_pages = 700);
	munmap(AT(0), 2048 * PAGE);
}

static int uffd;

static void watch(void *at, unsigned long n)
{
	struct uffdio_register r = { .range = { (unsigned long)at, n }, .mode = UFFDIO_REGISTER_MODE_WP };
	printf("register = %s\n", outcome(ioctl(uffd, UFFDIO_REGISTER, &r) < 0 ? -errno : 0));
}

static void protection(void)
{
	mmap(AT(0), 16 * PAGE, RW, ANON, -1, 0);
	mmap(AT(16), 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	uffd = syscall(SYS_userfaultfd, 1);
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	ioctl(uffd, UFFDIO_API, &api);
	watch(AT(0), 8 * PAGE);
	watch(AT(16), 2 * PAGE);
	*AT(0) = *AT(1) = *AT(9) = *AT(16) = 1;
	(void)*(volatile char *)AT(3);
	SCANNED();
	SCANNED(.flags = CHECK_WPASYNC);
	SCANNED(.flags = CHECK_WPASYNC, .end = PLACE + 8 * PAGE);
	SCANNED(.flags = WP_MATCHING, .mask = WRITTEN, .end = PLACE + PAGE);
	SCANNED(.end = PLACE + 12 * PAGE);
	SCANNED(.flags = WP_MATCHING, .mask = WRITTEN, .returned = WRITTEN, .max_pages = 2);
	SCANNED();
	SCANNED(.flags = WP_MATCHING, .mask = PRESENT);
	SCANNED();
	*AT(1) = 2;
	*AT(5) = 2;
	SCANNED(.mask = WRITTEN);
	SCANNED(.flags = WP_MATCHING | CHECK_WPASYNC, .mask = WRITTEN, .vec = 0, .vec_len = 0, .end = PLACE + 8 * PAGE);
	SCANNED();
	*AT(1) = *AT(17) = 3;
	SCANNED(.flags = WP_MATCHING, .anyof = WRITTEN);
	SCANNED();
	printf("read: %d %d %d\n", *AT(1), *AT(5), *AT(17));
	// Where no page table is, all of a hole is protected at once.
	char *far = (char *)0x40000000;
	mmap(far, 1024 * PAGE, RW, ANON, -1, 0);
	watch(far, 1024 * PAGE);
	SCANNED(.start = (uint64_t)far, .end = (uint64_t)far + 1024 * PAGE);
	SCANNED(.start = (uint64_t)far, .end = (uint64_t)far + 1024 * PAGE, .flags = WP_MATCHING, .mask = WPALLOWED, .max_pages = 700);
	SCANNED(.start = (uint64_t)far, .end = (uint64_t)far + 1024 * PAGE);
	far[5 * PAGE] = 1;
	SCANNED(.start = (uint64_t)far, .end = (uint64_t)far + 8 * PAGE);
	close(uffd);
	SCANNED();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	refusals();
	categories();
	many();
	protection();
	return 0;
}

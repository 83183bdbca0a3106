// Extended attributes with a directory and flags: setxattrat and its kin. The guest has
// an empty directory of its own.
#include "guest.h"

#define SYS_setxattrat_ 463
#define SYS_getxattrat_ 464
#define SYS_listxattrat_ 465
#define SYS_removexattrat_ 466

struct args { uint64_t value; uint32_t size, flags; };

static char buf[256];

#define SHOW(what, r) printf("%s = %s\n", what, outcome(r))

int main(void)
{
	int dir = open(".", O_RDONLY), f = open("file", O_RDWR | O_CREAT, 0600), path = open("file", O_PATH);
	struct { struct args a; uint64_t more; } big = {{ARG("value"), 5, 0}, 0};
	struct args *a = &big.a;
	symlink("file", "link");
	SHOW("set", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	SHOW("set again", RAWN(SYS_setxattrat_, AT_FDCWD, "link", 0, "user.b", a, 24, 0, 0, 0));
	SHOW("set a link", RAWN(SYS_setxattrat_, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, "user.c", a, 16, 0, 0, 0));
	SHOW("set a descriptor", RAWN(SYS_setxattrat_, f, "", AT_EMPTY_PATH, "user.d", a, 16, 0, 0, 0));
	SHOW("set without a path", RAWN(SYS_setxattrat_, f, 0, AT_EMPTY_PATH, "user.e", a, 16, 0, 0, 0));
	SHOW("set a handle", RAWN(SYS_setxattrat_, path, "", AT_EMPTY_PATH, "user.f", a, 16, 0, 0, 0));
	SHOW("set nothing", RAWN(SYS_setxattrat_, f, "", 0, "user.d", a, 16, 0, 0, 0));
	SHOW("set flags", RAWN(SYS_setxattrat_, f, "", 0x800, "user.d", a, 16, 0, 0, 0));
	SHOW("set small", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 15, 0, 0, 0));
	SHOW("set large", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 5000, 0, 0, 0));
	big.more = 1;
	SHOW("set more", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 24, 0, 0, 0));
	SHOW("set nowhere", RAWN(SYS_setxattrat_, dir, "none", 0, "user.a", a, 16, 0, 0, 0));
	SHOW("set no descriptor", RAWN(SYS_setxattrat_, -1, "file", 0, "user.a", a, 16, 0, 0, 0));
	SHOW("set from nowhere", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", 8, 16, 0, 0, 0));
	a->flags = 1;
	SHOW("create", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	a->flags = 4;
	SHOW("odd", RAWN(SYS_setxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	*a = (struct args){ARG(buf), sizeof buf, 0};
	SHOW("get", RAWN(SYS_getxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	printf("%s\n", buf);
	a->flags = 1;
	SHOW("get with flags", RAWN(SYS_getxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	*a = (struct args){ARG(buf), 2, 0};
	SHOW("get into little", RAWN(SYS_getxattrat_, dir, "file", 0, "user.a", a, 16, 0, 0, 0));
	SHOW("get none", RAWN(SYS_getxattrat_, dir, "file", 0, "user.x", a, 16, 0, 0, 0));
	SHOW("get small", RAWN(SYS_getxattrat_, dir, "file", 0, "user.x", a, 8, 0, 0, 0));
	SHOW("list", RAWN(SYS_listxattrat_, dir, "file", 0, buf, sizeof buf, 0, 0, 0));
	SHOW("list a descriptor", RAWN(SYS_listxattrat_, f, "", AT_EMPTY_PATH, buf, 0, 0, 0, 0));
	SHOW("list flags", RAWN(SYS_listxattrat_, f, "", 2, buf, 0, 0, 0, 0));
	SHOW("remove", RAWN(SYS_removexattrat_, dir, "file", 0, "user.a", 0, 0, 0));
	SHOW("remove none", RAWN(SYS_removexattrat_, dir, "file", 0, "user.a", 0, 0, 0));
	SHOW("remove flags", RAWN(SYS_removexattrat_, dir, "file", 0x1000000, "user.a", 0, 0, 0));
	SHOW("remove by descriptor", RAWN(SYS_removexattrat_, f, "", AT_EMPTY_PATH, "user.b", 0, 0, 0));
}

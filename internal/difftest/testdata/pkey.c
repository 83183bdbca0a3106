// Protection keys, on a processor without them.
#include "guest.h"

int main(void)
{
	NR(mmap, PLACE, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int key = -2; key < 17; key++)
		printf("key %d: %s %s %s %s\n", key, outcome(NR(pkey_free, key)), outcome(NR(pkey_mprotect, PLACE, PAGE, 1, key)),
		       outcome(NR(pkey_mprotect, PLACE, 0, 1, key)), outcome(NR(pkey_mprotect, PLACE + 1, PAGE, 1, key)));
	for (int flags = 0; flags < 2; flags++)
		for (int rights = 0; rights < 5; rights++)
			printf("alloc %d %d: %s\n", flags, rights, outcome(NR(pkey_alloc, flags, rights)));
	show_maps_in("keyed", PLACE, PLACE + 64 * PAGE);
	return 0;
}

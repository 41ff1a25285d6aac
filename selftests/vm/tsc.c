// SPDX-License-Identifier: GPL-2.0
/*
 * Print the frequency of this machine's time stamp counter in kHz, for vm.sh; nothing
 * where there is none.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)

#include <x86intrin.h>

#define WINDOW_NS	50000000

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The counter and the clock at the same time: of some pairs the one that took least. */
static void pair(uint64_t *tsc, int64_t *ns)
{
	int64_t least = INT64_MAX;
	int i;

	for (i = 0; i < 20; i++) {
		int64_t before = now();
		uint64_t seen = __rdtsc();
		int64_t after = now();

		if (after - before < least) {
			least = after - before;
			*tsc = seen;
			*ns = before + least / 2;
		}
	}
}

int main(void)
{
	struct timespec window = { .tv_nsec = WINDOW_NS };
	uint64_t tsc[2];
	int64_t ns[2];

	pair(&tsc[0], &ns[0]);
	nanosleep(&window, NULL);
	pair(&tsc[1], &ns[1]);
	printf("%.0f\n", (tsc[1] - tsc[0]) * 1e6 / (ns[1] - ns[0]));
	return 0;
}

#else

int main(void)
{
	return 0;
}

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel has executed: KCOV.
 *
 * Each thread of a program has one of KCOV's devices, opened and mapped once by the
 * process that forks the programs. After each call the thread goes through what was
 * recorded, and notes each pair of consecutive places, together with the call. A note is a
 * byte in memory that all processes share; two that race for one count it twice, which
 * does no harm.
 */
#include "fuzz.h"

#include <linux/kcov.h>

#define ENTRIES		(1U << 14)
#define SEEN		(1U << 18)

struct seen {
	unsigned int total;
	unsigned int fresh;	/* since cover_take_new() */
	uint8_t note[SEEN];
};

static struct seen *seen;
static int fds[MAX_THREADS];
static unsigned long *area[MAX_THREADS];
static __thread unsigned long *mine;

/** cover_share - before any fork: the notes. */
void cover_share(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		abort();
}

static bool open_one(unsigned int i)
{
	fds[i] = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (fds[i] < 0 || ioctl(fds[i], KCOV_INIT_TRACE, ENTRIES))
		return false;
	area[i] = mmap(NULL, ENTRIES * sizeof(unsigned long), PROT_READ | PROT_WRITE, MAP_SHARED,
		       fds[i], 0);
	return area[i] != MAP_FAILED;
}

/** cover_open - in the process that forks programs. Return: there is KCOV. */
bool cover_open(void)
{
	for (unsigned int i = 0; i < MAX_THREADS; i++) {
		if (!open_one(i)) {
			memset(area, 0, sizeof(area));
			return false;
		}
	}
	return true;
}

/** cover_thread - the calling thread is a program's thread of that number. */
void cover_thread(unsigned int thread)
{
	if (area[thread] && !ioctl(fds[thread], KCOV_ENABLE, KCOV_TRACE_PC))
		mine = area[thread];
}

void cover_begin(void)
{
	if (mine)
		__atomic_store_n(&mine[0], 0, __ATOMIC_RELAXED);
}

static void note(uint64_t pair)
{
	uint32_t at = (pair * 0x9e3779b97f4a7c15ULL) >> 46;

	if (seen->note[at])
		return;
	seen->note[at] = 1;
	__atomic_fetch_add(&seen->total, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&seen->fresh, 1, __ATOMIC_RELAXED);
}

/** cover_end - the thread has made a call: what did it reach? */
void cover_end(unsigned int op)
{
	unsigned long n = mine ? __atomic_load_n(&mine[0], __ATOMIC_RELAXED) : 0;
	uint64_t last = op;

	for (unsigned long i = 1; i <= n && i < ENTRIES; i++) {
		note(last * 31 + mine[i]);
		last = mine[i] ^ op;
	}
}

/** cover_total - how many notes there are. */
unsigned int cover_total(void)
{
	return __atomic_load_n(&seen->total, __ATOMIC_RELAXED);
}

/** cover_take_new - how many have come since the last call. */
unsigned int cover_take_new(void)
{
	return __atomic_exchange_n(&seen->fresh, 0, __ATOMIC_RELAXED);
}

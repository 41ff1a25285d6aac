// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * mtable.c: all Ms by number, for those who look at them from outside: the scheduler
 * itself never needs the M of somebody else.
 *
 * A struct m is its thread's own and goes with it; but numbers are small, and the page
 * of shared memory of a number stays. What is read of an M is a hint: it may be
 * another one's that has the number by now.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mtable.h"

struct entry {
	int32_t tid;			/* 0: no M */
	int64_t mark;			/* its CPU time at the last mtable_mark() */
};

static struct entry table[GSCHED_MAX_MS];
static uint32_t size;			/* numbers that were ever used */

/** mtable_add - @m, the caller's, has got its number. */
void mtable_add(struct m *m)
{
	uint32_t n = __atomic_load_n(&size, __ATOMIC_RELAXED);

	__atomic_store_n(&table[m->id].mark, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&table[m->id].tid, (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (n <= m->id &&
	       !__atomic_compare_exchange_n(&size, &n, m->id + 1, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

/** mtable_del - @m is about to give its number back. */
void mtable_del(struct m *m)
{
	__atomic_store_n(&table[m->id].tid, 0, __ATOMIC_RELEASE);
}

/** mtable_reset - for a new runtime. */
void mtable_reset(void)
{
	for (uint32_t i = 0; i < size; i++)
		table[i].tid = 0;
	size = 0;
}

/** mtable_size - all Ms' numbers are less. */
uint32_t mtable_size(void)
{
	return __atomic_load_n(&size, __ATOMIC_ACQUIRE);
}

/** mtable_tid - the M's thread, 0: there is no such M. */
pid_t mtable_tid(uint32_t id)
{
	return __atomic_load_n(&table[id].tid, __ATOMIC_ACQUIRE);
}

/** mtable_g - the G that the M runs, or NULL. Only if there is or was such an M. */
struct g *mtable_g(uint32_t id)
{
	return (struct g *)(uintptr_t)__atomic_load_n(&rt.ms[id].cookie, __ATOMIC_RELAXED);
}

/** mtable_proc - the P that it holds, or GSCHED_NONE. Only if there is or was such an M. */
uint32_t mtable_proc(uint32_t id)
{
	return __atomic_load_n(&rt.ms[id].proc, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------ CPU time */

/*
 * The CPU clock of any thread of the process, as pthread_getcpuclockid() makes it of
 * a pthread_t: the number's complement, "scheduler's clock", "of a thread".
 */
static clockid_t cpu_clock(pid_t tid)
{
	return (clockid_t)((~(unsigned int)tid << 3) | 2 | 4);
}

/** mtable_cpu - the CPU time that the M's thread has used, ns; -1: there is none. */
int64_t mtable_cpu(uint32_t id)
{
	struct timespec ts;
	pid_t tid = mtable_tid(id);

	if (!tid || clock_gettime(cpu_clock(tid), &ts))
		return -1;
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/** mtable_mark - remember all Ms' CPU times. */
void mtable_mark(void)
{
	for (uint32_t i = 0; i < mtable_size(); i++) {
		int64_t cpu = mtable_cpu(i);

		__atomic_store_n(&table[i].mark, cpu > 0 ? cpu : 0, __ATOMIC_RELAXED);
	}
}

/** mtable_marked - the M's CPU time then; 0 if it did not exist. */
int64_t mtable_marked(uint32_t id)
{
	return __atomic_load_n(&table[id].mark, __ATOMIC_RELAXED);
}

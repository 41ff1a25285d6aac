// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * lock.c: the runtime's lock.
 *
 * The word is 0: free, 1: held, 2: held and somebody may sleep on it. The holder
 * cannot lose its P (it is in a section) but the kernel may deschedule it, so
 * waiters spin only for a while.
 */
#include "futex.h"
#include "arch_x86_64.h"
#include "sched.h"

#define LOCK_PAUSES 64			/* between the last two looks */

static bool lock_try(struct rt_lock *l)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&l->word, &free, 1, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/*
 * Twice as long between looks each time: every look takes the cache line from the holder, who
 * often comes back soon for the same lock.
 */
static bool lock_spin(struct rt_lock *l)
{
	for (int n = 1; n <= LOCK_PAUSES; n *= 2) {
		for (int i = 0; i < n; i++)
			arch_pause();
		if (!__atomic_load_n(&l->word, __ATOMIC_RELAXED) && lock_try(l))
			return true;
	}
	return false;
}

#ifdef GS_DEBUG
static void check_section(void)
{
	struct m *m = m_self();

	if (m && !m->shared->in_sched)
		fatal("a runtime lock is taken outside of a section");
}
#else
static void check_section(void)
{
}
#endif

/** rt_lock - take @l. In a section, or on a thread that is no M. */
void rt_lock(struct rt_lock *l)
{
	check_section();
	if (likely(lock_try(l)) || lock_spin(l))
		return;
	/* Who has slept does not know whether others still do: 2 stays. */
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE))
		futex_wait(&l->word, 2, 0);
}

/** rt_unlock - release @l. */
void rt_unlock(struct rt_lock *l)
{
	if (unlikely(__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2))
		futex_wake(&l->word, 1);
}

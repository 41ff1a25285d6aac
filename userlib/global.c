// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * global.c: the global run queue: what Ps have too much of, what threads without
 * a P make ready, and what Ps that retire leave behind.
 *
 * A list under one lock. shared->global_len is changed under the lock and read
 * without it: by Ps before they take the lock, by the kernel before it puts an M
 * to sleep.
 */
#include "global.h"
#include "runq.h"

static struct rt_lock lock;
static struct g_list queue;

static void set_len(uint32_t n)
{
	queue.n = n;
	__atomic_store_n(&rt.shared->global_len, n, __ATOMIC_RELEASE);
}

/**
 * global_put - append Gs
 * @l: at least one
 */
void global_put(struct g_list *l)
{
	rt_lock(&lock);
	if (queue.first)
		queue.last->next = l->first;
	else
		queue.first = l->first;
	queue.last = l->last;
	set_len(queue.n + l->n);
	rt_unlock(&lock);
}

static struct g *pop(void)
{
	struct g *g = queue.first;

	queue.first = g->next;
	return g;
}

static uint32_t fair_share(uint32_t most)
{
	uint32_t procs = __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED);
	uint32_t n = queue.n / (procs ? procs : 1) + 1;

	if (n > queue.n)
		n = queue.n;
	return n < most ? n : most;
}

/*
 * Move a P's share, no more than @most, to its ring's tail, but for the first if that is
 * asked for. They are in the ring before the queue looks shorter: an M that is about to idle,
 * and reads the length first, sees them here or there. Return: how many.
 */
static uint32_t take_share(struct gsched_proc *p, uint32_t most, struct g **first)
{
	uint32_t n, i = 0;

	if (!global_len())
		return 0;
	rt_lock(&lock);
	n = fair_share(most);
	if (n && first) {
		*first = pop();
		i++;
	}
	for (; i < n; i++)
		runq_push(p, pop());
	set_len(queue.n - n);
	rt_unlock(&lock);
	return n;
}

/**
 * global_take - take a P's share
 * @m:    the caller's M
 * @most: no more than these; more than one only if the P's ring is empty
 *
 * Return: the first, to be run now; the others are in the P's ring. NULL: none.
 */
struct g *global_take(struct m *m, uint32_t most)
{
	struct g *g = NULL;

	take_share(m_proc(m), most, &g);
	return g;
}

/**
 * global_fill - take a P's share to its ring's tail
 * @m:    the caller's M
 * @most: no more than these; there is room for them: only the owner adds to a ring
 *
 * Return: whether there were any.
 */
bool global_fill(struct m *m, uint32_t most)
{
	return take_share(m_proc(m), most, NULL);
}

/** global_reset - for a new runtime. In a child after fork() the lock may be anybody's. */
void global_reset(void)
{
	lock = (struct rt_lock){ 0 };
	queue = (struct g_list){ 0 };
}

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * gfree.c: dead Gs: up to 64 at each P, which need no lock, the others in a list
 * that all share.
 *
 * A stack that once went deep keeps its pages for the next G, until it comes into
 * the shared list and an M finds nothing better to do than to give them back.
 */
#include "gfree.h"
#include "stack.h"

#define LOCAL_MOST	64
#define LOCAL_HALF	(LOCAL_MOST / 2)
#define TRIM_BATCH	16

static struct rt_lock lock;
static struct g *fresh;			/* not trimmed yet */
static struct g *trimmed;
static uint32_t nr_shared;		/* in both, or being trimmed; written under the lock */

static struct g *pop(struct g **list)
{
	struct g *g = *list;

	if (g)
		__atomic_store_n(list, g->next, __ATOMIC_RELAXED);
	return g;
}

static void push(struct g **list, struct g *g)
{
	g->next = *list;
	__atomic_store_n(list, g, __ATOMIC_RELAXED);
}

static bool shared_empty(void)
{
	return !__atomic_load_n(&fresh, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&trimmed, __ATOMIC_RELAXED);
}

static struct g *shared_pop(void)
{
	struct g *g = pop(&fresh);

	if (!g)
		g = pop(&trimmed);
	if (g)
		__atomic_store_n(&nr_shared, nr_shared - 1, __ATOMIC_RELAXED);
	return g;
}

/* One more, or less, in the P's list; others want to know. */
static void local_add(struct p_local *l, int n)
{
	__atomic_store_n(&l->nr_free, l->nr_free + n, __ATOMIC_RELAXED);
}

static struct g *get_shared(void)
{
	struct g *g;

	rt_lock(&lock);
	g = shared_pop();
	rt_unlock(&lock);
	return g;
}

static void refill(struct p_local *l)
{
	struct g *g;

	rt_lock(&lock);
	while (l->nr_free < LOCAL_HALF && (g = shared_pop())) {
		push(&l->free, g);
		local_add(l, 1);
	}
	rt_unlock(&lock);
}

/**
 * gfree_get - a dead G
 * @m: the caller's M, or NULL
 *
 * Return: a G, or NULL: there is none, make one.
 */
struct g *gfree_get(struct m *m)
{
	struct p_local *l;
	struct g *g;

	if (!m)
		return shared_empty() ? NULL : get_shared();
	l = p_local(m_proc(m));
	if (unlikely(!l->free) && !shared_empty())
		refill(l);
	g = pop(&l->free);
	if (g)
		local_add(l, -1);
	return g;
}

static void spill(struct p_local *l, uint32_t keep)
{
	rt_lock(&lock);
	while (l->nr_free > keep) {
		push(&fresh, pop(&l->free));
		local_add(l, -1);
		__atomic_store_n(&nr_shared, nr_shared + 1, __ATOMIC_RELAXED);
	}
	rt_unlock(&lock);
}

/**
 * gfree_put - a G has ended and its stack has been left
 * @m: the caller's M
 * @g: the G
 */
void gfree_put(struct m *m, struct g *g)
{
	struct p_local *l = p_local(m_proc(m));

	push(&l->free, g);
	local_add(l, 1);
	if (l->nr_free > LOCAL_MOST)
		spill(l, LOCAL_HALF);
}

/**
 * gfree_empty - the P retires
 * @m: the M that holds it
 */
void gfree_empty(struct m *m)
{
	spill(p_local(m_proc(m)), 0);
}

/** gfree_untrimmed - is there something to do for gfree_trim()? */
bool gfree_untrimmed(void)
{
	return __atomic_load_n(&fresh, __ATOMIC_RELAXED);
}

/**
 * gfree_trim - give back memory of some dead Gs' stacks
 *
 * For an M that has nothing else to do. Return: whether there was any.
 */
bool gfree_trim(void)
{
	struct g *batch[TRIM_BATCH];
	int n = 0;

	if (!gfree_untrimmed())
		return false;
	rt_lock(&lock);
	while (n < TRIM_BATCH && fresh)
		batch[n++] = pop(&fresh);
	rt_unlock(&lock);
	for (int i = 0; i < n; i++)
		stack_trim(batch[i]);
	rt_lock(&lock);
	for (int i = 0; i < n; i++)
		push(&trimmed, batch[i]);
	rt_unlock(&lock);
	return n;
}

/** gfree_count - how many there are; while they come and go, about. */
uint32_t gfree_count(void)
{
	uint32_t count = __atomic_load_n(&nr_shared, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < seen_procs(); i++)
		count += __atomic_load_n(&p_local(rt.procs + i)->nr_free, __ATOMIC_RELAXED);
	return count;
}

/** gfree_reset - for a new runtime. In a child after fork() the lock may be anybody's. */
void gfree_reset(void)
{
	lock = (struct rt_lock){ 0 };
	fresh = NULL;
	trimmed = NULL;
	nr_shared = 0;
}

/** g_get - a dead G, or a new one. Not in a section. Return: it, or NULL. */
struct g *g_get(void)
{
	struct m *m = sec_enter();
	struct g *g = gfree_get(m);

	sec_leave(m);
	/* Mapping memory and touching it first may sleep. */
	return g ? g : stack_new();
}

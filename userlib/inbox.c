// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * inbox.c: Gs that became ready without a P: by a descriptor's readiness.
 *
 * An inbox is a stack linked through the nodes of slots: pushed by the kernel, or
 * by the portable backend in its place, and taken as a whole. A node's cookie is
 * nonzero from before the push until the consumer has read cookie and next.
 */
#include "proc.h"

static struct gsched_node *node_of(uint32_t node)
{
	return &rt.slots[node / 2].node[node % 2];
}

/* Newest first becomes oldest first. Return: the first node + 1. */
static uint32_t reverse(uint32_t link)
{
	uint32_t done = 0;

	while (link) {
		struct gsched_node *n = node_of(link - 1);
		uint32_t next = __atomic_load_n(&n->next, __ATOMIC_RELAXED);

		__atomic_store_n(&n->next, done, __ATOMIC_RELAXED);
		done = link;
		link = next;
	}
	return done;
}

/* Empties the node; from then on it may be pushed again. Return: the next link. */
static uint32_t consume(uint32_t link, struct g **g)
{
	struct gsched_node *n = node_of(link - 1);

	*g = (struct g *)(uintptr_t)__atomic_load_n(&n->cookie, __ATOMIC_RELAXED);
	link = __atomic_load_n(&n->next, __ATOMIC_RELAXED);
	__atomic_store_n(&n->cookie, 0, __ATOMIC_RELEASE);
	return link;
}

/* Return: the oldest node + 1, which leads to the others. */
static uint32_t take_all(struct gsched_proc *p)
{
	if (!__atomic_load_n(&p->inbox, __ATOMIC_RELAXED))
		return 0;
	return reverse(__atomic_exchange_n(&p->inbox, 0, __ATOMIC_ACQUIRE));
}

/**
 * inbox_drain - move an inbox's Gs to the tail of the caller's queue, oldest first
 * @m:    the caller's M
 * @from: any P: an idle M takes what a busy owner has not come to
 */
void inbox_drain(struct m *m, struct gsched_proc *from)
{
	uint32_t link = take_all(from);
	struct g *g;

	while (link) {
		link = consume(link, &g);
		ready_tail(m, g);
	}
}

/**
 * inbox_to_global - the same, to the tail of the global queue
 * @m:    the caller's M
 * @from: any P
 */
void inbox_to_global(struct m *m, struct gsched_proc *from)
{
	uint32_t link = take_all(from);
	struct g_list l = { 0 };
	struct g *g;

	while (link) {
		link = consume(link, &g);
		if (ready_begin(m, g))
			g_list_add(&l, g);
	}
	if (!l.n)
		return;
	global_put(&l);
	wake_idle();
}

/**
 * inbox_push - what the kernel does, for a backend without it
 * @p:    the P
 * @node: a node whose cookie is 0
 * @g:    the G, taken from the node's word
 */
void inbox_push(struct gsched_proc *p, uint32_t node, struct g *g)
{
	struct gsched_node *n = node_of(node);
	uint32_t first = __atomic_load_n(&p->inbox, __ATOMIC_RELAXED);

	__atomic_store_n(&n->cookie, (uintptr_t)g, __ATOMIC_RELAXED);
	do {
		__atomic_store_n(&n->next, first, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&p->inbox, &first, node + 1, false,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	__atomic_fetch_or(&p->attention, GSCHED_ATTN_INBOX, __ATOMIC_RELEASE);
}

void node_ready(struct m *m, uint32_t node)
{
	uint64_t old = __atomic_exchange_n(&node_of(node)->word, GSCHED_WORD_READY,
					   __ATOMIC_SEQ_CST);

	if (old >= GSCHED_COOKIE_MIN)
		ready(m, (struct g *)(uintptr_t)old);
}

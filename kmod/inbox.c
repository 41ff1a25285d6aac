// SPDX-License-Identifier: GPL-2.0
/*
 * Inboxes: how the kernel makes a G runnable.
 *
 * An inbox is a stack linked through nodes in shared memory: the P's @inbox word
 * names the newest node (number + 1), each node's @next the one below. The kernel
 * pushes; user space takes all by exchanging the word with 0. The kernel never
 * follows a link, so it does not matter to it what user space writes there.
 *
 * A node is linked at most once: the kernel uses a slot's node only when it took a
 * cookie out of its word, and a G that has been delivered parks again only after
 * it was consumed; a node of the ENQUEUE pool, or a slot that is given out anew,
 * only when its @cookie is 0 again.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/mm.h>

#include "gsched.h"
#include "trace.h"

/*
 * To lose this many races in a row takes somebody who scribbles over the inbox,
 * and what is lost then is his.
 */
#define GS_PUSH_TRIES	64

/*
 * Who has spoiled nr_blocked makes us search all Ps for a blocked owner, and find none;
 * and one event may make a million descriptors ready, under a lock with interrupts off.
 * After so many searches the rest is left to the tick.
 */
#define GS_FUTILE	16

/** gs_node - a node's shared words. The slot's page exists. */
struct gsched_node *gs_node(struct gs_ctx *ctx, u32 node)
{
	u32 slot = node / 2, per = GS_PER_PAGE(struct gsched_slot);
	struct page *page = ctx->slot_pages[slot / per];
	struct gsched_slot *sh = page_address(page);

	return &sh[slot % per].node[node % 2];
}

/*
 * A successful cmpxchg is a full barrier: (A) of wake.c. It also orders the node's
 * fields before the word that publishes them; the consumer's exchange pairs.
 */
static void gs_inbox_push(struct gs_p *p, u32 node, struct gsched_node *sh)
{
	u32 *inbox = &p->sh->inbox;
	u32 old = READ_ONCE(*inbox);
	int i;

	for (i = 0; i < GS_PUSH_TRIES; i++) {
		u32 seen;

		WRITE_ONCE(sh->next, old);
		seen = cmpxchg(inbox, old, node + 1);
		if (seen == old)
			goto out;
		old = seen;
	}
	WRITE_ONCE(sh->next, 0);
	xchg(inbox, node + 1);
out:
	atomic_long_inc(&p->readies);
	/*
	 * The owner clears the bit before it exchanges the inbox. If we see it set,
	 * that clearing, and hence the exchange, comes after our push.
	 */
	if (!(READ_ONCE(p->sh->attention) & GSCHED_ATTN_INBOX))
		atomic_or(GSCHED_ATTN_INBOX, (atomic_t *)&p->sh->attention);
}

/* Without the lock: a guess. Return: NULL: none. */
static struct gs_p *gs_some_idle(struct gs_ctx *ctx)
{
	if (!READ_ONCE(ctx->nr_idle))
		return NULL;
	/* It may be wrong by now. Whatever the bits do meanwhile, it is at most nr_procs. */
	return gs_proc(ctx, data_race(find_first_bit(ctx->idle_ps, READ_ONCE(ctx->nr_procs))));
}

/* As gs_some_idle(): some P that is in somebody's hands. */
static struct gs_p *gs_some_busy(struct gs_ctx *ctx)
{
	u32 id, nr = READ_ONCE(ctx->nr_procs);

	/* It may be wrong by now. */
	id = data_race(find_first_zero_bit(ctx->idle_ps, nr));
	return id < nr ? gs_proc(ctx, id) : NULL;
}

/*
 * The wanted P, unless it is busy and another one idle. Where no M is idle one has to be
 * made before it can come to an idle P, and that may fail: a busy one's owner will look.
 */
static struct gs_p *gs_inbox_choose(struct gs_ctx *ctx, u32 wanted)
{
	struct gs_p *p = gs_proc(ctx, wanted) ? : gs_proc(ctx, 0);
	bool idle = READ_ONCE(p->state) == GSCHED_P_IDLE;

	if (READ_ONCE(ctx->nr_idle_ms))
		return idle ? p : gs_some_idle(ctx) ? : p;
	return idle ? gs_some_busy(ctx) ? : p : p;
}

static void gs_deliver(struct gs_ctx *ctx, struct gs_p *p, u32 node, struct gsched_node *sh)
{
	struct gs_wakeup wk;
	bool wake;

	gs_inbox_push(p, node, sh);
	trace_gsched_ready(p, READ_ONCE(sh->cookie));
	wake = (READ_ONCE(ctx->nr_idle) || gs_nr_blocked(ctx)) &&
	       !READ_ONCE(ctx->shared->nr_spinning);
	if (!wake && READ_ONCE(ctx->tick_on))
		return;
	gs_lock(ctx, &wk);
	/* Without an idle M it asks the spawner, and searches nothing. */
	if (wake && (ctx->nr_idle || ctx->futile < GS_FUTILE) &&
	    !gs_wake_one(ctx, p->id, &wk) && ctx->nr_idle_ms)
		ctx->futile++;
	gs_tick_start(ctx);
	gs_unlock(ctx, &wk);
}

/**
 * gs_node_ready - a direction of a descriptor is ready
 * @ctx:  the context
 * @node: the node's number
 * @sh:   its shared words
 *
 * If a G waits, it goes to an inbox. Any context, interrupts on or off.
 *
 * The exchange is done even if the word says READY already: G's reset (exchange
 * with NIL, then the system call) must either come before it, or its system call
 * must see what made the descriptor ready. Both are full barriers.
 */
void gs_node_ready(struct gs_ctx *ctx, u32 node, struct gsched_node *sh)
{
	u64 word = xchg(&sh->word, GSCHED_WORD_READY);

	if (word < GSCHED_COOKIE_MIN)
		return;
	WRITE_ONCE(sh->cookie, word);
	gs_deliver(ctx, gs_inbox_choose(ctx, READ_ONCE(sh->proc)), node, sh);
}

/* Under enq_lock. Return: a node that user space has let go of, or -EAGAIN. */
static int gs_enq_node(struct gs_ctx *ctx)
{
	u32 i, node;

	for (i = 0; i < 2 * GS_ENQ_SLOTS; i++) {
		node = (ctx->enq_next + i) % (2 * GS_ENQ_SLOTS);
		/* Pairs with the consumer's release: it has read @next. */
		if (!smp_load_acquire(&gs_node(ctx, node)->cookie)) {
			ctx->enq_next = node + 1;
			return node;
		}
	}
	return -EAGAIN;
}

int gs_ioc_enqueue(struct gs_ctx *ctx, void *arg)
{
	struct gsched_enqueue *e = arg;
	struct gsched_node *sh;
	struct gs_p *p;
	int node;

	if (e->flags || e->cookie < GSCHED_COOKIE_MIN)
		return -EINVAL;
	p = gs_proc(ctx, e->proc);
	if (!p && e->proc != GSCHED_NONE)
		return -EINVAL;

	spin_lock(&ctx->enq_lock);
	node = gs_enq_node(ctx);
	if (node >= 0)
		WRITE_ONCE(gs_node(ctx, node)->cookie, e->cookie);
	spin_unlock(&ctx->enq_lock);
	if (node < 0)
		return node;

	sh = gs_node(ctx, node);
	gs_deliver(ctx, p ? : gs_inbox_choose(ctx, READ_ONCE(sh->proc)), node, sh);
	return 0;
}

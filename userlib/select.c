// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * select.c: one of several sends and receives.
 *
 * Phase 1 holds the locks of all channels: it chooses among the cases that can be
 * done, and does one. If there is none, phase 2 puts a waiter into each channel's queue
 * and parks; phase 3 takes those out that are still there.
 *
 * Whoever wants to end the wait claims the select: a compare-and-swap of @winner from
 * NULL to his waiter, or to @expired or @cancelled. A sender or receiver does it
 * after he has taken a waiter out of a queue, under that channel's lock.
 *
 * The locks of several channels are held together here and nowhere else: taken in
 * order of address, so that two selects cannot wait for one another. @lock is the
 * select's own and comes last. It is held until all others have been released, which
 * happens after the stack has been left; so
 *
 *   - deadline and cancelling, which take it, do not make the G runnable before
 *   - phase 3, which takes it, too, does not begin while the commit still goes through
 *     the cases. A channel whose lock has been released may end the wait while the
 *     others are still to be released.
 *
 * A waiter's memory is used by others only under its channel's lock and while it is in
 * the queue, or by who has claimed the select; so after phase 3 nothing knows of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chan.h"
#include "group.h"

#define CASES_MAX	65536
#define CASES_INLINE	8		/* as many need no malloc */

struct select {
	struct gs_case *cases;
	struct waiter *w;		/* [n], of each case */
	uint32_t *order;		/* [nr]: cases with a channel, by its address */
	uint32_t n, nr;
	struct waiter *winner;
	struct rt_lock lock;
	uint32_t word;			/* a thread's to sleep on */
	struct g *g;
	struct timer timer;
	struct waiter end;		/* claims for deadline and cancelling */
};

/* ------------------------------------------------------------- all channels' locks */

static gs_chan *chan_at(const struct select *s, uint32_t i)
{
	return s->cases[s->order[i]].chan;
}

/* The same channel is locked once: where it stands last. */
static bool last_of_chan(const struct select *s, uint32_t i)
{
	return i + 1 == s->nr || chan_at(s, i) != chan_at(s, i + 1);
}

static void lock_all(struct select *s)
{
	for (uint32_t i = 0; i < s->nr; i++)
		if (last_of_chan(s, i))
			rt_lock(&chan_at(s, i)->lock);
}

static void unlock_all(struct select *s)
{
	for (uint32_t i = 0; i < s->nr; i++)
		if (last_of_chan(s, i))
			chan_unlock(chan_at(s, i));
}

static bool before(const struct select *s, uint32_t a, uint32_t b)
{
	return (uintptr_t)s->cases[a].chan < (uintptr_t)s->cases[b].chan;
}

static void sift_down(struct select *s, uint32_t i, uint32_t n)
{
	uint32_t *o = s->order, child, top = o[i];

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && before(s, o[child], o[child + 1]))
			child++;
		if (!before(s, top, o[child]))
			break;
		o[i] = o[child];
		i = child;
	}
	o[i] = top;
}

/* A heap sort: no recursion, no memory, and most selects have two or three cases. */
static void sort_cases(struct select *s)
{
	uint32_t i, last;

	for (i = 0; i < s->n; i++)
		if (s->cases[i].chan)
			s->order[s->nr++] = i;
	for (i = s->nr / 2; i-- > 0; )
		sift_down(s, i, s->nr);
	for (i = s->nr; i-- > 1; ) {
		last = s->order[i];
		s->order[i] = s->order[0];
		s->order[0] = last;
		sift_down(s, 0, i);
	}
}

/* --------------------------------------------------------- phase 1: without waiting */

/* Less than @n. Its upper bits: the lower ones of such a sequence have short periods. */
static uint32_t random_below(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint64_t)*seed * n >> 32;
}

static bool can_do(const struct gs_case *c)
{
	return c->dir == GS_SEND ? chan_can_send(c->chan) : chan_can_recv(c->chan);
}

/* Of k cases that can be done the k-th takes the place of the choice with 1 in k. */
static int choose(struct select *s, uint32_t *seed)
{
	uint32_t ready = 0;
	int chosen = -EAGAIN;

	for (uint32_t i = 0; i < s->nr; i++) {
		if (!can_do(&s->cases[s->order[i]]))
			continue;
		if (++ready == 1 || random_below(seed, ready) == 0)
			chosen = (int)s->order[i];
	}
	return chosen;
}

/* Return: -EAGAIN: it can no longer be done. */
static int do_case(struct gs_case *c, struct waiter **wake)
{
	if (c->dir == GS_SEND)
		return chan_try_send(c->chan, c->send, wake);
	return chan_try_recv(c->chan, c->recv, wake);
}

/* All locks held. Return: the case that was done, or -EAGAIN. */
static int try_all(struct select *s, uint32_t *seed, struct waiter **wake)
{
	int i, ret;

	do {
		i = choose(s, seed);
		if (i < 0)
			return i;
		ret = do_case(&s->cases[i], wake);
	} while (ret == -EAGAIN);
	s->cases[i].result = ret;
	return i;
}

/* ---------------------------------------------------------------- phase 2: waiting */

static void **queue_of(const struct gs_case *c)
{
	return c->dir == GS_SEND ? &c->chan->senders : &c->chan->receivers;
}

/*
 * Who comes takes the first waiter in the channel's queue: of several of ours in one
 * queue each is as likely to be that.
 */
static void shuffle_same(struct select *s, uint32_t *seed)
{
	uint32_t *o = s->order, i, j, first = 0, other;

	for (i = 1; i < s->nr; i++) {
		if (chan_at(s, i) != chan_at(s, first)) {
			first = i;
			continue;
		}
		j = first + random_below(seed, i - first + 1);
		other = o[i];
		o[i] = o[j];
		o[j] = other;
	}
}

static void enqueue_all(struct select *s)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		struct gs_case *c = &s->cases[s->order[i]];
		struct waiter *w = &s->w[s->order[i]];

		w->g = s->g;
		w->word = &s->word;
		w->claim = &s->winner;
		w->data = c->dir == GS_SEND ? (void *)c->send : c->recv;
		waitq_add(queue_of(c), w);
	}
}

static void dequeue_all(struct select *s)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		struct waiter *w = &s->w[s->order[i]];

		if (w->next)
			waitq_del(queue_of(&s->cases[s->order[i]]), w);
	}
}

/* Return: false: somebody was first. */
static bool end_early(struct select *s, int result)
{
	bool mine;

	rt_lock(&s->lock);
	mine = waiter_claim(&s->end);
	if (mine)
		s->end.result = result;
	rt_unlock(&s->lock);
	return mine;
}

static void on_deadline(struct m *m, struct timer *t)
{
	struct select *s = t->arg;
	struct g *g = s->g;

	if (end_early(s, -ETIMEDOUT))
		ready_tail(m, g);
}

static void on_cancel(struct m *m, void *arg)
{
	struct select *s = arg;
	struct g *g = s->g;

	if (end_early(s, -ECANCELED))
		ready_tail(m, g);
}

static bool commit_unlock_all(struct g *g, void *arg)
{
	struct select *s = arg;

	(void)g;
	unlock_all(s);
	rt_unlock(&s->lock);
	return true;
}

static int arm(struct m *m, struct select *s, int64_t deadline)
{
	if (deadline == NO_DEADLINE)
		return 0;
	s->timer.when = deadline;
	s->timer.fn = on_deadline;
	s->timer.arg = s;
	return timer_start(m, &s->timer);
}

/* All locks held, all waiters queued. Return: the M that the G goes on in. */
static struct m *park_g(struct m *m, struct select *s, int64_t deadline)
{
	bool may_wait = cancel_begin(s->g, on_cancel, s);
	int err = may_wait ? arm(m, s, deadline) : -ECANCELED;

	if (err) {
		/* Nobody else can have claimed it yet, nor can any more. */
		waiter_claim(&s->end);
		s->end.result = err;
		unlock_all(s);
		rt_unlock(&s->lock);
	} else {
		m = park(m, commit_unlock_all, s, WAIT_SELECT);
		if (deadline != NO_DEADLINE)
			timer_stop(m, &s->timer);
	}
	if (may_wait)
		cancel_end(s->g);
	return m;
}

static void park_thread(struct select *s, int64_t deadline)
{
	unlock_all(s);
	rt_unlock(&s->lock);
	sec_leave(NULL);
	if (!word_wait(&s->word, deadline) && !end_early(s, -ETIMEDOUT))
		word_wait(&s->word, NO_DEADLINE);
	sec_enter();
}

/* Phase 3. Return: the case that was done, or -errno. */
static int finish(struct select *s)
{
	struct waiter *won;

	lock_all(s);
	rt_lock(&s->lock);
	dequeue_all(s);
	unlock_all(s);
	rt_unlock(&s->lock);
	won = __atomic_load_n(&s->winner, __ATOMIC_ACQUIRE);
	if (won == &s->end)
		return won->result;
	s->cases[won - s->w].result = won->result;
	return (int)(won - s->w);
}

/* All locks of channels held; they are released. Return: the M. */
static struct m *wait_for_one(struct m *m, struct select *s, int64_t deadline, uint32_t *seed)
{
	rt_lock(&s->lock);
	s->g = m ? m_g(m) : NULL;
	s->end.claim = &s->winner;
	shuffle_same(s, seed);
	enqueue_all(s);
	if (m)
		m = park_g(m, s, deadline);
	else
		park_thread(s, deadline);
	return m;
}

/* --------------------------------------------------------------------------- calls */

static int run(struct select *s, int64_t deadline)
{
	static uint32_t others;		/* the seed of threads that are no Ms */
	struct waiter *wake = NULL;
	struct m *m = sec_enter();
	uint32_t other = 0, *seed = m ? &m->rand : &other;
	int ret;

	if (!m)
		other = __atomic_fetch_add(&others, 2654435761U, __ATOMIC_RELAXED);
	lock_all(s);
	ret = try_all(s, seed, &wake);
	if (ret != -EAGAIN || deadline_passed(deadline)) {
		unlock_all(s);
		if (wake)
			waiter_wake(m, wake);
		ret = ret == -EAGAIN ? -ETIMEDOUT : ret;
	} else {
		m = wait_for_one(m, s, deadline, seed);
		ret = finish(s);
	}
	sec_leave(m);
	return ret;
}

static int check_cases(const struct gs_case *cases, size_t n)
{
	if (n > CASES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (cases[i].dir != GS_SEND && cases[i].dir != GS_RECV)
			return -EINVAL;
	return 0;
}

static void zero_received(struct gs_case *c)
{
	if (c->dir == GS_RECV && !c->result && c->recv)
		memset(c->recv, 0, c->chan->elem_size);
}

static int select_with(struct gs_case *cases, size_t n, int64_t deadline, struct waiter *w,
		       uint32_t *order)
{
	struct select s = { .cases = cases, .n = (uint32_t)n, .w = w, .order = order };
	int ret;

	sort_cases(&s);
	ret = run(&s, deadline);
	if (ret >= 0)
		zero_received(&cases[ret]);
	return ret;
}

static int select_many(struct gs_case *cases, size_t n, int64_t deadline)
{
	struct waiter *w = calloc(n, sizeof(*w) + sizeof(uint32_t));
	int ret;

	if (!w)
		return -ENOMEM;
	ret = select_with(cases, n, deadline, w, (uint32_t *)(w + n));
	free(w);
	return ret;
}

static int select_few(struct gs_case *cases, size_t n, int64_t deadline)
{
	uint32_t order[CASES_INLINE];
	struct waiter w[CASES_INLINE];

	for (size_t i = 0; i < n; i++)
		w[i].next = NULL;
	return select_with(cases, n, deadline, w, order);
}

int gs_select_until(struct gs_case *cases, size_t n, int64_t deadline)
{
	int err = check_cases(cases, n);

	if (err)
		return err;
	if (n > CASES_INLINE)
		return select_many(cases, n, deadline);
	return select_few(cases, n, deadline);
}

int gs_select(struct gs_case *cases, size_t n)
{
	return gs_select_until(cases, n, NO_DEADLINE);
}

int gs_try_select(struct gs_case *cases, size_t n)
{
	int ret = gs_select_until(cases, n, 0);

	return ret == -ETIMEDOUT ? -EAGAIN : ret;
}

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * chan_timer.c: timers that send on a channel: gs_after, gs_tick.
 *
 * A timer is a channel of one int64_t (chan.h) with a struct timer behind its buffer,
 * in the same piece of memory.
 *
 * field      protected by
 * elem       the channel's lock: it is the buffer
 * timer,     @lock, while nobody else has a reference also by that; what timer.c does
 *  epoch      with a timer that is armed does not count
 * ticks      constant
 *
 * @lock keeps starts and stops apart. It is taken before the channel's lock, and held
 * while timer_stop waits for fire(), which takes the channel's lock only, and for what
 * other timers call: the one case of two objects' locks at once.
 *
 * A timer is armed in the runtime whose number is @epoch. If that has ended the timer is
 * at rest whatever its state says, and the heap that it was in is gone.
 */
#include <errno.h>
#include <string.h>

#include "chan.h"
#include "proc.h"

struct chan_timer {
	int64_t elem;
	struct rt_lock lock;
	uint32_t epoch;
	bool ticks;
	struct timer timer;
};

static struct chan_timer *timer_of(gs_chan *c)
{
	return (struct chan_timer *)(void *)c->buf;
}

/* In a section. At the tail: of several whose time has come the first runs first. */
static void fire(struct m *m, struct timer *t)
{
	gs_chan *c = t->arg;
	struct waiter *wake = NULL;
	int64_t now = gs_now();

	rt_lock(&c->lock);
	/* Full: the last time has not been received yet, this one is left out. */
	chan_try_send(c, &now, &wake);
	chan_unlock(c);
	if (wake)
		waiter_wake_tail(m, wake);
}

/* What has been sent and not received. Return: whether there was anything. */
static bool drain(struct m *m, gs_chan *c)
{
	struct waiter *wake = NULL;
	bool any;

	rt_lock(&c->lock);
	any = c->count;
	if (any)
		chan_try_recv(c, NULL, &wake);
	chan_unlock(c);
	/* Somebody else's send, which has now been made. */
	if (wake)
		waiter_wake(m, wake);
	return any;
}

static bool of_this_runtime(struct chan_timer *ct)
{
	return ct->epoch == __atomic_load_n(&rt_epoch, __ATOMIC_RELAXED);
}

/* In a section: does the runtime stay until its end? */
static bool runtime_stays(struct m *m)
{
	return m || runtime_runs();
}

/* Locked. Return: nobody has received its time, nor will. */
static bool disarm(struct m *m, gs_chan *c)
{
	struct chan_timer *ct = timer_of(c);
	bool armed = runtime_stays(m) && of_this_runtime(ct) && timer_stop(m, &ct->timer);

	return drain(m, c) || armed;
}

static int64_t after(int64_t ns)
{
	int64_t now = gs_now();

	if (ns <= 0)
		return now;
	return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

/* Locked; it is disarmed. Return: 0, -ENOMEM, -EINVAL: no runtime runs. */
static int arm(struct m *m, gs_chan *c, int64_t ns)
{
	struct chan_timer *ct = timer_of(c);

	if (!runtime_stays(m))
		return -EINVAL;
	ct->epoch = __atomic_load_n(&rt_epoch, __ATOMIC_RELAXED);
	ct->timer = (struct timer){
		.when = after(ns),
		.period = ct->ticks ? ns : 0,
		.fn = fire,
		.arg = c,
	};
	return timer_start_apart(m, &ct->timer);
}

/**
 * chan_timer_end - a timer's last reference has been dropped
 * @c: a timer
 *
 * Return: whether its memory may go. Not while the runtime ends: its threads may still
 * run the timer, and it is too late to ask them not to.
 */
bool chan_timer_end(gs_chan *c)
{
	struct chan_timer *ct = timer_of(c);
	struct m *m = sec_enter();
	bool stays = runtime_stays(m), ours = of_this_runtime(ct);

	if (stays && ours)
		timer_stop(m, &ct->timer);
	sec_leave(m);
	return stays || !ours;
}

static gs_chan *timer_new(int64_t ns, bool ticks)
{
	gs_chan *c = chan_alloc(sizeof(int64_t), 1, sizeof(struct chan_timer));

	if (!c)
		return NULL;
	c->is_timer = true;
	memset(c->buf, 0, sizeof(struct chan_timer));
	timer_of(c)->ticks = ticks;
	if (gs_timer_reset(c, ns) < 0) {
		gs_chan_unref(c);
		return NULL;
	}
	return c;
}

gs_chan *gs_after(int64_t ns)
{
	return timer_new(ns, false);
}

gs_chan *gs_tick(int64_t ns)
{
	return timer_new(ns, true);
}

int gs_timer_stop(gs_chan *t)
{
	struct m *m;
	int ret;

	if (!t || !t->is_timer)
		return -EINVAL;
	m = sec_enter();
	rt_lock(&timer_of(t)->lock);
	ret = disarm(m, t);
	rt_unlock(&timer_of(t)->lock);
	sec_leave(m);
	return ret;
}

int gs_timer_reset(gs_chan *t, int64_t ns)
{
	struct m *m;
	int ret, err;

	if (!t || !t->is_timer || (timer_of(t)->ticks && ns <= 0))
		return -EINVAL;
	m = sec_enter();
	rt_lock(&timer_of(t)->lock);
	ret = disarm(m, t);
	err = arm(m, t, ns);
	rt_unlock(&timer_of(t)->lock);
	sec_leave(m);
	return err ? err : ret;
}

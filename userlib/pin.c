// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * pin.c: goroutines that stay on their thread, alone: gs_lock_thread().
 *
 * Nobody else runs a pinned G. So when it parks, its stack need not be left before it
 * is published, and it does not switch: it does its commit by itself, gives its P up,
 * sleeps, and gets a P again. Who makes it ready does not queue it but wakes its
 * thread.
 *
 *   the G                                    who makes it ready, the runtime's end
 *   word = AWAKE                       [A]
 *   commit: publishes the G                  takes the G from where it was published
 *   AWAKE -> ASLEEP                    [B]   old = exchange(word, WOKEN)         [C]
 *   count the M as asleep                    old is ASLEEP: count it as awake
 *   sleep while the word is ASLEEP           futex_wake(word)
 *
 * If [C] comes before [B], then [B] fails and the G goes on without having slept. Else
 * the sleep ends, or does not begin. The waker may be late with its futex_wake, and wake
 * a later sleep, whose word then says that it goes on.
 *
 * The count is deadlock.c's. The waker changes it for the one that it wakes, before it
 * can sleep itself: otherwise it could be the last to sleep, and find all asleep, while
 * the woken thread has not come to run yet. A waker may be faster than the sleeper; then
 * the count is one too low for a moment, which can only hide a deadlock, and the
 * sleeper, who counts last, looks.
 *
 * The runtime's end sets rt_stopping and then wakes all that are pinned. One that it
 * finds before [A], whose WOKEN [A] overwrites, sees rt_stopping after [B]: [A] is an
 * exchange, and reads what the other exchange wrote. One that pins itself later sees it,
 * too: by the list's lock.
 *
 * Giving the P up: where the kernel hands Ps over, it is enough to sleep outside of a
 * section; if nobody wants the P, that costs nothing, and the thread does not come back
 * to user mode without one. Elsewhere the backend is told.
 *
 * Yielding: others can be let run only by giving up the P, which costs more than a
 * switch; so it is done only if somebody waits for it.
 */
#include <errno.h>

#include "futex.h"
#include "pin.h"
#include "proc.h"

enum {
	PIN_AWAKE,
	PIN_ASLEEP,
	PIN_WOKEN,
};

static struct rt_lock lock;
static struct g *pinned;

static void list_add(struct g *g)
{
	rt_lock(&lock);
	g->pin.prev = NULL;
	g->pin.next = pinned;
	if (pinned)
		pinned->pin.prev = g;
	pinned = g;
	rt_unlock(&lock);
}

static void list_del(struct g *g)
{
	rt_lock(&lock);
	if (g->pin.next)
		g->pin.next->pin.prev = g->pin.prev;
	if (g->pin.prev)
		g->pin.prev->pin.next = g->pin.next;
	else
		pinned = g->pin.next;
	rt_unlock(&lock);
}

/* --------------------------------------------------------------- sleep and wake */

static bool word_change(struct pin *pin, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&pin->word, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* [B]. Return: false: it is awake, having been woken already. */
static bool fall_asleep(struct pin *pin, int64_t *look_again)
{
	if (!word_change(pin, PIN_AWAKE, PIN_ASLEEP))
		return false;
	*look_again = idle_begin();
	return true;
}

/* It wakes up by itself, to look for a deadlock again. Return: false: it was woken. */
static bool rouse(struct pin *pin)
{
	if (!word_change(pin, PIN_ASLEEP, PIN_AWAKE))
		return false;
	idle_end();
	return true;
}

static void sleep_on(struct pin *pin, int64_t look_again)
{
	while (__atomic_load_n(&pin->word, __ATOMIC_ACQUIRE) == PIN_ASLEEP && !stopping()) {
		futex_wait(&pin->word, PIN_ASLEEP, look_again);
		if (look_again && gs_now() >= look_again &&
		    (!rouse(pin) || !fall_asleep(pin, &look_again)))
			return;
	}
}

static void wake(struct g *g)
{
	uint32_t old = __atomic_exchange_n(&g->pin.word, PIN_WOKEN, __ATOMIC_SEQ_CST);

	if (old != PIN_ASLEEP)
		return;
	idle_end();
	futex_wake(&g->pin.word, 1);
}

/**
 * pin_ready - ready() for a pinned G
 * @g: the G; it may go on, and end, before this returns
 */
void pin_ready(struct g *g)
{
	wake(g);
}

static struct m *sleep_without_p(struct m *m, struct pin *pin, int64_t look_again)
{
	if (rt.features & GS_FEAT_HANDOFF) {
		sec_leave_quiet(m);
		sleep_on(pin, look_again);
		return sec_enter_m();
	}
	rt.backend->release(m);
	sleep_on(pin, look_again);
	sec_acquire(m);
	return m;
}

/* What a switch would do. */
static void go_on(struct m *m, struct g *self)
{
	if (stopping())
		m_leave(m);
	__atomic_store_n(&self->state, G_EXECUTING, __ATOMIC_RELAXED);
	trace(m_proc(m), self, G_EXECUTING, WAIT_NONE);
	if (tick_stopped())
		start_tick(m);
}

/**
 * pin_park - park() for a pinned G, which is marked as waiting
 * @m:      its M
 * @commit: as park's
 * @arg:    as park's
 *
 * Return: the same M.
 */
__attribute__((noinline)) struct m *
pin_park(struct m *m, bool (*commit)(struct g *g, void *arg), void *arg)
{
	struct g *self = m_g(m);
	int64_t look_again;

	/* Where others see it stand. */
	arch_ctx_here(&self->ctx);
	__atomic_exchange_n(&self->pin.word, PIN_AWAKE, __ATOMIC_SEQ_CST);	/* [A] */
	if (commit(self, arg) && fall_asleep(&self->pin, &look_again))
		m = sleep_without_p(m, &self->pin, look_again);
	go_on(m, self);
	return m;
}

/**
 * pin_yield - gs_yield() for a pinned G
 * @m: its M
 *
 * Return: the same M.
 */
__attribute__((noinline)) struct m *pin_yield(struct m *m)
{
	struct g *self = m_g(m);

	if (stopping())
		m_leave(m);
	if (!others_wait(m))
		return m;
	arch_ctx_here(&self->ctx);
	__atomic_store_n(&self->state, G_RUNNABLE, __ATOMIC_RELAXED);
	trace(m_proc(m), self, G_RUNNABLE, WAIT_NONE);
	p_let_go(m);
	rt.backend->release(m);
	sec_acquire(m);
	go_on(m, self);
	return m;
}

/* ------------------------------------------------------------------- begin, end */

/**
 * pin_end - a pinned G ends, and with it the thread
 * @m: its M; it leaves when it comes to its own stack
 * @g: the G
 */
void pin_end(struct m *m, struct g *g)
{
	list_del(g);
	g->pinned = false;
	m->leaving = true;
}

/** pins_stop - the runtime ends: wake all. rt_stopping is set. */
void pins_stop(void)
{
	rt_lock(&lock);
	for (struct g *g = pinned; g; g = g->pin.next)
		wake(g);
	rt_unlock(&lock);
}

/** pins_reset - for a new runtime. In a child after fork() the lock may be anybody's. */
void pins_reset(void)
{
	lock = (struct rt_lock){ 0 };
	pinned = NULL;
}

/**
 * pin_for_ever - nobody makes @g run any more
 * @g: a G that the runtime, which has ended, left where it was
 *
 * It may still stand in the queue of a channel, and be made ready by a later runtime.
 */
void pin_for_ever(struct g *g)
{
	g->pinned = true;
	__atomic_store_n(&g->pin.word, PIN_WOKEN, __ATOMIC_RELAXED);
}

int gs_lock_thread(void)
{
	struct m *m = sec_enter_m();
	struct g *g;

	if (!m)
		return -EINVAL;
	g = m_g(m);
	if (!g->pinned) {
		g->pin.depth = 0;
		list_add(g);
		g->pinned = true;
	}
	g->pin.depth++;
	sec_leave(m);
	return 0;
}

int gs_unlock_thread(void)
{
	struct m *m = sec_enter_m();
	struct g *g = m ? m_g(m) : NULL;
	int err = g && g->pinned ? 0 : -EINVAL;

	if (!err && !--g->pin.depth) {
		list_del(g);
		g->pinned = false;
	}
	if (m)
		sec_leave(m);
	return err;
}

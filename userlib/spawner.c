// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * spawner.c: Ms are made here, by the thread that called gs_main, when the backend
 * says that one is missing. Never by an M: creating a thread takes locks and may
 * wait, which is not allowed in a section.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "futex.h"
#include "altstack.h"
#include "mtable.h"
#include "catch.h"
#include "runtime.h"

enum {
	START_PENDING,
	START_DONE,
	START_FAILED,
};

struct start {
	struct m *m;
	uint32_t state;
};

uint32_t rt_nr_ms;

static void start_tell(struct start *s, uint32_t state)
{
	/* The waiter may return, and @s be gone, before the wake; that is harmless. */
	__atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
	futex_wake(&s->state, 1);
}

static void m_run(struct m *m, struct start *start)
{
	san_thread_start(&m->g0_san);
	if (rt.backend->m_register(m)) {
		start_tell(start, START_FAILED);
		return;
	}
	m_set_g(m, NULL);
	mtable_add(m);
	catch_init(m);
	__atomic_store_n(&m->shared->in_sched, 1, __ATOMIC_RELAXED);
	arch_set_m(m);
	start_tell(start, START_DONE);
	/* It has no G yet, so it does not queue for a P behind those who have. */
	m_idle(m);
	if (!m->leaving)
		m_schedule(m);
	arch_set_m(NULL);
	mtable_del(m);
	/* Still in its section: the kernel does not care whether it has a P. */
	rt.backend->m_unregister(m);
}

static void m_gone(struct m *m)
{
	free(m);
	/* The last touch: gs_main may return, another one begin. */
	__atomic_fetch_sub(&rt_nr_ms, 1, __ATOMIC_SEQ_CST);
	futex_wake(&rt_nr_ms, INT32_MAX);
}

/*
 * An M that has left slept for the timers, or was one of those that had to be asleep
 * before a deadlock is looked for: another one takes that over.
 */
static void wake_another(void)
{
	if (!runtime_enter())
		return;
	rt.backend->wake();
	runtime_leave();
}

static void *m_main(void *arg)
{
	struct start *start = arg;
	struct m *m = start->m;
	struct altstack altstack;

	/* A cancelled M would take its P and its goroutine with it. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (altstack_enter(&altstack)) {
		start_tell(start, START_FAILED);
	} else {
		m_run(m, start);
		altstack_leave(&altstack);
	}
	idle_left();
	m_gone(m);
	wake_another();
	return NULL;
}

static struct m *m_new(void)
{
	static uint32_t seed = 1;
	struct m *m = aligned_alloc(64, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct m){ .rand = seed++ * 2654435761U };
	return m;
}

static int create(struct start *start)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, m_main, start);
	pthread_attr_destroy(&attr);
	return -err;
}

static int start_wait(struct start *s)
{
	while (__atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == START_PENDING)
		futex_wait(&s->state, START_PENDING, 0);
	return s->state == START_DONE ? 0 : -EAGAIN;
}

/**
 * m_spawn - make an M
 *
 * Return: 0 once it is registered, or -errno.
 */
int m_spawn(void)
{
	struct start start = { .m = m_new(), .state = START_PENDING };
	int err;

	if (!start.m)
		return -ENOMEM;
	__atomic_fetch_add(&rt_nr_ms, 1, __ATOMIC_SEQ_CST);
	err = create(&start);
	if (err)
		m_gone(start.m);
	return err ? err : start_wait(&start);
}

/** spawner_run - make Ms as they are missed, until the runtime stops. */
void spawner_run(void)
{
	bool failed = false;

	while (!rt.backend->spawner(failed))
		failed = m_spawn();
}

/** ms_gone - wait up to @wait ns until no M is left. Return: whether none is. */
bool ms_gone(int64_t wait)
{
	int64_t deadline = gs_now() + wait;
	uint32_t n;

	while ((n = __atomic_load_n(&rt_nr_ms, __ATOMIC_ACQUIRE))) {
		if (gs_now() >= deadline)
			return false;
		futex_wait(&rt_nr_ms, n, deadline);
	}
	return true;
}

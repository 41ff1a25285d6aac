// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * trace.c: recording of scheduling events.
 *
 * Each P has a ring that its owner writes. While events are recorded, or times are
 * accounted (profile.c), every P has ATTN_TRACE set, so that its steps take the slow
 * paths, which record; otherwise the fast paths know nothing of traces.
 *
 *   owner                              gs_trace_stop
 *   trace_busy = 1                     trace = NULL
 *   (compiler barrier)                 membarrier: a full barrier on all CPUs
 *   load trace, write the event        trace_busy is 0?
 *   (release) trace_busy = 0           read the ring
 *
 * Either the owner finds no ring, or it is waited for. Where there is no membarrier
 * the owner has a barrier of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "output.h"
#include "profile.h"
#include "runtime.h"

struct event {
	int64_t when;
	uint64_t g;
	uint32_t cpu;
	uint16_t proc;
	uint8_t state;
	uint8_t why;
	char name[G_NAME_LEN];
};

struct trace_ring {
	uint64_t n;			/* ever written */
	int64_t last;			/* when the newest was */
	uint64_t size;			/* a power of two */
	struct event events[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t size;			/* 0: not recording */
static int64_t since;
/* All rings, of Ps that are dead by now too. */
static struct trace_ring *rings[GSCHED_MAX_PROCS];

static void write_event(struct trace_ring *r, struct gsched_proc *p, struct g *g,
			enum g_state state, enum wait_reason why)
{
	struct event *e = r->events + (r->n++ & (r->size - 1));

	/* Times within a ring are distinct, so that sorting by time keeps its order. */
	e->when = gs_now();
	if (e->when <= r->last)
		e->when = r->last + 1;
	r->last = e->when;
	e->g = g->id;
	e->cpu = sched_getcpu();
	e->proc = p - rt.procs;
	e->state = state;
	e->why = why;
	memcpy(e->name, g->name, sizeof(e->name));
}

/** trace_record - one event; @p's owner, in a section. */
void trace_record(struct gsched_proc *p, struct g *g, enum g_state state,
		  enum wait_reason why)
{
	struct p_local *l = p_local(p);
	struct trace_ring *r;

	profile(g, state);
	__atomic_store_n(&l->trace_busy, 1, __ATOMIC_RELAXED);
	if (rt.membarrier)
		barrier();
	else
		arch_barrier();
	r = __atomic_load_n(&l->trace, __ATOMIC_ACQUIRE);
	if (r)
		write_event(r, p, g, state, why);
	__atomic_store_n(&l->trace_busy, 0, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------- the rings */

static int ring_make(uint32_t proc)
{
	struct trace_ring *r = malloc(sizeof(*r) + size * sizeof(struct event));

	if (!r)
		return -ENOMEM;
	r->n = 0;
	r->last = 0;
	r->size = size;
	rings[proc] = r;
	return 0;
}

static void rings_free(void)
{
	for (uint32_t i = 0; i < GSCHED_MAX_PROCS; i++) {
		free(rings[i]);
		rings[i] = NULL;
	}
	size = 0;
}

/*
 * Whoever finds a ring must find the bit, too, at its next step: else a G would be
 * seen to begin and not to end. So the bit comes first and goes last.
 */
static void proc_on(uint32_t proc)
{
	__atomic_fetch_or(&rt.procs[proc].attention, ATTN_TRACE, __ATOMIC_RELAXED);
	__atomic_store_n(&p_local(rt.procs + proc)->trace, rings[proc], __ATOMIC_RELEASE);
	__atomic_store_n(&p_local(rt.procs + proc)->traced, true, __ATOMIC_RELEASE);
}

static void proc_off(uint32_t proc)
{
	__atomic_store_n(&p_local(rt.procs + proc)->trace, NULL, __ATOMIC_SEQ_CST);
	if (profiling())
		return;
	__atomic_store_n(&p_local(rt.procs + proc)->traced, false, __ATOMIC_RELAXED);
	__atomic_fetch_and(&rt.procs[proc].attention, ~ATTN_TRACE, __ATOMIC_SEQ_CST);
}

static void proc_wait(uint32_t proc)
{
	while (__atomic_load_n(&p_local(rt.procs + proc)->trace_busy, __ATOMIC_ACQUIRE))
		sched_yield();
}

static int start(size_t events)
{
	int err = 0;

	if (size)
		return -EBUSY;
	size = 16;
	while (size < events && size < SIZE_MAX / sizeof(struct event) / 4)
		size *= 2;
	since = gs_now();
	for (uint32_t i = 0; i < seen_procs() && !err; i++)
		err = ring_make(i);
	if (err) {
		rings_free();
		return err;
	}
	for (uint32_t i = 0; i < seen_procs(); i++)
		proc_on(i);
	return 0;
}

/** trace_procs - Ps from @from to below @to are new. Out of memory: they record nothing. */
void trace_procs(uint32_t from, uint32_t to)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = from; i < to; i++) {
		bool ring = size && !ring_make(i);

		if (ring || profiling())
			proc_on(i);
	}
	pthread_mutex_unlock(&lock);
}

/** trace_states - from now on profile() is called at each change of a G's state. */
void trace_states(void)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < seen_procs(); i++)
		proc_on(i);
	pthread_mutex_unlock(&lock);
}

/** trace_end - the runtime is gone. */
void trace_end(void)
{
	rings_free();
}

/**
 * trace_reset - for a new runtime
 *
 * In a child after fork() the lock may be anybody's, who may have been freeing a ring: so
 * they are only forgotten.
 */
void trace_reset(void)
{
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	memset(rings, 0, sizeof(rings));
	size = 0;
}

static void stop(void)
{
	for (uint32_t i = 0; i < seen_procs(); i++)
		proc_off(i);
	if (rt.membarrier)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (uint32_t i = 0; i < seen_procs(); i++)
		proc_wait(i);
}

/* ------------------------------------------------------------------- the output */

static uint64_t ring_len(struct trace_ring *r)
{
	return r->n < r->size ? r->n : r->size;
}

static struct event *ring_event(struct trace_ring *r, uint64_t i)
{
	return r->events + ((r->n - ring_len(r) + i) & (r->size - 1));
}

static int earlier(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return x->proc < y->proc ? -1 : x->proc > y->proc;
}

static struct event **sorted(size_t *n)
{
	struct event **all;

	*n = 0;
	for (uint32_t i = 0; i < GSCHED_MAX_PROCS; i++)
		*n += rings[i] ? ring_len(rings[i]) : 0;
	all = malloc((*n + 1) * sizeof(struct event *));
	if (!all)
		return NULL;
	*n = 0;
	for (uint32_t i = 0; i < GSCHED_MAX_PROCS; i++)
		for (uint64_t j = 0; rings[i] && j < ring_len(rings[i]); j++)
			all[(*n)++] = ring_event(rings[i], j);
	qsort(all, *n, sizeof(struct event *), earlier);
	return all;
}

static size_t format(char *buf, size_t room, const struct event *e)
{
	char name[G_NAME_LEN];
	int i;

	/* A name must not break the line. */
	for (i = 0; i < G_NAME_LEN - 1 && e->name[i]; i++)
		name[i] = (unsigned char)e->name[i] < ' ' ? '?' : e->name[i];
	name[i] = '\0';
	return snprintf(buf, room, "%lld\t%u\t%u\t%llu\t%s\t%s\t%s\n",
			(long long)(e->when - since), e->proc, e->cpu,
			(unsigned long long)e->g, state_name(e->state), why_name(e->why),
			i ? name : "-");
}

static int output(int fd)
{
	static const char header[] = "ns\tp\tcpu\tg\tstate\twhy\tname\n";
	char buf[4096];
	size_t n, len = 0;
	struct event **all = sorted(&n);
	int err;

	if (!all)
		return -ENOMEM;
	err = write_all(fd, header, sizeof(header) - 1);
	for (size_t i = 0; i < n && !err; i++) {
		len += format(buf + len, sizeof(buf) - len, all[i]);
		if (len > sizeof(buf) - 256 || i + 1 == n) {
			err = write_all(fd, buf, len);
			len = 0;
		}
	}
	free(all);
	return err;
}

static int stop_and_output(int fd)
{
	int err;

	if (!size)
		return -EINVAL;
	stop();
	err = output(fd);
	rings_free();
	return err;
}

/* The caller is executing; of other goroutines the next event will tell. */
static void trace_self(void)
{
	struct m *m = sec_enter();

	if (m && m_g(m))
		trace(m_proc(m), m_g(m), G_EXECUTING, WAIT_NONE);
	sec_leave(m);
}

int gs_trace_start(size_t events)
{
	int err;

	if (!runtime_enter())
		return -EINVAL;
	pthread_mutex_lock(&lock);
	err = start(events);
	pthread_mutex_unlock(&lock);
	if (!err)
		trace_self();
	runtime_leave();
	return err;
}

int gs_trace_stop(int fd)
{
	int err;

	if (!runtime_enter())
		return -EINVAL;
	pthread_mutex_lock(&lock);
	err = stop_and_output(fd);
	pthread_mutex_unlock(&lock);
	runtime_leave();
	return err;
}

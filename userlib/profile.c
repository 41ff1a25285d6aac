// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * profile.c: where goroutines' time goes: executing, runnable, waiting, in system calls.
 *
 * While times are accounted, every P has ATTN_TRACE set, as for a trace (trace.c), so
 * that each change of a G's state comes by here; otherwise the fast paths know nothing
 * of it. At a change the time since the one before is added to what the G did
 * meanwhile. Of the time between two calls of the library, in which a G keeps its
 * thread, what the thread spent on a CPU is executing, the rest in system calls.
 *
 * A G's record, struct g_prof in struct g, is written by whoever has the G in hand: one
 * thread at a time, handed on with the G itself. Others read it at any time: @seq is odd
 * while it changes, and is another one afterwards.
 *
 *   writer                             reader
 *   seq = odd                          load seq (acquire): even?
 *   fields (release)                   fields (acquire)
 *   seq = even (release)               load seq: the same?
 *
 * If the reader has seen one of the new fields it sees the odd seq, too.
 *
 * A record is good if it has the number of this profile and of its G; else it is of
 * before, or of the G that lived there before, and all that is known of this one is
 * what it does now: it has done so since the profile began. One that is being born is
 * still dead, which takes no time.
 *
 * When a G ends its record is added to its function's sums, under a lock. Sums have
 * fixed places in a table; when that is full the others share one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "debug.h"
#include "mtable.h"
#include "output.h"
#include "profile.h"
#include "runtime.h"
#include "stack.h"
#include "symbols.h"

#define FUNCTIONS	1024		/* a power of two */
#define SNAPSHOT_TRIES	1000		/* of a G that runs and runs again meanwhile */

struct sum {
	uintptr_t fn;			/* 0: free */
	uint64_t gs;
	struct gs_times times;
};

struct table {
	uint32_t used;
	struct sum sum[FUNCTIONS];
	struct sum others;
};

uint32_t profile_run;			/* which profile this is, 0: none */
static int64_t started;

/* One starts or writes at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Of those that have ended. */
static struct rt_lock ended_lock;
static struct table ended;

static int64_t thread_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* ---------------------------------------------------------------------- sums */

static struct sum *sum_of(struct table *t, uintptr_t fn)
{
	uint32_t i = (uint32_t)((fn * 0x9e3779b97f4a7c15ULL) >> 32) % FUNCTIONS;

	while (t->sum[i].fn && t->sum[i].fn != fn)
		i = (i + 1) % FUNCTIONS;
	if (t->sum[i].fn)
		return t->sum + i;
	/* One place stays free, so that every search ends. */
	if (t->used == FUNCTIONS - 1)
		return &t->others;
	t->used++;
	t->sum[i].fn = fn;
	return t->sum + i;
}

static void sum_add(struct table *t, uintptr_t fn, const struct gs_times *times)
{
	struct sum *s = sum_of(t, fn);

	s->gs++;
	s->times.executing += times->executing;
	s->times.runnable += times->runnable;
	s->times.waiting += times->waiting;
	s->times.insyscall += times->insyscall;
}

/* ------------------------------------------------------------------- records */

/*
 * What @g has done since @r->since, until @now; its thread has used @cpu by then. To a
 * clock that is read on another CPU a moment may be negative.
 */
static void charge(struct g_record *r, int64_t now, int64_t cpu)
{
	int64_t wall = now - r->since, ran = cpu - r->cpu;

	if (wall < 0)
		wall = 0;
	switch (r->state) {
	case G_EXECUTING:
		if (ran < 0)
			ran = 0;
		if (ran > wall)
			ran = wall;
		r->times.executing += ran;
		r->times.insyscall += wall - ran;
		break;
	case G_RUNNABLE:
		r->times.runnable += wall;
		break;
	case G_WAITING:
		r->times.waiting += wall;
		break;
	default:
		break;
	}
	r->since = now;
	r->cpu = cpu;
}

/*
 * The first that is heard of @g in this profile. @mark is the CPU time of the thread that
 * runs it when the profile began.
 */
static struct g_record first_record(struct g *g, uint64_t id, uint32_t run, enum g_state state,
				    int64_t mark)
{
	return (struct g_record){
		.run = run,
		.state = state,
		.id = id,
		.fn = g_entry(g),
		.since = __atomic_load_n(&started, __ATOMIC_RELAXED),
		.cpu = mark,
	};
}

static bool is_of(const struct g_record *r, uint64_t id, uint32_t run)
{
	return r->run == run && r->id == id;
}

/* The words of a record, which readers see one by one. */
#define RECORD_WORDS (sizeof(struct g_record) / sizeof(uint64_t))

static void publish(struct g_prof *p, const struct g_record *r)
{
	const uint64_t *from = (const uint64_t *)r;
	uint64_t *to = (uint64_t *)&p->record;

	__atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < RECORD_WORDS; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
	__atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_RELEASE);
}

static void end(const struct g_record *r)
{
	rt_lock(&ended_lock);
	if (r->run == __atomic_load_n(&profile_run, __ATOMIC_RELAXED))
		sum_add(&ended, r->fn, &r->times);
	rt_unlock(&ended_lock);
}

/*
 * The G's own thread runs this when the G was executing, or is about to: the CPU time is
 * that of the right one.
 */
static void record(struct g *g, enum g_state to, uint32_t run)
{
	enum g_state from = __atomic_load_n(&g->state, __ATOMIC_RELAXED);
	struct g_record r = g->prof.record;
	int64_t now = gs_now(), cpu = 0;
	struct m *m = m_self();

	if (from == G_EXECUTING || to == G_EXECUTING)
		cpu = thread_cpu();
	if (!is_of(&r, g->id, run))
		r = first_record(g, g->id, run, from, m ? mtable_marked(m->id) : 0);
	charge(&r, now, cpu);
	r.state = to;
	publish(&g->prof, &r);
	if (to == G_DEAD)
		end(&r);
}

/** profile_record - profile(), while times are accounted. */
void profile_record(struct g *g, enum g_state to)
{
	uint32_t run = __atomic_load_n(&profile_run, __ATOMIC_ACQUIRE);

	if (run)
		record(g, to, run);
}

/* ------------------------------------------------- reading others' records */

/* Return: the M that runs @g, or GSCHED_NONE. */
static uint32_t m_of(struct g *g)
{
	for (uint32_t i = 0; i < mtable_size(); i++)
		if (mtable_tid(i) && mtable_g(i) == g)
			return i;
	return GSCHED_NONE;
}

/* Return: the record's seq; odd: it changes just now. */
static uint32_t read_record(struct g_prof *p, struct g_record *r)
{
	uint32_t seq = __atomic_load_n(&p->seq, __ATOMIC_ACQUIRE);
	uint64_t *from = (uint64_t *)&p->record, *to = (uint64_t *)r;

	for (size_t i = 0; i < RECORD_WORDS; i++)
		to[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
	return seq;
}

static bool record_is(struct g_prof *p, uint32_t seq)
{
	return !(seq % 2) && __atomic_load_n(&p->seq, __ATOMIC_RELAXED) == seq;
}

/*
 * What @g, with this number and in this state, has done up to now. The CPU time of a G
 * that executes is its thread's just now.
 */
static void read_up_to_now(struct g *g, uint64_t id, enum g_state state, uint32_t run,
			   struct g_record *r)
{
	uint32_t m = GSCHED_NONE;
	int64_t cpu = 0;

	if (state == G_EXECUTING || r->state == G_EXECUTING)
		m = m_of(g);
	if (!is_of(r, id, run))
		*r = first_record(g, id, run, state, m != GSCHED_NONE ? mtable_marked(m) : 0);
	if (m != GSCHED_NONE)
		cpu = mtable_cpu(m);
	charge(r, gs_now(), cpu);
}

/*
 * The state is read first: that of a G that has just been born comes after its record.
 * Return: false: there is no G.
 */
static bool snapshot(struct g *g, uint32_t run, struct g_record *r)
{
	uint64_t id = __atomic_load_n(&g->id, __ATOMIC_ACQUIRE);
	enum g_state state = __atomic_load_n(&g->state, __ATOMIC_ACQUIRE);
	uint32_t seq;

	if (!id || state == G_DEAD)
		return false;
	for (int tries = 0; tries < SNAPSHOT_TRIES; tries++) {
		seq = read_record(&g->prof, r);
		if (seq % 2) {
			sched_yield();
			continue;
		}
		read_up_to_now(g, id, state, run, r);
		if (record_is(&g->prof, seq))
			return r->state != G_DEAD && __atomic_load_n(&g->id, __ATOMIC_RELAXED) == id;
	}
	return false;
}

/* -------------------------------------------------------------------- output */

static int by_executing(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	if (x->times.executing != y->times.executing)
		return x->times.executing > y->times.executing ? -1 : 1;
	return x->fn < y->fn ? -1 : x->fn > y->fn;
}

static int write_sum(int fd, const struct sum *s)
{
	char line[512], name[256];
	int n;

	n = snprintf(line, sizeof(line), "%llu\t%llu\t%llu\t%llu\t%llu\t%s\n",
		     (unsigned long long)s->gs, (unsigned long long)s->times.executing,
		     (unsigned long long)s->times.runnable,
		     (unsigned long long)s->times.waiting,
		     (unsigned long long)s->times.insyscall,
		     s->fn ? symbol_name(s->fn, name, sizeof(name)) : "(others)");
	return write_all(fd, line, n);
}

/* In no order any more, afterwards: it is for output alone. */
static int write_table(int fd, struct table *t)
{
	static const char header[] =
		"goroutines\texecuting\trunnable\twaiting\tinsyscall\tfunction\n";
	uint32_t n = 0;
	int err;

	for (uint32_t i = 0; i < FUNCTIONS; i++)
		if (t->sum[i].gs)
			t->sum[n++] = t->sum[i];
	qsort(t->sum, n, sizeof(*t->sum), by_executing);
	err = write_all(fd, header, sizeof(header) - 1);
	for (uint32_t i = 0; i < n && !err; i++)
		err = write_sum(fd, t->sum + i);
	if (t->others.gs && !err)
		err = write_sum(fd, &t->others);
	return err;
}

/* First those that have ended: who ends between the two looks is missed, not doubled. */
static void collect(struct table *t, uint32_t run)
{
	struct m *m = sec_enter();
	uint32_t n;

	rt_lock(&ended_lock);
	*t = ended;
	rt_unlock(&ended_lock);
	sec_leave(m);
	n = stack_count();
	for (uint32_t i = 0; i < n; i++) {
		struct g_record r;

		if (snapshot(stack_g(i), run, &r))
			sum_add(t, r.fn, &r.times);
	}
}

/* Locked. */
static int output(int fd)
{
	struct table *t;
	int err;

	if (!profile_run)
		return -EINVAL;
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	collect(t, profile_run);
	err = write_table(fd, t);
	free(t);
	return err;
}

int gs_profile_write(int fd)
{
	int err;

	if (!runtime_enter())
		return -EINVAL;
	pthread_mutex_lock(&lock);
	err = output(fd);
	pthread_mutex_unlock(&lock);
	runtime_leave();
	return err;
}

int gs_times(struct gs_times *times)
{
	struct m *m = sec_enter_m();
	int err = -EINVAL;

	if (!m)
		return err;
	if (profiling()) {
		profile_record(m_g(m), G_EXECUTING);
		*times = m_g(m)->prof.record.times;
		err = 0;
	}
	sec_leave(m);
	return err;
}

/* ------------------------------------------------------------ start and stop */

/* A second time it begins anew: what is on record has another number. */
static void start(void)
{
	static uint32_t last_run;
	struct m *m;

	mtable_mark();
	m = sec_enter();
	rt_lock(&ended_lock);
	memset(&ended, 0, sizeof(ended));
	__atomic_store_n(&started, gs_now(), __ATOMIC_RELAXED);
	__atomic_store_n(&profile_run, ++last_run, __ATOMIC_RELEASE);
	rt_unlock(&ended_lock);
	sec_leave(m);
	trace_states();
}

int gs_profile_start(void)
{
	if (!runtime_enter())
		return -EINVAL;
	pthread_mutex_lock(&lock);
	start();
	pthread_mutex_unlock(&lock);
	runtime_leave();
	return 0;
}

static void at_exit(void)
{
	if (settings.profile)
		gs_profile_write(STDERR_FILENO);
}

/** profile_env - the runtime starts: GSCHED_DEBUG may say that times are accounted. */
void profile_env(void)
{
	static bool registered;

	if (!settings.profile)
		return;
	if (!registered)
		registered = !atexit(at_exit);
	start();
}

/** profile_end - the runtime ends: GSCHED_DEBUG may say that it is written. */
void profile_end(void)
{
	if (settings.profile)
		output(STDERR_FILENO);
}

/** profile_reset - for a new runtime. In a child after fork() the locks may be anybody's. */
void profile_reset(void)
{
	profile_run = 0;
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	ended_lock = (struct rt_lock){ 0 };
}

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * schedtrace.c: GSCHED_DEBUG=schedtrace=MS,scheddetail=1: the scheduler's state on
 * standard error, in the words of Go's GODEBUG settings of the same names.
 *
 *   SCHED 1004ms: gomaxprocs=2 idleprocs=0 threads=4 spinningthreads=0 idlethreads=1 runqueue=0 [0 0]
 *
 * The numbers in brackets are the Gs in the Ps' queues, the next to run included.
 * Nothing is locked and nobody stopped: each number was right at some time of late, but
 * not all of them at the same one.
 *
 * Called by one thread at a time. Each line is one write, so lines of others do not
 * come in between.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "mtable.h"
#include "schedtrace.h"
#include "stack.h"
#include "timer.h"

static struct {
	size_t len;
	char buf[8 * GSCHED_MAX_PROCS];
} line;

static __attribute__((format(printf, 1, 2))) void add(const char *fmt, ...)
{
	size_t room = sizeof(line.buf) - line.len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line.buf + line.len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		line.len += (size_t)n < room ? (size_t)n : room - 1;
}

static void end_line(void)
{
	size_t len = line.len;

	/* Cut, it shall still be a line. */
	if (len == sizeof(line.buf) - 1)
		len--;
	line.buf[len++] = '\n';
	line.len = 0;
	if (write(STDERR_FILENO, line.buf, len) != (ssize_t)len)
		return;
}

static uint32_t nr_procs(void)
{
	return __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED);
}

static uint32_t queue_len(struct gsched_proc *p)
{
	return runq_len(p) + !!__atomic_load_n(&p->runnext, __ATOMIC_RELAXED);
}

static void summary(int64_t since_start)
{
	add("SCHED %lldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u "
	    "idlethreads=%u runqueue=%u [", (long long)(since_start / 1000000), nr_procs(),
	    __atomic_load_n(&rt.shared->nr_idle, __ATOMIC_RELAXED),
	    __atomic_load_n(&rt_nr_ms, __ATOMIC_RELAXED),
	    __atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_RELAXED), idle_count(),
	    global_len());
	for (uint32_t i = 0; i < nr_procs(); i++)
		add("%s%u", i ? " " : "", queue_len(rt.procs + i));
	add("]");
	end_line();
}

/* --------------------------------------------------------------------- detail */

static const char *proc_state(uint32_t state)
{
	switch (state) {
	case GSCHED_P_IDLE:
		return "idle";
	case GSCHED_P_RUN:
		return "running";
	default:
		return "dead";
	}
}

static void add_number(const char *key, uint32_t n)
{
	if (n == GSCHED_NONE)
		add(" %s=nil", key);
	else
		add(" %s=%u", key, n);
}

static uint64_t g_number(struct g *g)
{
	return __atomic_load_n(&g->id, __ATOMIC_RELAXED);
}

static void detail_p(uint32_t i)
{
	struct gsched_proc *p = rt.procs + i;
	struct p_local *l = p_local(p);
	struct m *m = sec_enter();
	uint32_t timers = timers_count(p);

	sec_leave(m);
	add("  P%u: status=%s schedtick=%llu", i,
	    proc_state(__atomic_load_n(&p->state, __ATOMIC_RELAXED)),
	    (unsigned long long)__atomic_load_n(&p->steps, __ATOMIC_RELAXED) / 2);
	add_number("m", __atomic_load_n(&p->owner, __ATOMIC_RELAXED));
	add(" runqsize=%u gfreecnt=%u timerslen=%u", queue_len(p),
	    __atomic_load_n(&l->nr_free, __ATOMIC_RELAXED), timers);
	end_line();
}

static void detail_m(uint32_t id)
{
	struct g *g = mtable_g(id);

	add("  M%u:", id);
	add_number("p", mtable_proc(id));
	if (g)
		add(" curg=%llu", (unsigned long long)g_number(g));
	else
		add(" curg=nil");
	add(" tid=%d", mtable_tid(id));
	end_line();
}

/* Return: its M, or GSCHED_NONE. */
static uint32_t find_m(struct g *g)
{
	for (uint32_t i = 0; i < mtable_size(); i++)
		if (mtable_tid(i) && mtable_g(i) == g)
			return i;
	return GSCHED_NONE;
}

static void detail_g(struct g *g)
{
	enum g_state state = __atomic_load_n(&g->state, __ATOMIC_RELAXED);

	if (!g_number(g) || state == G_DEAD)
		return;
	add("  G%llu: status=%s(%s)", (unsigned long long)g_number(g), state_name(state),
	    state == G_WAITING ? why_name(__atomic_load_n(&g->why, __ATOMIC_RELAXED)) : "");
	add_number("m", state == G_EXECUTING ? find_m(g) : GSCHED_NONE);
	end_line();
}

/**
 * schedtrace - print the state
 * @since_start: ns since the runtime started
 * @detail:      a line for each P, M and G, too
 *
 * By a thread that keeps the runtime from ending.
 */
void schedtrace(int64_t since_start, bool detail)
{
	summary(since_start);
	if (!detail)
		return;
	for (uint32_t i = 0; i < nr_procs(); i++)
		detail_p(i);
	for (uint32_t i = 0; i < mtable_size(); i++)
		if (mtable_tid(i))
			detail_m(i);
	for (uint32_t i = 0; i < stack_count(); i++)
		detail_g(stack_g(i));
}

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * dump.c: what every goroutine does, for people: gs_dump, deadlocks, SIGQUIT, crashes,
 * leaks.
 *
 * Nothing is stopped and nothing is waited for, since this runs in signal handlers and
 * in crashes, too. Any goroutine may run, end and begin another life while it is looked
 * at; its struct g and its stack stay mapped. So what is read of it is a hint, the
 * backtrace never leaves its stack (backtrace.c), and both are believed only if nothing
 * has changed meanwhile:
 *
 *   dump                                    the goroutine, elsewhere
 *   id, state, why, since, ctx              state = EXECUTING
 *   backtrace: reads the stack              writes to its stack
 *   the same once more: are they the same?  state = WAITING, ctx
 *
 * If the backtrace has met a word that was written meanwhile, the state had changed
 * before that (x86 keeps the order of stores and of loads; compiler barriers on both
 * sides), and is seen changed; unless the goroutine waits again by then, for the same
 * reason, at the same place of its code and its stack, since the same 17 ms. Then the
 * backtrace may be a mixture of two. Nor does it show when a goroutine is just about to
 * park: WAITING comes before the ctx. In both cases the backtrace hardly ever reaches
 * the goroutine's beginning (backtrace->whole). So it is made again, a few times, and
 * what comes of it in the end is shown as it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backtrace.h"
#include "coarse.h"
#include "debug.h"
#include "dump.h"
#include "gfree.h"
#include "runtime.h"
#include "stack.h"

#define TRIES		5
#define LEAK_PATIENCE	100			/* ms for those that are about to end */

struct dump {
	bool begun;				/* a blank line comes first */
	struct out out;
	struct symbol_cache names;
	struct backtrace trace;
};

/* What a G is doing. */
struct look {
	struct g *g;
	uint64_t id;
	uint32_t state, why, since;
	struct arch_ctx ctx;
};

/** g_count - how many goroutines exist. While they come and go, about. */
uint64_t g_count(void)
{
	uint32_t slots = stack_count(), dead = gfree_count();

	return slots > dead ? slots - dead : 0;
}

/* ---------------------------------------------------------------- one goroutine */

static __attribute__((noinline, no_sanitize_thread)) void look_at(struct look *l, struct g *g)
{
	const volatile struct arch_ctx *ctx = &g->ctx;

	l->g = g;
	l->id = __atomic_load_n(&g->id, __ATOMIC_RELAXED);
	l->state = __atomic_load_n(&g->state, __ATOMIC_ACQUIRE);
	l->why = __atomic_load_n(&g->why, __ATOMIC_RELAXED);
	l->since = __atomic_load_n(&g->since, __ATOMIC_RELAXED);
	l->ctx.sp = ctx->sp;
	l->ctx.pc = ctx->pc;
	l->ctx.bp = ctx->bp;
	l->ctx.bx = ctx->bx;
}

static bool same(const struct look *a, const struct look *b)
{
	return a->id == b->id && a->state == b->state && a->why == b->why &&
	       a->since == b->since && a->ctx.sp == b->ctx.sp && a->ctx.pc == b->ctx.pc &&
	       a->ctx.bp == b->ctx.bp && a->ctx.bx == b->ctx.bx;
}

static bool alive(const struct look *l)
{
	return l->id && l->state != G_DEAD;
}

static bool stands_still(const struct look *l)
{
	return l->state == G_RUNNABLE || l->state == G_WAITING;
}

/* Return: the backtrace can be trusted. */
static bool trace_once(struct dump *d, struct look *l)
{
	struct look after;
	struct regs regs;

	regs_of_ctx(&regs, &l->ctx);
	backtrace_of(&d->trace, &regs, l->g);
	barrier();
	look_at(&after, l->g);
	if (same(l, &after))
		return d->trace.whole;
	*l = after;
	return false;
}

/* @l is brought up to date. Return: there is a backtrace, be it bad. */
static bool trace_parked(struct dump *d, struct look *l)
{
	for (int i = 0; i < TRIES && alive(l) && stands_still(l); i++)
		if (trace_once(d, l))
			return true;
	return alive(l) && stands_still(l);
}

static __attribute__((no_sanitize_thread)) void print_name(struct out *o, const struct g *g)
{
	out_char(o, '"');
	for (int i = 0; i < G_NAME_LEN - 1 && g->name[i]; i++)
		out_char(o, (unsigned char)g->name[i] < ' ' ? '?' : g->name[i]);
	out_char(o, '"');
}

/* goroutine 7 "name" [chan receive, 12 s]: */
static void print_head(struct dump *d, const struct look *l)
{
	struct out *o = &d->out;
	bool waits = l->state == G_WAITING;
	uint32_t seconds = waits ? coarse_seconds(l->since) : 0;

	out_str(o, d->begun ? "\ngoroutine " : "goroutine ");
	d->begun = true;
	out_u64(o, l->id);
	out_char(o, ' ');
	print_name(o, l->g);
	out_str(o, " [");
	out_str(o, waits ? why_name(l->why) : state_name(l->state));
	if (seconds) {
		out_str(o, ", ");
		out_u64(o, seconds);
		out_str(o, " s");
	}
	out_str(o, "]:\n");
}

static void dump_g(struct dump *d, struct g *g)
{
	struct look l;
	bool traced;

	look_at(&l, g);
	traced = trace_parked(d, &l);
	if (!alive(&l))
		return;
	print_head(d, &l);
	if (traced)
		backtrace_print(&d->out, &d->trace, &d->names);
}

/* The caller, or whom the signal has interrupted. */
static void dump_running(struct dump *d, struct g *g, struct regs *regs)
{
	struct look l;

	look_at(&l, g);
	print_head(d, &l);
	backtrace_of(&d->trace, regs, g);
	backtrace_print(&d->out, &d->trace, &d->names);
}

/* --------------------------------------------------------------------- all of them */

static void dump_init(struct dump *d, int fd)
{
	d->begun = false;
	out_init(&d->out, fd);
	memset(&d->names, 0, sizeof(d->names));
}

/**
 * dump_all - a block for each goroutine
 * @fd:   where to
 * @self: registers of the calling thread, changed; NULL: it runs no goroutine
 *
 * The runtime exists. Async-signal-safe. Return: 0 or -errno.
 */
int dump_all(int fd, struct regs *self)
{
	struct g *own = self ? g_self() : NULL;
	uint32_t n = stack_count();
	struct dump d;

	dump_init(&d, fd);
	if (own)
		dump_running(&d, own, self);
	for (uint32_t i = 0; i < n && !d.out.err; i++)
		if (stack_g(i) != own)
			dump_g(&d, stack_g(i));
	return out_flush(&d.out);
}

/** dump_here - a backtrace of the calling thread alone, which is about to end. */
void dump_here(int fd, struct regs *regs)
{
	struct dump d;

	dump_init(&d, fd);
	backtrace_of(&d.trace, regs, g_self());
	backtrace_print(&d.out, &d.trace, &d.names);
	out_flush(&d.out);
}

int gs_dump(int fd)
{
	struct regs regs;
	int err;

	if (!runtime_enter())
		return -EINVAL;
	regs_here(&regs);
	err = dump_all(fd, &regs);
	runtime_leave();
	return err;
}

/* ------------------------------------------------------------------------- leaks */

/* @still: those count that stand still for good, else those that may be about to end. */
static uint32_t others(bool still)
{
	struct g *own = g_self();
	uint32_t count = 0;
	struct look l;

	for (uint32_t i = 0; i < stack_count(); i++) {
		look_at(&l, stack_g(i));
		if (l.g != own && alive(&l) && (l.state == G_WAITING) == still)
			count++;
	}
	return count;
}

/**
 * leaks_report - goroutines that have not ended, on standard error
 *
 * By the first goroutine when its function has returned, or by a thread that is none.
 * Those that are on their way to their end are given a moment.
 */
void leaks_report(void)
{
	uint32_t n;
	struct dump d;

	for (int ms = 0; others(false) && ms < LEAK_PATIENCE; ms++)
		gs_sleep(1000000);
	n = others(false) + others(true);
	if (!n)
		return;
	dump_init(&d, STDERR_FILENO);
	out_str(&d.out, "gsched: leaks: ");
	out_u64(&d.out, n);
	out_str(&d.out, n == 1 ? " goroutine has not ended\n\n" :
				" goroutines have not ended\n\n");
	for (uint32_t i = 0; i < stack_count(); i++)
		if (stack_g(i) != g_self())
			dump_g(&d, stack_g(i));
	out_flush(&d.out);
}

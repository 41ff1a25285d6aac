// SPDX-License-Identifier: GPL-2.0
/*
 * Operations for ../insns.sh, which counts their instructions.
 *
 *   gsched OPERATION TIMES
 */
#include "measure_gs.h"

#define TASKS	8

static gs_wg running;
static gs_mutex mutex = GS_MUTEX_INIT;
static gs_chan *chans[TASKS], *back;
static long times, count;

/* Start @tasks of them, wait until all have ended. */
static void run(void (*fn)(void *), int tasks)
{
	gs_wg_add(&running, tasks);
	for (long i = 0; i < tasks; i++)
		need(!gs_go(fn, (void *)i));
	gs_wg_wait(&running);
}

static void chans_make(size_t capacity)
{
	for (int i = 0; i < TASKS; i++) {
		chans[i] = gs_chan_new(sizeof(long), capacity);
		need(chans[i]);
	}
	back = gs_chan_new(sizeof(long), 0);
	need(back);
}

static void yielder(void *arg)
{
	(void)arg;
	for (long i = 0; i < times / TASKS; i++, count++)
		gs_yield();
	gs_wg_done(&running);
}

static void yield(void)
{
	run(yielder, TASKS);
}

static void nothing(void *arg)
{
	(void)arg;
	count++;
	gs_wg_done(&running);
}

static void spawn_one(void)
{
	for (long i = 0; i < times; i++)
		run(nothing, 1);
}

static void spawn_many(void)
{
	for (long i = 0; i < times; i += TASKS)
		run(nothing, TASKS);
}

static void locker(void *arg)
{
	(void)arg;
	for (long i = 0; i < times / TASKS; i++) {
		gs_mutex_lock(&mutex);
		count++;
		gs_mutex_unlock(&mutex);
	}
	gs_wg_done(&running);
}

static void mutex_free(void)
{
	run(locker, TASKS);
}

/*
 * Who has it yields, so that all others come to wait for it; and who has given it up does,
 * so that none of them loses it again: after a millisecond of that a mutex goes another way.
 */
static void waiting_locker(void *arg)
{
	(void)arg;
	for (long i = 0; i < times / TASKS; i++) {
		gs_mutex_lock(&mutex);
		count++;
		gs_yield();
		gs_mutex_unlock(&mutex);
		gs_yield();
	}
	gs_wg_done(&running);
}

static void mutex_contended(void)
{
	run(waiting_locker, TASKS);
}

static void answer(void *arg)
{
	long v;

	(void)arg;
	while (gs_chan_recv(chans[0], &v) == 1)
		gs_chan_send(back, &v);
	gs_wg_done(&running);
}

static void ask(void *arg)
{
	long v;

	(void)arg;
	for (long i = 0; i < times; i++) {
		gs_chan_send(chans[0], &i);
		count += gs_chan_recv(back, &v);
	}
	gs_chan_close(chans[0]);
	gs_wg_done(&running);
}

static void ask_or_answer(void *arg)
{
	(arg ? ask : answer)(NULL);
}

static void chan_round_trip(void)
{
	chans_make(0);
	run(ask_or_answer, 2);
}

static void sender(void *arg)
{
	for (long i = 0; i < times; i++)
		need(!gs_chan_send(arg, &i));
	gs_chan_close(arg);
}

static void chan_buffered(void)
{
	chans_make(128);
	need(!gs_go(sender, chans[0]));
	while (gs_chan_recv(chans[0], NULL) == 1)
		count++;
}

static void endless_sender(void *arg)
{
	for (long i = 0;; i++)
		gs_chan_send(arg, &i);
}

static void select_of(int n)
{
	struct gs_case cases[TASKS] = { 0 };
	long v;

	chans_make(0);
	for (int i = 0; i < n; i++) {
		cases[i] = (struct gs_case) { .chan = chans[i], .recv = &v, .dir = GS_RECV };
		need(!gs_go(endless_sender, chans[i]));
	}
	for (long i = 0; i < times; i++)
		count += gs_select(cases, n) >= 0;
}

static void select_2(void)
{
	select_of(2);
}

static void select_8(void)
{
	select_of(8);
}

#define OPERATION(name) { #name, name }

static const struct {
	const char *name;
	void (*fn)(void);
} operations[] = {
	OPERATION(yield),
	OPERATION(spawn_one),
	OPERATION(spawn_many),
	OPERATION(mutex_free),
	OPERATION(mutex_contended),
	OPERATION(chan_round_trip),
	OPERATION(chan_buffered),
	OPERATION(select_2),
	OPERATION(select_8),
};

static int bench(int argc, char **argv)
{
	need(argc == 3);
	times = atol(argv[2]);
	need(times > 0 && times % TASKS == 0);
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (!strcmp(argv[1], operations[i].name))
			operations[i].fn();
	need(count == times);
	return 0;
}

int main(int argc, char **argv)
{
	setenv("GSCHED_MAXPROCS", "1", 1);
	setenv("GSCHED_BACKEND", "epoll", 1);
	return gs_main(bench, argc, argv);
}

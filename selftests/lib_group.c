// SPDX-License-Identifier: GPL-2.0
/*
 * Groups: the first error, cancelling of every kind of wait, deadlines, shields, and
 * members that end while they are cancelled.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib_check.h"

static int return_arg(void *arg)
{
	return (int)(intptr_t)arg;
}

TEST_GO(results)
{
	gs_group grp = GS_GROUP_INIT;

	CHECK_EQ(0, gs_group_wait(&grp));
	CHECK_EQ(0, gs_group_go(&grp, return_arg, (void *)0));
	CHECK_EQ(0, gs_group_go(&grp, return_arg, (void *)7));
	CHECK_EQ(0, gs_group_wait(&grp));
	CHECK_EQ(0, gs_group_go(&grp, return_arg, (void *)-EIO));
	CHECK_EQ(-EIO, gs_group_wait(&grp));
	/* As new. */
	CHECK_EQ(0, gs_group_go(&grp, return_arg, (void *)0));
	CHECK_EQ(0, gs_group_wait(&grp));
}

/* -------------------------------------------------------- every kind of wait ends */

struct waits {
	gs_chan *full, *empty;
	gs_mutex locked;
	gs_wg wg;
	int sock[2], quiet[2];
	int waiting;			/* goroutines that are about to wait */
	gs_group inner;
};

static void waits_init(struct waits *w)
{
	memset(w, 0, sizeof(*w));
	w->full = gs_chan_new(sizeof(int), 0);
	w->empty = gs_chan_new(sizeof(int), 0);
	CHECK(w->full && w->empty);
	gs_mutex_lock(&w->locked);
	gs_wg_add(&w->wg, 1);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, w->sock));
	CHECK(!pipe(w->quiet));
}

static void waits_exit(struct waits *w)
{
	int v = 1;

	/* Nobody waits any more: all is as before. */
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(w->full, &v));
	CHECK_EQ(-EAGAIN, gs_chan_try_send(w->empty, &v));
	gs_mutex_unlock(&w->locked);
	CHECK_EQ(0, gs_mutex_trylock(&w->locked));
	gs_mutex_unlock(&w->locked);
	gs_wg_done(&w->wg);
	CHECK_EQ(0, gs_wg_wait(&w->wg));
	gs_chan_unref(w->full);
	gs_chan_unref(w->empty);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(0, gs_close(w->sock[i]));
		CHECK_EQ(0, gs_close(w->quiet[i]));
	}
}

static int do_send(struct waits *w)
{
	int v = 1;

	return gs_chan_send(w->full, &v);
}

static int do_recv(struct waits *w)
{
	int v;

	return gs_chan_recv(w->empty, &v);
}

static int do_recv_until(struct waits *w)
{
	int v;

	return gs_chan_recv_until(w->empty, &v, gs_now() + 3600 * 1000 * MS);
}

static int do_select(struct waits *w)
{
	struct gs_case c[] = {
		{ .chan = w->empty, .dir = GS_RECV },
		{ .chan = w->full, .send = w, .dir = GS_SEND },
		{ .chan = NULL, .dir = GS_RECV },
	};

	return gs_select(c, 3);
}

static int do_select_until(struct waits *w)
{
	struct gs_case c = { .chan = w->empty, .dir = GS_RECV };

	return gs_select_until(&c, 1, gs_now() + 3600 * 1000 * MS);
}

static int do_select_none(struct waits *w)
{
	(void)w;
	return gs_select(NULL, 0);
}

static int do_sleep(struct waits *w)
{
	(void)w;
	return gs_sleep(3600 * 1000 * MS);
}

static int do_mutex(struct waits *w)
{
	return gs_mutex_lock_until(&w->locked, GS_FOREVER);
}

static int do_wg(struct waits *w)
{
	return gs_wg_wait(&w->wg);
}

static int do_read(struct waits *w)
{
	char c;

	return (int)gs_read(w->sock[0], &c, 1);
}

static int do_read_until(struct waits *w)
{
	char c;

	return (int)gs_read_until(w->sock[1], &c, 1, gs_now() + 3600 * 1000 * MS);
}

static int do_wait_fd(struct waits *w)
{
	return gs_wait_fd(w->quiet[0], POLLIN);
}

static int (*const kinds[])(struct waits *w) = {
	do_send, do_recv, do_recv_until, do_select, do_select_until, do_select_none, do_sleep,
	do_mutex, do_wg, do_read, do_read_until, do_wait_fd,
};

#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

struct one {
	struct waits *w;
	int kind;
	int first, second;
};

/* A second wait, begun when cancelled already, ends as well. */
static int wait_twice(void *arg)
{
	struct one *o = arg;

	__atomic_fetch_add(&o->w->waiting, 1, __ATOMIC_SEQ_CST);
	o->first = kinds[o->kind](o->w);
	o->second = kinds[o->kind](o->w);
	return 0;
}

static void cancel_all_kinds(int64_t pause)
{
	gs_group grp = GS_GROUP_INIT;
	struct one o[KINDS];
	struct waits w;

	waits_init(&w);
	for (int i = 0; i < KINDS; i++) {
		o[i] = (struct one){ .w = &w, .kind = i };
		CHECK_EQ(0, gs_group_go(&grp, wait_twice, o + i));
	}
	if (pause) {
		while (__atomic_load_n(&w.waiting, __ATOMIC_SEQ_CST) != KINDS)
			gs_yield();
		gs_sleep(pause);
	}
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	for (int i = 0; i < KINDS; i++) {
		CHECK_EQ(-ECANCELED, o[i].first);
		CHECK_EQ(-ECANCELED, o[i].second);
	}
	waits_exit(&w);
}

TEST_GO(cancel_who_waits)
{
	cancel_all_kinds(20 * MS);
}

TEST_GO(cancel_before_the_start)
{
	cancel_all_kinds(0);
}

static void *cancel_thread(void *arg)
{
	usleep(20000);
	gs_group_cancel(arg);
	return NULL;
}

TEST_GO(cancel_by_a_thread)
{
	gs_group grp = GS_GROUP_INIT;
	struct one o[KINDS];
	struct waits w;
	pthread_t t;

	waits_init(&w);
	for (int i = 0; i < KINDS; i++) {
		o[i] = (struct one){ .w = &w, .kind = i };
		CHECK_EQ(0, gs_group_go(&grp, wait_twice, o + i));
	}
	CHECK(!pthread_create(&t, NULL, cancel_thread, &grp));
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	for (int i = 0; i < KINDS; i++)
		CHECK_EQ(-ECANCELED, o[i].first);
	pthread_join(t, NULL);
	waits_exit(&w);
}

/* ------------------------------------------------------------ who cancels, and when */

static int sleep_long(void *arg)
{
	(void)arg;
	return gs_sleep(3600 * 1000 * MS);
}

static int fail_soon(void *arg)
{
	gs_sleep(10 * MS);
	return (int)(intptr_t)arg;
}

TEST_GO(first_error_cancels_the_others)
{
	gs_group grp = GS_GROUP_INIT;

	for (int i = 0; i < 10; i++)
		CHECK_EQ(0, gs_group_go(&grp, sleep_long, NULL));
	CHECK_EQ(0, gs_group_go(&grp, fail_soon, (void *)-EIO));
	CHECK_EQ(-EIO, gs_group_wait(&grp));
}

TEST_GO(deadline)
{
	gs_group grp = GS_GROUP_INIT;
	int64_t at = gs_now() + 30 * MS;

	for (int i = 0; i < 10; i++)
		CHECK_EQ(0, gs_group_go(&grp, sleep_long, NULL));
	CHECK_EQ(-ETIMEDOUT, gs_group_wait_until(&grp, at));
	CHECK(gs_now() >= at);
	CHECK_EQ(0, gs_group_go(&grp, return_arg, NULL));
	CHECK_EQ(0, gs_group_wait_until(&grp, GS_FOREVER));
}

static int wait_for_inner(void *arg)
{
	struct waits *w = arg;

	for (int i = 0; i < 3; i++)
		CHECK_EQ(0, gs_group_go(&w->inner, sleep_long, NULL));
	__atomic_store_n(&w->waiting, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(-ECANCELED, gs_group_wait(&w->inner));
	CHECK_EQ(0, w->inner.count);
	return 0;
}

/* Who waits for a group and is cancelled takes the group along. */
TEST_GO(nested)
{
	gs_group grp = GS_GROUP_INIT;
	struct waits w = { .waiting = 0 };

	CHECK_EQ(0, gs_group_go(&grp, wait_for_inner, &w));
	while (!__atomic_load_n(&w.waiting, __ATOMIC_SEQ_CST))
		gs_yield();
	gs_sleep(5 * MS);
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
}

static int say_goodbye(void *arg)
{
	gs_chan *c = arg;
	int old, v = 1;

	CHECK_EQ(0, gs_cancelled());
	CHECK_EQ(-ECANCELED, gs_sleep(3600 * 1000 * MS));
	CHECK_EQ(1, gs_cancelled());
	CHECK_EQ(-ECANCELED, gs_chan_send(c, &v));
	old = gs_cancel_shield(1);
	CHECK_EQ(0, old);
	CHECK_EQ(0, gs_sleep(5 * MS));
	CHECK_EQ(0, gs_chan_send(c, &v));
	CHECK_EQ(1, gs_cancel_shield(old));
	CHECK_EQ(-ECANCELED, gs_chan_send(c, &v));
	return 0;
}

TEST_GO(shield)
{
	gs_group grp = GS_GROUP_INIT;
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	int v = 0;

	CHECK_EQ(0, gs_group_go(&grp, say_goodbye, c));
	gs_sleep(5 * MS);
	gs_group_cancel(&grp);
	gs_sleep(20 * MS);
	CHECK_EQ(1, gs_chan_recv(c, &v));
	CHECK_EQ(1, v);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	gs_chan_unref(c);
}

/* What needs no wait is done. */
static int do_without_waiting(void *arg)
{
	gs_chan *c = arg;
	int v = 3;

	CHECK_EQ(-ECANCELED, gs_sleep(3600 * 1000 * MS));
	CHECK_EQ(0, gs_chan_send(c, &v));
	CHECK_EQ(1, gs_chan_recv(c, &v));
	CHECK_EQ(-ECANCELED, gs_chan_recv(c, &v));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(c, &v));
	return 0;
}

TEST_GO(without_waiting)
{
	gs_group grp = GS_GROUP_INIT;
	gs_chan *c = gs_chan_new(sizeof(int), 1);

	CHECK_EQ(0, gs_group_go(&grp, do_without_waiting, c));
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	gs_chan_unref(c);
}

static int exit_early(void *arg)
{
	(void)arg;
	gs_goexit();
}

TEST_GO(goexit_counts)
{
	gs_group grp = GS_GROUP_INIT;

	for (int i = 0; i < 100; i++)
		CHECK_EQ(0, gs_group_go(&grp, exit_early, NULL));
	CHECK_EQ(0, gs_group_wait(&grp));
}

/* ---------------------------------------------------------------------------- storm */

struct storm {
	gs_chan *c;
	unsigned int seed;
	int sent, received;
};

static int member(void *arg)
{
	struct storm *s = arg;
	unsigned int r = __atomic_fetch_add(&s->seed, 7919, __ATOMIC_RELAXED);
	int v = 1, ret = 0;

	while (ret >= 0) {
		switch (rand_r(&r) % 4) {
		case 0:
			ret = gs_chan_send(s->c, &v);
			if (!ret)
				__atomic_fetch_add(&s->sent, 1, __ATOMIC_RELAXED);
			break;
		case 1:
			ret = gs_chan_recv(s->c, &v);
			if (ret == 1)
				__atomic_fetch_add(&s->received, 1, __ATOMIC_RELAXED);
			break;
		case 2:
			ret = gs_sleep(rand_r(&r) % 1000 * 1000);
			break;
		default:
			gs_yield();
			if (rand_r(&r) % 64 == 0)
				return 0;
		}
	}
	CHECK_EQ(-ECANCELED, ret);
	return 0;
}

/* Cancelled at any moment: nothing is lost on the way, and the group is gone afterwards. */
TEST_GO(storm)
{
	const char *env = getenv("SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)gs_now();
	struct storm s = { .c = gs_chan_new(sizeof(int), 2) };
	int v, left = 0;

	printf("# SEED=%u\n", seed);
	for (int round = 0; round < TIMES(400); round++) {
		gs_group *grp = calloc(1, sizeof(*grp));
		int n = 1 + rand_r(&seed) % 30;

		s.seed = seed;
		for (int i = 0; i < n; i++)
			CHECK_EQ(0, gs_group_go(grp, member, &s));
		if (rand_r(&seed) % 2)
			gs_sleep(rand_r(&seed) % 2000 * 1000);
		else if (rand_r(&seed) % 2)
			gs_yield();
		gs_group_cancel(grp);
		CHECK_EQ(-ECANCELED, gs_group_wait(grp));
		free(grp);
	}
	while (gs_chan_try_recv(s.c, &v) == 1)
		left++;
	CHECK_EQ(s.sent, s.received + left);
	gs_chan_unref(s.c);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/* Locks for many readers or one writer. */
#include "lib_sync.h"

#define CROWD 6

struct shared {
	gs_rwmutex rw;
	int each;
	unsigned int seed;
	int readers, writers;		/* inside */
	long a, b, written, timeouts;
};

static void stay(unsigned int *r)
{
	if (rnd(r) % 16 == 0)
		gs_yield();
}

static void read_inside(struct shared *s, unsigned int *r)
{
	__atomic_add_fetch(&s->readers, 1, __ATOMIC_RELAXED);
	CHECK_EQ(0, __atomic_load_n(&s->writers, __ATOMIC_RELAXED));
	CHECK_EQ(s->a, s->b);
	stay(r);
	CHECK_EQ(s->a, s->b);
	CHECK_EQ(0, __atomic_load_n(&s->writers, __ATOMIC_RELAXED));
	__atomic_sub_fetch(&s->readers, 1, __ATOMIC_RELAXED);
	gs_rwmutex_runlock(&s->rw);
}

static void write_inside(struct shared *s, unsigned int *r)
{
	CHECK_EQ(1, __atomic_add_fetch(&s->writers, 1, __ATOMIC_RELAXED));
	CHECK_EQ(0, __atomic_load_n(&s->readers, __ATOMIC_RELAXED));
	s->a++;
	stay(r);
	s->b++;
	CHECK_EQ(s->a, s->b);
	CHECK_EQ(0, __atomic_sub_fetch(&s->writers, 1, __ATOMIC_RELAXED));
	__atomic_add_fetch(&s->written, 1, __ATOMIC_RELAXED);
	gs_rwmutex_unlock(&s->rw);
}

static void timed_out(struct shared *s, int ret)
{
	CHECK_EQ(-ETIMEDOUT, ret);
	__atomic_add_fetch(&s->timeouts, 1, __ATOMIC_RELAXED);
}

static void read_once(struct shared *s, unsigned int *r)
{
	int ret = 0;

	switch (rnd(r) % 4) {
	case 0:
		ret = gs_rwmutex_rlock_until(&s->rw, gs_now() + rnd(r) % 20000);
		break;
	case 1:
		while (gs_rwmutex_tryrlock(&s->rw))
			gs_yield();
		break;
	default:
		gs_rwmutex_rlock(&s->rw);
	}
	if (ret)
		timed_out(s, ret);
	else
		read_inside(s, r);
}

static void write_once(struct shared *s, unsigned int *r)
{
	int ret = 0;

	switch (rnd(r) % 4) {
	case 0:
		ret = gs_rwmutex_lock_until(&s->rw, gs_now() + rnd(r) % 20000);
		break;
	case 1:
		ret = gs_rwmutex_trylock(&s->rw);
		if (ret) {
			CHECK_EQ(-EBUSY, ret);
			return;
		}
		break;
	default:
		gs_rwmutex_lock(&s->rw);
	}
	if (ret)
		timed_out(s, ret);
	else
		write_inside(s, r);
}

static void read_and_write(void *arg)
{
	struct shared *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED);

	for (int i = 0; i < s->each; i++) {
		if (rnd(&r) % 4)
			read_once(s, &r);
		else
			write_once(s, &r);
	}
}

/* Nobody is inside with a writer, none who waits is forgotten, deadlines or not. */
TEST_CROWD(excludes)
{
	struct shared s = { .each = ROUNDS(kinds, 10000, 500), .seed = test_seed() };

	crowd_run(kinds, CROWD, read_and_write, &s);
	printf("# %ld written, %ld timeouts\n", s.written, s.timeouts);
	fflush(stdout);
	CHECK_EQ(s.written, s.a);
	CHECK(s.written);
	CHECK_EQ(0, s.rw.state);
	CHECK(!s.rw.readers && !s.rw.writers);
}

static void meet_inside(void *arg)
{
	struct shared *s = arg;
	int64_t end = gs_now() + PATIENCE;

	gs_rwmutex_rlock(&s->rw);
	__atomic_add_fetch(&s->readers, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&s->readers, __ATOMIC_RELAXED) < CROWD) {
		CHECK(gs_now() < end);
		gs_yield();
	}
	gs_rwmutex_runlock(&s->rw);
}

/* Readers share; also those that a writer has let in. */
TEST_CROWD(readers_meet)
{
	struct shared s = { .each = 0 };
	struct crowd c;

	crowd_run(kinds, CROWD, meet_inside, &s);
	s.readers = 0;
	gs_rwmutex_lock(&s.rw);
	crowd_start(&c, kinds, CROWD, meet_inside, &s);
	await_waiting(&s.rw.lock, &s.rw.readers, CROWD);
	gs_rwmutex_unlock(&s.rw);
	crowd_wait(&c);
}

/* ------------------------------------------------------------------------ order */

struct order {
	gs_rwmutex rw;
	char log[16];
	int n, gone;
};

static void log_add(struct order *o, char who)
{
	o->log[__atomic_fetch_add(&o->n, 1, __ATOMIC_RELAXED)] = who;
}

static void order_read(void *arg)
{
	struct order *o = arg;

	gs_rwmutex_rlock(&o->rw);
	log_add(o, 'r');
	gs_rwmutex_runlock(&o->rw);
}

static void order_write(void *arg)
{
	struct order *o = arg;

	gs_rwmutex_lock(&o->rw);
	log_add(o, 'w');
	gs_rwmutex_unlock(&o->rw);
}

/* A writer that waits keeps readers out; it goes when the last reader has left. */
TEST_CROWD(writer_before_new_readers)
{
	struct order o = { .n = 0 };
	struct crowd w, r;

	gs_rwmutex_rlock(&o.rw);
	gs_rwmutex_rlock(&o.rw);
	crowd_start(&w, kinds, 1, order_write, &o);
	await_waiting(&o.rw.lock, &o.rw.writers, 1);
	CHECK_EQ(-EBUSY, gs_rwmutex_tryrlock(&o.rw));
	CHECK_EQ(-EBUSY, gs_rwmutex_trylock(&o.rw));
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_rlock_until(&o.rw, 0));
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_rlock_until(&o.rw, gs_now() + 5 * MS));
	crowd_start(&r, kinds, 3, order_read, &o);
	await_waiting(&o.rw.lock, &o.rw.readers, 3);
	gs_rwmutex_runlock(&o.rw);
	CHECK_EQ(1, nr_waiting(&o.rw.lock, &o.rw.writers));
	gs_rwmutex_runlock(&o.rw);
	crowd_wait(&w);
	crowd_wait(&r);
	CHECK(!strcmp(o.log, "wrrr"));
	CHECK_EQ(0, gs_rwmutex_trylock(&o.rw));
}

/* When a writer unlocks, readers that wait go before the writers that do. */
TEST_CROWD(readers_after_writer)
{
	struct order o = { .n = 0 };
	struct crowd w, r;

	gs_rwmutex_lock(&o.rw);
	crowd_start(&w, kinds, 2, order_write, &o);
	await_waiting(&o.rw.lock, &o.rw.writers, 2);
	crowd_start(&r, kinds, 3, order_read, &o);
	await_waiting(&o.rw.lock, &o.rw.readers, 3);
	gs_rwmutex_unlock(&o.rw);
	crowd_wait(&w);
	crowd_wait(&r);
	CHECK(!strcmp(o.log, "rrrww"));
}

/* --------------------------------------------------------------------- giving up */

TEST_GO(deadlines)
{
	gs_rwmutex rw = GS_RWMUTEX_INIT;
	int64_t t;

	gs_rwmutex_lock(&rw);
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_lock_until(&rw, 0));
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_rlock_until(&rw, 0));
	t = gs_now() + 20 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_lock_until(&rw, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	t = gs_now() + 20 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_rlock_until(&rw, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	gs_rwmutex_unlock(&rw);

	CHECK_EQ(0, gs_rwmutex_rlock_until(&rw, 0));
	CHECK_EQ(0, gs_rwmutex_tryrlock(&rw));
	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_lock_until(&rw, 0));
	gs_rwmutex_runlock(&rw);
	gs_rwmutex_runlock(&rw);
	CHECK_EQ(0, gs_rwmutex_lock_until(&rw, 0));
	gs_rwmutex_unlock(&rw);
	CHECK_EQ(0, rw.state);
}

static void hurried_writer(void *arg)
{
	struct order *o = arg;

	CHECK_EQ(-ETIMEDOUT, gs_rwmutex_lock_until(&o->rw, gs_now() + 100 * MS));
	__atomic_store_n(&o->gone, 1, __ATOMIC_RELAXED);
}

/*
 * The readers that wait only because a writer does go on when that gives up. (Where
 * the writers' time is over before anybody looks this shows nothing.)
 */
TEST_CROWD(writer_gives_up)
{
	struct order o = { .n = 0 };
	struct crowd w, r;

	gs_rwmutex_rlock(&o.rw);
	crowd_start(&w, kinds, 2, hurried_writer, &o);
	while (!nr_waiting(&o.rw.lock, &o.rw.writers) && !__atomic_load_n(&o.gone, __ATOMIC_RELAXED))
		gs_yield();
	crowd_start(&r, kinds, 3, order_read, &o);
	crowd_wait(&r);
	crowd_wait(&w);
	CHECK(!strcmp(o.log, "rrr"));
	CHECK_EQ(0, gs_rwmutex_tryrlock(&o.rw));
	gs_rwmutex_runlock(&o.rw);
	gs_rwmutex_runlock(&o.rw);
	CHECK_EQ(0, o.rw.state);
}

struct cancelled {
	gs_rwmutex rw;
	int shielded;
};

static int cancelled_lock(void *arg)
{
	struct cancelled *c = arg;

	return gs_rwmutex_lock_until(&c->rw, GS_FOREVER);
}

static int cancelled_rlock(void *arg)
{
	struct cancelled *c = arg;

	return gs_rwmutex_rlock_until(&c->rw, GS_FOREVER);
}

static int shielded_lock(void *arg)
{
	struct cancelled *c = arg;

	gs_rwmutex_lock(&c->rw);
	CHECK_EQ(1, gs_cancelled());
	c->shielded++;
	gs_rwmutex_unlock(&c->rw);
	gs_rwmutex_rlock(&c->rw);
	gs_rwmutex_runlock(&c->rw);
	/* What can be done without waiting is done. */
	CHECK_EQ(0, gs_rwmutex_lock_until(&c->rw, GS_FOREVER));
	gs_rwmutex_unlock(&c->rw);
	return 0;
}

static void cancel_one(struct cancelled *c, int (*fn)(void *), void **queue)
{
	gs_group grp = GS_GROUP_INIT;

	CHECK_EQ(0, gs_group_go(&grp, fn, c));
	await_waiting(&c->rw.lock, queue, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
}

TEST_GO(cancelled)
{
	struct cancelled c = { .shielded = 0 };
	gs_group grp = GS_GROUP_INIT;

	gs_rwmutex_lock(&c.rw);
	cancel_one(&c, cancelled_lock, &c.rw.writers);
	cancel_one(&c, cancelled_rlock, &c.rw.readers);
	CHECK_EQ(0, gs_group_go(&grp, shielded_lock, &c));
	await_waiting(&c.rw.lock, &c.rw.writers, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(1, nr_waiting(&c.rw.lock, &c.rw.writers));
	gs_rwmutex_unlock(&c.rw);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	CHECK_EQ(1, c.shielded);
	CHECK_EQ(0, c.rw.state);
}

static void read_shielded(void *arg)
{
	struct cancelled *c = arg;

	gs_rwmutex_rlock(&c->rw);
	gs_rwmutex_runlock(&c->rw);
}

/* As writer_gives_up. */
TEST_GO(writer_cancelled)
{
	struct cancelled c = { .shielded = 0 };
	gs_group grp = GS_GROUP_INIT;
	struct crowd readers;

	gs_rwmutex_rlock(&c.rw);
	CHECK_EQ(0, gs_group_go(&grp, cancelled_lock, &c));
	await_waiting(&c.rw.lock, &c.rw.writers, 1);
	crowd_start(&readers, BOTH, 4, read_shielded, &c);
	await_waiting(&c.rw.lock, &c.rw.readers, 4);
	gs_group_cancel(&grp);
	crowd_wait(&readers);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	gs_rwmutex_runlock(&c.rw);
	CHECK_EQ(0, c.rw.state);
}

/* -------------------------------------------------------------------- starvation */

static bool stopped(struct shared *s)
{
	return __atomic_load_n(&s->each, __ATOMIC_RELAXED);
}

static void read_until_stopped(void *arg)
{
	struct shared *s = arg;

	while (!stopped(s)) {
		gs_rwmutex_rlock(&s->rw);
		gs_yield();
		gs_rwmutex_runlock(&s->rw);
	}
}

static void write_until_stopped(void *arg)
{
	struct shared *s = arg;

	while (!stopped(s)) {
		gs_rwmutex_lock(&s->rw);
		gs_yield();
		gs_rwmutex_unlock(&s->rw);
	}
}

/* Readers whose times overlap do not keep a writer out, nor writers a reader. */
TEST_GO(no_starvation)
{
	struct shared s = { .each = 0 };
	int64_t end = gs_now() + PATIENCE;
	struct crowd c;

	crowd_start(&c, GOROUTINES, 4, read_until_stopped, &s);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(0, gs_rwmutex_lock_until(&s.rw, end));
		gs_rwmutex_unlock(&s.rw);
		gs_yield();
	}
	__atomic_store_n(&s.each, 1, __ATOMIC_RELAXED);
	crowd_wait(&c);

	s.each = 0;
	crowd_start(&c, GOROUTINES, 4, write_until_stopped, &s);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(0, gs_rwmutex_rlock_until(&s.rw, end));
		gs_rwmutex_runlock(&s.rw);
		gs_yield();
	}
	__atomic_store_n(&s.each, 1, __ATOMIC_RELAXED);
	crowd_wait(&c);
}

/* ----------------------------------------------------------------- the last owner */

/* Who comes after the holder frees the lock at once. */
static void own_and_free(void *arg)
{
	gs_rwmutex *rw = arg;

	while (gs_rwmutex_lock_until(rw, gs_now() + 2000))
		;
	gs_rwmutex_unlock(rw);
	memset(rw, 0xff, sizeof(*rw));
	free(rw);
}

static void read_and_free(void *arg)
{
	gs_rwmutex *rw = arg;

	while (gs_rwmutex_rlock_until(rw, gs_now() + 2000))
		;
	gs_rwmutex_runlock(rw);
	memset(rw, 0xff, sizeof(*rw));
	free(rw);
}

TEST_CROWD(freed_by_last_owner)
{
	unsigned int r = test_seed();
	struct crowd c;
	gs_rwmutex *rw;
	bool reader;

	for (int i = 0; i < ROUNDS(kinds, 3000, 100); i++) {
		rw = calloc(1, sizeof(*rw));
		reader = rnd(&r) % 2;
		if (reader)
			gs_rwmutex_rlock(rw);
		else
			gs_rwmutex_lock(rw);
		crowd_start(&c, kinds, 1, reader || rnd(&r) % 2 ? own_and_free : read_and_free, rw);
		for (unsigned int n = rnd(&r) % 4; n; n--)
			gs_yield();
		if (reader)
			gs_rwmutex_runlock(rw);
		else
			gs_rwmutex_unlock(rw);
		crowd_wait(&c);
	}
}

/* ------------------------------------------------------------------------ misuse */

DIES(unlock_of_unlocked, "unlock of unlocked rwmutex")
{
	gs_rwmutex rw = GS_RWMUTEX_INIT;

	gs_rwmutex_unlock(&rw);
}

DIES(unlock_of_readers, "unlock of unlocked rwmutex")
{
	gs_rwmutex rw = GS_RWMUTEX_INIT;

	gs_rwmutex_rlock(&rw);
	gs_rwmutex_unlock(&rw);
}

DIES(runlock_of_unlocked, "which no reader has locked")
{
	gs_rwmutex rw = GS_RWMUTEX_INIT;

	gs_rwmutex_rlock(&rw);
	gs_rwmutex_runlock(&rw);
	gs_rwmutex_runlock(&rw);
}

DIES(runlock_of_writer, "which no reader has locked")
{
	gs_rwmutex rw = GS_RWMUTEX_INIT;

	gs_rwmutex_lock(&rw);
	gs_rwmutex_runlock(&rw);
}

TEST_HARNESS_MAIN

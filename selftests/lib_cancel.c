// SPDX-License-Identifier: GPL-2.0
/*
 * Cancelling at any moment: goroutines of a group wait for everything that one can wait
 * for, in random order, get what they wait for or not, and are cancelled meanwhile: by
 * a goroutine, a thread, both, a deadline, or one of them that fails. When the group
 * has been waited for, everything that they used is as good as new, nobody stands in a
 * queue, and it is freed at once.
 */
#include "lib_waiters.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define JOBS	8
#define PERMITS	3
#define ROUNDS	(SANITIZED ? 100 : 400)
#define ENOUGH	300		/* rounds, for each kind of wait to be cancelled */

struct world {
	gs_group group;
	gs_chan *chan[2];		/* without buffer, and with */
	gs_mutex mutex;
	gs_rwmutex rwmutex;
	gs_sem sem;
	gs_cond cond;
	gs_mutex cond_mutex;
	gs_wg never;			/* is not at zero */
	int pipe[2], full[2];
	int bytes;			/* in the pipe, as far as calls have returned */
	int cancelled, inside;
};

struct job {
	struct world *w;
	unsigned int rnd;
	int fails_after;		/* so many waits; 0: never */
	bool inner;			/* of a group in a group */
};

/* ------------------------------------------------------------------ kinds of waits */

/* Each returns 0, -ETIMEDOUT, -ECANCELED, and leaves nothing behind. */

static int wait_sleep(struct job *j, int64_t deadline)
{
	int64_t now = gs_now();
	int ret = gs_sleep_until(deadline);

	CHECK(ret == -ECANCELED || gs_now() >= deadline);
	CHECK(ret == 0 || ret == -ECANCELED);
	(void)j;
	return ret || deadline <= now ? ret : -ETIMEDOUT;
}

static int wait_send(struct job *j, int64_t deadline)
{
	return gs_chan_send_until(j->w->chan[rnd(&j->rnd) % 2], &j->rnd, deadline);
}

static int wait_recv(struct job *j, int64_t deadline)
{
	unsigned int v;
	int ret = gs_chan_recv_until(j->w->chan[rnd(&j->rnd) % 2], &v, deadline);

	return ret == 1 ? 0 : ret;
}

static int wait_select(struct job *j, int64_t deadline)
{
	unsigned int v;
	struct gs_case cases[3];
	int ret;

	for (int i = 0; i < 3; i++) {
		cases[i].chan = j->w->chan[rnd(&j->rnd) % 2];
		cases[i].dir = rnd(&j->rnd) % 2 ? GS_SEND : GS_RECV;
		cases[i].recv = &v;
	}
	ret = gs_select_until(cases, 3, deadline);
	return ret > 0 ? 0 : ret;
}

static int wait_nothing(struct job *j, int64_t deadline)
{
	(void)j;
	return gs_select_until(NULL, 0, deadline);
}

static void alone(struct job *j)
{
	CHECK_EQ(1, __atomic_add_fetch(&j->w->inside, 1, __ATOMIC_RELAXED));
	if (rnd(&j->rnd) % 2)
		gs_sleep(rnd(&j->rnd) % 50000);
	CHECK_EQ(0, __atomic_sub_fetch(&j->w->inside, 1, __ATOMIC_RELAXED));
}

static int wait_mutex(struct job *j, int64_t deadline)
{
	int ret = 0;

	if (rnd(&j->rnd) % 4)
		ret = gs_mutex_lock_until(&j->w->mutex, deadline);
	else
		gs_mutex_lock(&j->w->mutex);
	if (!ret) {
		alone(j);
		gs_mutex_unlock(&j->w->mutex);
	}
	return ret;
}

static int wait_write_lock(struct job *j, int64_t deadline)
{
	int ret = 0;

	if (rnd(&j->rnd) % 4)
		ret = gs_rwmutex_lock_until(&j->w->rwmutex, deadline);
	else
		gs_rwmutex_lock(&j->w->rwmutex);
	if (!ret) {
		CHECK_EQ(-EBUSY, gs_rwmutex_tryrlock(&j->w->rwmutex));
		gs_sleep(rnd(&j->rnd) % 50000);
		gs_rwmutex_unlock(&j->w->rwmutex);
	}
	return ret;
}

static int wait_read_lock(struct job *j, int64_t deadline)
{
	int ret = 0;

	if (rnd(&j->rnd) % 4)
		ret = gs_rwmutex_rlock_until(&j->w->rwmutex, deadline);
	else
		gs_rwmutex_rlock(&j->w->rwmutex);
	if (!ret) {
		CHECK_EQ(-EBUSY, gs_rwmutex_trylock(&j->w->rwmutex));
		gs_sleep(rnd(&j->rnd) % 50000);
		gs_rwmutex_runlock(&j->w->rwmutex);
	}
	return ret;
}

static int wait_sem(struct job *j, int64_t deadline)
{
	int n = 1 + rnd(&j->rnd) % PERMITS;
	int ret = gs_sem_acquire_until(&j->w->sem, n, deadline);

	if (!ret) {
		gs_sleep(rnd(&j->rnd) % 50000);
		gs_sem_release(&j->w->sem, n);
	}
	return ret;
}

/* The mutex is locked again in any case. */
static int wait_cond(struct job *j, int64_t deadline)
{
	int ret;

	gs_mutex_lock(&j->w->cond_mutex);
	if (rnd(&j->rnd) % 2)
		gs_cond_signal(&j->w->cond);
	else if (rnd(&j->rnd) % 8 == 0)
		gs_cond_broadcast(&j->w->cond);
	ret = gs_cond_wait_until(&j->w->cond, &j->w->cond_mutex, deadline);
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&j->w->cond_mutex));
	gs_mutex_unlock(&j->w->cond_mutex);
	return ret;
}

static int wait_wg(struct job *j, int64_t deadline)
{
	int ret = gs_wg_wait_until(&j->w->never, deadline);

	CHECK(ret);
	return ret;
}

static int wait_read(struct job *j, int64_t deadline)
{
	char c;
	int ret = gs_read_until(j->w->pipe[0], &c, 1, deadline);

	if (ret != 1)
		return ret;
	__atomic_fetch_sub(&j->w->bytes, 1, __ATOMIC_RELAXED);
	return 0;
}

/* There is room, so it does not wait; but others may be at it. */
static int wait_write(struct job *j, int64_t deadline)
{
	int ret = gs_write_until(j->w->pipe[1], "x", 1, deadline);

	if (ret != 1)
		return ret;
	__atomic_fetch_add(&j->w->bytes, 1, __ATOMIC_RELAXED);
	return 0;
}

static int wait_room(struct job *j, int64_t deadline)
{
	int ret = gs_send_until(j->w->full[1], "x", 1, 0, deadline);

	CHECK(ret < 0);
	return ret;
}

static int wait_ready(struct job *j, int64_t deadline)
{
	int ret = gs_wait_fd_until(j->w->pipe[0], POLLIN, deadline);

	return ret > 0 ? 0 : ret;
}

static int wait_poll(struct job *j, int64_t deadline)
{
	struct pollfd fds[] = {
		{ .fd = j->w->pipe[0], .events = POLLIN },
		{ .fd = j->w->full[1], .events = POLLIN | POLLOUT },
	};
	int ret = gs_poll_until(fds, 2, deadline);

	return ret > 0 ? 0 : ret;
}

/* A timer of its own, dropped while it may fire. */
static int wait_timer(struct job *j, int64_t deadline)
{
	gs_chan *t = gs_after(rnd(&j->rnd) % 1000000);
	int64_t at = 0;
	int ret;

	CHECK(t);
	ret = gs_chan_recv_until(t, &at, deadline);
	CHECK_EQ(ret == 1, at > 0);
	gs_chan_unref(t);
	return ret == 1 ? 0 : ret;
}

static int wait_join(struct job *j, int64_t deadline);

static int (*const kinds[])(struct job *j, int64_t deadline) = {
	wait_sleep, wait_send, wait_recv, wait_select, wait_nothing, wait_mutex,
	wait_write_lock, wait_read_lock, wait_sem, wait_cond, wait_wg, wait_read, wait_write,
	wait_room, wait_ready, wait_poll, wait_timer, wait_join,
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Of these it is no wonder if they are never cancelled: they hardly wait. */
static bool hardly_waits(size_t kind)
{
	return kinds[kind] == wait_write;
}

static long ended[KINDS];		/* waits, by cancelling */

/* --------------------------------------------------------------------------- jobs */

static int64_t a_deadline(struct job *j)
{
	switch (rnd(&j->rnd) % 4) {
	case 0:
		return 0;
	case 1:
		return gs_now() + rnd(&j->rnd) % 200000;
	default:
		return j->fails_after ? gs_now() + 50000 : GS_FOREVER;
	}
}

/* One in eight behind a shield, which nobody but the deadline ends. */
static int one_wait(struct job *j)
{
	size_t kind = rnd(&j->rnd) % (j->inner ? KINDS - 1 : KINDS);
	bool shield = rnd(&j->rnd) % 8 == 0;
	int64_t deadline = a_deadline(j);
	int ret;

	if (shield) {
		CHECK_EQ(0, gs_cancel_shield(1));
		if (deadline == GS_FOREVER)
			deadline = gs_now() + 100000;
	}
	ret = kinds[kind](j, deadline);
	CHECK(ret == 0 || ret == -ETIMEDOUT || ret == -ECANCELED);
	CHECK(ret != -ETIMEDOUT || deadline != GS_FOREVER);
	if (shield)
		CHECK_EQ(1, gs_cancel_shield(0));
	if (ret == -ECANCELED) {
		CHECK(!shield && gs_cancelled());
		CHECK(j->inner || __atomic_load_n(&j->w->cancelled, __ATOMIC_RELAXED));
		__atomic_add_fetch(&ended[kind], 1, __ATOMIC_RELAXED);
	}
	return ret;
}

/* Goes on for a while after it has been cancelled: then nothing waits any more. */
static int job_main(void *arg)
{
	struct job *j = arg;
	int more = rnd(&j->rnd) % 4;

	for (int i = 1; !gs_cancelled() || more--; i++) {
		one_wait(j);
		if (i == j->fails_after) {
			__atomic_store_n(&j->w->cancelled, 1, __ATOMIC_RELAXED);
			return -EIO;
		}
	}
	return rnd(&j->rnd) % 2 ? -ECANCELED : 0;
}

/* A group on the stack, with members that do the same. */
static int wait_join(struct job *j, int64_t deadline)
{
	gs_group group = GS_GROUP_INIT;
	struct job inner[2];
	int ret;

	for (int i = 0; i < 2; i++) {
		inner[i] = (struct job){ .w = j->w, .rnd = rnd(&j->rnd), .inner = true };
		CHECK_EQ(0, gs_group_go(&group, job_main, &inner[i]));
	}
	ret = gs_group_wait_until(&group, deadline);
	CHECK(ret);
	memset(&group, 0xff, sizeof(group));
	return ret;
}

/* -------------------------------------------------------------------------- worlds */

static void fill(int fd)
{
	static char zero[4096];

	while (send(fd, zero, sizeof(zero), MSG_DONTWAIT) > 0)
		;
	while (send(fd, zero, 1, MSG_DONTWAIT) > 0)
		;
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->chan[0] = gs_chan_new(sizeof(unsigned int), 0);
	w->chan[1] = gs_chan_new(sizeof(unsigned int), 2);
	w->sem = (gs_sem)GS_SEM_INIT(PERMITS);
	gs_wg_add(&w->never, 1);
	CHECK_EQ(0, pipe2(w->pipe, O_CLOEXEC));
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->full));
	fill(w->full[1]);
	return w;
}

static void check_chan(gs_chan *c)
{
	unsigned int v = 5;

	CHECK_EQ(0, chan_waiters(c, GS_SEND));
	CHECK_EQ(0, chan_waiters(c, GS_RECV));
	while (gs_chan_try_recv(c, NULL) == 1)
		;
	CHECK_EQ(0, gs_chan_len(c));
	CHECK_EQ(gs_chan_cap(c) ? 0 : -EAGAIN, gs_chan_try_send(c, &v));
	CHECK_EQ(gs_chan_cap(c) ? 1 : -EAGAIN, gs_chan_try_recv(c, &v));
}

static void check_locks(struct world *w)
{
	CHECK(!w->mutex.waiters);
	CHECK_EQ(0, gs_mutex_trylock(&w->mutex));
	gs_mutex_unlock(&w->mutex);
	CHECK_EQ(0, gs_rwmutex_trylock(&w->rwmutex));
	gs_rwmutex_unlock(&w->rwmutex);
	CHECK_EQ(0, gs_rwmutex_tryrlock(&w->rwmutex));
	CHECK_EQ(0, gs_rwmutex_tryrlock(&w->rwmutex));
	gs_rwmutex_runlock(&w->rwmutex);
	gs_rwmutex_runlock(&w->rwmutex);
	CHECK(!w->sem.waiters);
	CHECK_EQ(0, gs_sem_try_acquire(&w->sem, PERMITS));
	CHECK_EQ(-EAGAIN, gs_sem_try_acquire(&w->sem, 1));
	gs_sem_release(&w->sem, PERMITS);
	CHECK(!w->cond.waiters);
	CHECK_EQ(0, gs_mutex_trylock(&w->cond_mutex));
	gs_mutex_unlock(&w->cond_mutex);
	CHECK(!w->never.waiters);
	gs_wg_done(&w->never);
	CHECK_EQ(0, gs_wg_wait_until(&w->never, 0));
}

/* What was written and not read is there; each direction works. */
static void check_files(struct world *w)
{
	int n;
	char c;

	CHECK_EQ(0, ioctl(w->pipe[0], FIONREAD, &n));
	CHECK_EQ(w->bytes, n);
	for (; n; n--)
		CHECK_EQ(1, gs_read_until(w->pipe[0], &c, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_read_until(w->pipe[0], &c, 1, gs_now() + 1000));
	CHECK_EQ(1, gs_write(w->pipe[1], "y", 1));
	CHECK_EQ(1, gs_read(w->pipe[0], &c, 1));
	CHECK_EQ('y', c);
	CHECK_EQ(1, gs_recv(w->full[0], &c, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_recv_until(w->full[1], &c, 1, 0, 0));
}

static void world_end(struct world *w)
{
	check_chan(w->chan[0]);
	check_chan(w->chan[1]);
	check_locks(w);
	check_files(w);
	for (int i = 0; i < 2; i++) {
		gs_chan_unref(w->chan[i]);
		CHECK_EQ(0, gs_close(w->pipe[i]));
		CHECK_EQ(0, gs_close(w->full[i]));
	}
	memset(w, 0xff, sizeof(*w));
	free(w);
}

/* -------------------------------------------------------------------- who cancels */

struct canceller {
	struct world *w;
	int64_t after;
	gs_wg wg;
};

static void cancel_in_goroutine(void *arg)
{
	struct canceller *c = arg;

	gs_sleep(c->after);
	__atomic_store_n(&c->w->cancelled, 1, __ATOMIC_RELAXED);
	gs_group_cancel(&c->w->group);
	gs_wg_done(&c->wg);
}

static void *cancel_in_thread(void *arg)
{
	cancel_in_goroutine(arg);
	return NULL;
}

/* Both return before the group is waited for: it is theirs, too, until then. */
static int cancel_by_others(struct world *w, unsigned int *r, bool thread, bool goroutine)
{
	struct canceller c = { .w = w, .after = rnd(r) % 500000 };
	pthread_t t;

	gs_wg_add(&c.wg, thread + goroutine);
	if (thread)
		CHECK_EQ(0, pthread_create(&t, NULL, cancel_in_thread, &c));
	if (goroutine)
		go(cancel_in_goroutine, &c);
	CHECK_EQ(0, gs_wg_wait(&c.wg));
	if (thread)
		CHECK_EQ(0, pthread_join(t, NULL));
	return gs_group_wait(&w->group);
}

static int cancel_by_deadline(struct world *w, unsigned int *r)
{
	__atomic_store_n(&w->cancelled, 1, __ATOMIC_RELAXED);
	return gs_group_wait_until(&w->group, gs_now() + rnd(r) % 500000);
}

static int cancel_by_yields(struct world *w, unsigned int *r)
{
	for (int n = rnd(r) % 50; n; n--)
		gs_yield();
	__atomic_store_n(&w->cancelled, 1, __ATOMIC_RELAXED);
	gs_group_cancel(&w->group);
	gs_group_cancel(&w->group);
	return gs_group_wait(&w->group);
}

enum { BY_FAILURE = 5, WAYS };

static void round_of(unsigned int seed)
{
	struct world *w = world_new();
	unsigned int r = seed, way = rnd(&r) % WAYS;
	struct job jobs[JOBS];
	int i;

	for (i = 0; i < JOBS; i++) {
		jobs[i] = (struct job){ .w = w, .rnd = rnd(&r) };
		if (i == 0 && way == BY_FAILURE)
			jobs[i].fails_after = 1 + rnd(&r) % 10;
		CHECK_EQ(0, gs_group_go(&w->group, job_main, &jobs[i]));
	}
	switch (way) {
	case 0:
		CHECK_EQ(-ECANCELED, cancel_by_others(w, &r, true, false));
		break;
	case 1:
		CHECK_EQ(-ECANCELED, cancel_by_others(w, &r, false, true));
		break;
	case 2:
		CHECK_EQ(-ECANCELED, cancel_by_others(w, &r, true, true));
		break;
	case 3:
		CHECK_EQ(-ETIMEDOUT, cancel_by_deadline(w, &r));
		break;
	case 4:
		CHECK_EQ(-ECANCELED, cancel_by_yields(w, &r));
		break;
	case BY_FAILURE:
		CHECK_EQ(-EIO, gs_group_wait(&w->group));
		break;
	}
	world_end(w);
}

TEST_GO(at_any_moment)
{
	unsigned int seed = test_seed();
	int64_t end = gs_now() + 4000 * MS;
	int n;

	memset(ended, 0, sizeof(ended));
	for (n = 0; go_on(n, ROUNDS, end); n++)
		round_of(seed + n);
	printf("# %d rounds; ended by cancelling:", n);
	for (size_t i = 0; i < KINDS; i++)
		printf(" %ld", ended[i]);
	printf("\n");
	fflush(stdout);
	for (size_t i = 0; i < KINDS; i++)
		CHECK(ended[i] || hardly_waits(i) || n < ENOUGH);
}

TEST_HARNESS_MAIN

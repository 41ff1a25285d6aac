// SPDX-License-Identifier: GPL-2.0
/* Timers and tickers that are channels. */
#include "lib_check.h"
#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* No time bound below is met by a machine that stands still; this is for one that crawls. */
#define LATE	(3000 * MS)
#define NEVER	(3600 * 1000 * MS)

/* ---------------------------------------------------------------------- one shot */

TEST_GO(after)
{
	int64_t begin = gs_now(), at = 0;
	gs_chan *t = gs_after(20 * MS);

	CHECK(t);
	CHECK_EQ(1, gs_chan_cap(t));
	CHECK_EQ(0, gs_chan_len(t));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(t, &at));
	CHECK_EQ(1, gs_chan_recv(t, &at));
	/* The time at which it fired. */
	CHECK(at >= begin + 20 * MS && at < begin + 20 * MS + LATE);
	CHECK(at <= gs_now());
	/* Once. */
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(t, NULL, gs_now() + 30 * MS));
	CHECK_EQ(0, gs_timer_stop(t));
	gs_chan_unref(t);
}

TEST_GO(at_once)
{
	static const int64_t ns[] = { 0, 1, -1, INT64_MIN };
	gs_chan *t;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		t = gs_after(ns[i]);
		CHECK_EQ(1, gs_chan_recv_until(t, NULL, gs_now() + LATE));
		gs_chan_unref(t);
	}
}

/* Neither fires, nor keeps others from firing. */
TEST_GO(end_of_time)
{
	gs_chan *far = gs_after(INT64_MAX), *ticks = gs_tick(INT64_MAX), *t = gs_after(10 * MS);

	CHECK_EQ(1, gs_chan_recv_until(t, NULL, gs_now() + LATE));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(far, NULL));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(ticks, NULL));
	CHECK_EQ(1, gs_timer_stop(far));
	CHECK_EQ(1, gs_timer_stop(ticks));
	gs_chan_unref(far);
	gs_chan_unref(ticks);
	gs_chan_unref(t);
}

/* Each at its own time, in whatever order they were started. */
TEST_GO(select_on_several)
{
	static const int64_t ns[4] = { 40 * MS, 10 * MS, NEVER, 20 * MS };
	struct gs_case c[4];
	int64_t begin = gs_now(), at[4];
	int i, chosen, seen = 0;

	for (i = 0; i < 4; i++)
		c[i] = (struct gs_case){ .chan = gs_after(ns[i]), .dir = GS_RECV, .recv = at + i };
	for (i = 0; i < 3; i++) {
		chosen = gs_select_until(c, 4, gs_now() + LATE);
		CHECK(chosen >= 0 && chosen != 2);
		CHECK_EQ(1, c[chosen].result);
		CHECK(at[chosen] >= begin + ns[chosen]);
		seen |= 1 << chosen;
	}
	CHECK_EQ(0xb, seen);
	CHECK_EQ(-ETIMEDOUT, gs_select_until(c, 4, gs_now() + 10 * MS));
	for (i = 0; i < 4; i++)
		gs_chan_unref(c[i].chan);
}

/* A time-out as programs write it: whichever comes first. */
TEST_GO(select_with_work)
{
	gs_chan *work = gs_chan_new(0, 1), *t = gs_after(NEVER);
	struct gs_case c[2] = {
		{ .chan = work, .dir = GS_RECV },
		{ .chan = t, .dir = GS_RECV },
	};

	CHECK_EQ(0, gs_chan_send(work, NULL));
	CHECK_EQ(0, gs_select(c, 2));
	CHECK_EQ(1, gs_timer_reset(t, 10 * MS));
	CHECK_EQ(1, gs_select(c, 2));
	gs_chan_unref(t);
	gs_chan_unref(work);
}

/* ------------------------------------------------------------------ stop and reset */

static void wait_fired(gs_chan *t)
{
	int64_t end = gs_now() + LATE;

	while (!gs_chan_len(t)) {
		CHECK(gs_now() < end);
		gs_sleep(MS);
	}
}

TEST_GO(stop)
{
	gs_chan *t = gs_after(NEVER);

	CHECK_EQ(1, gs_timer_stop(t));
	CHECK_EQ(0, gs_timer_stop(t));
	CHECK_EQ(0, gs_timer_reset(t, 5 * MS));
	wait_fired(t);
	/* It has fired; nobody has seen it, and nobody shall. */
	CHECK_EQ(1, gs_timer_stop(t));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(t, NULL));
	CHECK_EQ(0, gs_timer_stop(t));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(t, NULL, gs_now() + 20 * MS));
	gs_chan_unref(t);
}

TEST_GO(reset)
{
	int64_t at = 0, begin;
	gs_chan *t = gs_after(5 * MS);

	wait_fired(t);
	begin = gs_now();
	CHECK_EQ(1, gs_timer_reset(t, 30 * MS));
	/* Not the old time. */
	CHECK_EQ(1, gs_chan_recv(t, &at));
	CHECK(at >= begin + 30 * MS);
	CHECK_EQ(0, gs_timer_reset(t, NEVER));
	CHECK_EQ(1, gs_timer_reset(t, NEVER / 2));
	CHECK_EQ(1, gs_timer_reset(t, 1));
	CHECK_EQ(1, gs_chan_recv_until(t, NULL, gs_now() + LATE));
	gs_chan_unref(t);
}

static void reset_later(void *t)
{
	gs_sleep(20 * MS);
	CHECK_EQ(1, gs_timer_reset(t, 1));
	gs_chan_unref(t);
}

/* Who waits already sees the new time. */
TEST_GO(reset_wakes_who_waits)
{
	gs_chan *t = gs_after(NEVER);

	go(reset_later, gs_chan_ref(t));
	CHECK_EQ(1, gs_chan_recv_until(t, NULL, gs_now() + LATE));
	gs_chan_unref(t);
}

TEST_GO(no_timer)
{
	gs_chan *c = gs_chan_new(sizeof(int64_t), 1), *t;

	CHECK_EQ(-EINVAL, gs_timer_stop(c));
	CHECK_EQ(-EINVAL, gs_timer_reset(c, MS));
	CHECK_EQ(-EINVAL, gs_timer_stop(NULL));
	CHECK_EQ(-EINVAL, gs_timer_reset(NULL, MS));
	gs_chan_unref(c);
	CHECK(!gs_tick(0));
	CHECK(!gs_tick(-MS));
	t = gs_tick(NEVER);
	CHECK_EQ(-EINVAL, gs_timer_reset(t, 0));
	CHECK_EQ(1, gs_timer_stop(t));
	gs_chan_unref(t);
}

/* ------------------------------------------------------------------------- ticks */

TEST_GO(tick)
{
	int64_t begin = gs_now(), at, last = begin;
	gs_chan *t = gs_tick(10 * MS);
	int i;

	CHECK(t);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(1, gs_chan_recv(t, &at));
		/* Not before its turn, wherever the times between were left out. */
		CHECK(at >= begin + (i + 1) * 10 * MS);
		CHECK(at >= last);
		last = at;
	}
	CHECK(last < begin + 100 * MS + LATE);
	CHECK_EQ(1, gs_timer_stop(t));
	CHECK_EQ(0, gs_timer_stop(t));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(t, NULL, gs_now() + 30 * MS));
	CHECK_EQ(0, gs_timer_reset(t, 5 * MS));
	for (i = 0; i < 3; i++)
		CHECK_EQ(1, gs_chan_recv_until(t, NULL, gs_now() + LATE));
	gs_chan_unref(t);
}

/* Ticks that nobody receives are not made up for. */
TEST_GO(slow_reader)
{
	const int64_t period = 40 * MS;
	int64_t begin = gs_now(), first, next;
	gs_chan *t = gs_tick(period);

	gs_sleep(period * 7 / 2);
	CHECK_EQ(1, gs_chan_recv(t, &first));
	CHECK_EQ(1, gs_chan_recv(t, &next));
	CHECK(first >= begin + period);
	/* The fourth's time: multiples of the period after the start. */
	CHECK(next >= begin + 4 * period);
	gs_chan_unref(t);
}

static void spin(int64_t ns)
{
	int64_t end = gs_now() + ns;

	while (gs_now() < end)
		;
}

/* Nor are those that were late because nobody came to run them. */
static void nobody_comes(void)
{
	const int64_t period = 20 * MS;
	int64_t begin = gs_now(), at;
	gs_chan *t = gs_tick(period);

	spin(period * 7 / 2);
	CHECK_EQ(1, gs_chan_recv(t, NULL));
	CHECK_EQ(1, gs_chan_recv(t, &at));
	CHECK(at >= begin + 4 * period);
	gs_chan_unref(t);
}

TEST(late_runner)
{
	EXPECT_EQ(0, run_on(1, nobody_comes));
}

/* ---------------------------------------------------------------- references, ends */

/* The last reference goes while the timer fires. */
TEST_GO(unref_while_firing)
{
	unsigned int r = test_seed();
	int i;

	for (i = 0; i < TIMES(8000); i++) {
		int64_t ns = rnd(&r) % 3000, until;
		gs_chan *t = i % 2 ? gs_tick(ns + 1) : gs_after(ns);

		for (until = gs_now() + rnd(&r) % 4000; gs_now() < until;)
			gs_yield();
		gs_chan_unref(t);
	}
}

static gs_chan *kept;

static void make_and_end(void)
{
	kept = gs_tick(MS);
	CHECK_EQ(1, gs_chan_recv(kept, NULL));
	if (gs_now() % 2)
		gs_chan_recv(kept, NULL);
}

static void find_it_at_rest(void)
{
	gs_chan *other = gs_tick(MS);

	CHECK_EQ(1, gs_chan_recv(other, NULL));
	gs_timer_stop(kept);
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(kept, NULL, gs_now() + 20 * MS));
	CHECK_EQ(0, gs_timer_reset(kept, MS));
	CHECK_EQ(1, gs_chan_recv_until(kept, NULL, gs_now() + LATE));
	gs_chan_unref(other);
}

/* A runtime ends with timers that run; the next one does not know them. */
TEST(outlives_the_runtime)
{
	int i;

	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, run_on(2, make_and_end));
		if (i % 2)
			EXPECT_EQ(0, run_on(2, find_it_at_rest));
		EXPECT_EQ(-EINVAL, gs_timer_reset(kept, MS));
		EXPECT_EQ(0, gs_timer_stop(kept));
		gs_chan_unref(kept);
	}
}

TEST(no_runtime)
{
	EXPECT_EQ(NULL, gs_after(1));
	EXPECT_EQ(NULL, gs_tick(1));
}

/* A forked child has the memory, but not the runtime. */
TEST_GO(after_fork)
{
	gs_chan *t = gs_tick(NEVER);
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK_EQ(0, gs_timer_stop(t));
		CHECK_EQ(-EINVAL, gs_timer_reset(t, 1));
		gs_chan_unref(t);
		_exit(0);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
	CHECK_EQ(1, gs_timer_stop(t));
	gs_chan_unref(t);
}

static void busy(int64_t ns)
{
	int64_t end = gs_now() + ns;

	while (gs_now() < end)
		;
}

static void nap_long(void *arg)
{
	(void)arg;
	gs_sleep(100 * MS);
}

static int64_t received;

static void receive_time(void *arg)
{
	CHECK_EQ(1, gs_chan_recv(arg, NULL));
	__atomic_store_n(&received, gs_now(), __ATOMIC_RELAXED);
}

/*
 * All Ps but one are idle, with nothing to wake up for, when a goroutine that goes on for
 * long starts a timer.
 */
static void in_time_beside_a_hog(void)
{
	gs_chan *t = gs_after(NEVER);
	int64_t begin;

	CHECK_EQ(1, gs_timer_stop(t));
	go(receive_time, t);
	gs_sleep(50 * MS);
	busy(100 * MS);
	begin = gs_now();
	CHECK_EQ(0, gs_timer_reset(t, 100 * MS));
	busy(1500 * MS);
	gs_sleep(10 * MS);
	CHECK(received - begin >= 100 * MS);
	CHECK(received - begin < 1000 * MS);
	gs_chan_unref(t);
}

/* The parent's threads sleep, until a time that is past when the child begins. */
TEST(in_time_after_fork)
{
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan: no threads after a multi-threaded fork");
#endif
	setenv("GSCHED_MAXPROCS", "2", 1);
	ASSERT_EQ(0, gs_start());
	go(nap_long, NULL);
	sleep_ns(20 * MS);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		sleep_ns(200 * MS);
		CHECK_EQ(0, run_on(2, in_time_beside_a_hog));
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, gs_stop());
}

/* ----------------------------------------------------- threads that are no goroutines */

static void nap(int64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static void *thread_timers(void *arg)
{
	gs_chan *t, *ticks;
	int64_t begin, at;
	int i;

	nap(50 * MS);			/* until all Ps are idle */
	begin = gs_now();
	t = gs_after(10 * MS);
	ticks = gs_tick(5 * MS);
	CHECK(t && ticks);
	CHECK_EQ(1, gs_chan_recv_until(t, &at, begin + LATE));
	CHECK(at >= begin + 10 * MS);
	for (i = 0; i < 3; i++)
		CHECK_EQ(1, gs_chan_recv_until(ticks, NULL, gs_now() + LATE));
	CHECK_EQ(0, gs_timer_reset(t, NEVER));
	CHECK_EQ(1, gs_timer_stop(t));
	gs_chan_unref(t);
	gs_chan_unref(ticks);
	gs_chan_send(arg, NULL);
	return NULL;
}

/* All Ps idle, without a time to wake up at: the thread's timer wakes one of them. */
TEST_GO(from_threads)
{
	gs_chan *done = gs_chan_new(0, 0);
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		CHECK_EQ(0, pthread_create(thread + i, NULL, thread_timers, done));
	for (i = 0; i < 4; i++)
		CHECK_EQ(1, gs_chan_recv(done, NULL));
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	gs_chan_unref(done);
}

static void hog(uint32_t *over)
{
	int64_t end = gs_now() + 4 * LATE;

	/* No call of the library's that would let others run. */
	while (!__atomic_load_n(over, __ATOMIC_RELAXED))
		CHECK(gs_now() < end);
}

struct hogged {
	gs_chan *t;
	uint32_t over;
};

static void wait_then_release(void *arg)
{
	struct hogged *h = arg;

	CHECK_EQ(1, gs_chan_recv_until(h->t, NULL, GS_FOREVER));
	__atomic_store_n(&h->over, 1, __ATOMIC_RELAXED);
}

/*
 * Who starts a timer and computes on, with one P and nothing else to do: where there
 * is preemption the tick has to know of the timer.
 */
static void beside_a_hog(void)
{
	struct hogged h = { .t = gs_after(NEVER) };

	if (!(gs_features() & GS_FEAT_PREEMPT))
		return;
	go(wait_then_release, &h);
	gs_sleep(300 * MS);		/* until the tick has gone to sleep */
	CHECK_EQ(1, gs_timer_reset(h.t, 10 * MS));
	hog(&h.over);
	gs_chan_unref(h.t);
}

TEST(fires_beside_a_hog)
{
	EXPECT_EQ(0, run_on(1, beside_a_hog));
}

static void *thread_reset(void *arg)
{
	struct hogged *h = arg;

	nap(300 * MS);
	CHECK_EQ(1, gs_timer_reset(h->t, 10 * MS));
	return NULL;
}

static void threads_beside_a_hog(void)
{
	struct hogged h = { .t = gs_after(NEVER) };
	pthread_t thread;

	if (!(gs_features() & GS_FEAT_PREEMPT))
		return;
	go(wait_then_release, &h);
	gs_yield();
	CHECK_EQ(0, pthread_create(&thread, NULL, thread_reset, &h));
	hog(&h.over);
	pthread_join(thread, NULL);
	gs_chan_unref(h.t);
}

TEST(threads_timer_fires_beside_a_hog)
{
	EXPECT_EQ(0, run_on(1, threads_beside_a_hog));
}

/* ------------------------------------------------------------------- event loops */

TEST_GO(eventfd)
{
	gs_chan *t = gs_after(10 * MS);
	struct pollfd fd = { .fd = gs_chan_eventfd(t), .events = POLLIN };

	CHECK(fd.fd >= 0);
	CHECK_EQ(POLLIN, gs_wait_fd_until(fd.fd, POLLIN, gs_now() + LATE));
	CHECK_EQ(1, gs_timer_stop(t));
	CHECK_EQ(0, poll(&fd, 1, 0));
	gs_chan_unref(t);
}

/* ------------------------------------------------------------------------- stress */

#define STRESS_TIMERS	16
#define STRESS_WORKERS	8

struct stress {
	gs_chan *t[STRESS_TIMERS];
	gs_wg wg;
	unsigned int seed;
	long received, stopped;
	int part;
};

/* One that has been received is younger than the start that made it. */
static void stress_step(struct stress *s, unsigned int *r)
{
	gs_chan *t = s->t[rnd(r) % STRESS_TIMERS];
	int64_t at, before = gs_now();

	switch (rnd(r) % 4) {
	case 0:
		CHECK(gs_timer_reset(t, 1 + rnd(r) % 100000) >= 0);
		break;
	case 1:
		if (gs_timer_stop(t) == 1)
			__atomic_add_fetch(&s->stopped, 1, __ATOMIC_RELAXED);
		break;
	case 2:
		if (gs_chan_recv_until(t, &at, before + rnd(r) % 100000) == 1) {
			CHECK(at <= gs_now());
			__atomic_add_fetch(&s->received, 1, __ATOMIC_RELAXED);
		}
		break;
	default:
		gs_yield();
	}
}

static void stress_g(void *arg)
{
	struct stress *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 77, __ATOMIC_RELAXED);
	int i;

	for (i = 0; i < TIMES(2500); i++)
		stress_step(s, &r);
	gs_wg_done(&s->wg);
}

static void *stress_thread(void *arg)
{
	stress_g(arg);
	return NULL;
}

/* Starts, stops and receives of the same timers from everywhere. */
TEST_GO(stress)
{
	struct stress s = { .seed = test_seed() };
	pthread_t thread;
	int64_t at;
	int i;

	for (i = 0; i < STRESS_TIMERS; i++)
		s.t[i] = i % 2 ? gs_tick(20000 + 1000 * i) : gs_after(10000);
	gs_wg_add(&s.wg, STRESS_WORKERS + 1);
	for (i = 0; i < STRESS_WORKERS; i++)
		go(stress_g, &s);
	CHECK_EQ(0, pthread_create(&thread, NULL, stress_thread, &s));
	gs_wg_wait(&s.wg);
	pthread_join(thread, NULL);
	printf("# %ld received, %ld stopped\n", s.received, s.stopped);
	fflush(stdout);
	/* All of them still work. */
	for (i = 0; i < STRESS_TIMERS; i++) {
		int64_t begin = gs_now();

		CHECK(gs_timer_reset(s.t[i], MS) >= 0);
		CHECK_EQ(1, gs_chan_recv_until(s.t[i], &at, gs_now() + LATE));
		CHECK(at >= begin + MS);
		gs_chan_unref(s.t[i]);
	}
}

/* After a stop nothing comes, however close it was to firing. */
TEST_GO(stop_races_fire)
{
	unsigned int r = test_seed();
	gs_chan *t[2] = { gs_after(NEVER), gs_tick(NEVER) };
	int i, k;

	for (i = 0; i < TIMES(4000); i++) {
		int64_t ns[2] = { 1 + rnd(&r) % 30000, 1 + rnd(&r) % 30000 }, until;

		for (k = 0; k < 2; k++)
			CHECK(gs_timer_reset(t[k], ns[k]) >= 0);
		for (until = gs_now() + rnd(&r) % 40000; gs_now() < until;)
			gs_yield();
		for (k = 0; k < 2; k++) {
			CHECK_EQ(1, gs_timer_stop(t[k]));
			CHECK_EQ(0, gs_chan_len(t[k]));
		}
		gs_yield();
		for (k = 0; k < 2; k++)
			CHECK_EQ(-EAGAIN, gs_chan_try_recv(t[k], NULL));
	}
	for (k = 0; k < 2; k++)
		gs_chan_unref(t[k]);
}

/* Many at once, from many goroutines: started, and received or stopped. */
#define MANY	(SANITIZED ? 5000 : 100000)

static gs_chan *many_timers[MANY];

static void many_part(void *arg)
{
	struct stress *s = arg;
	int nr = __atomic_fetch_add(&s->part, 1, __ATOMIC_RELAXED);
	int n = MANY / STRESS_WORKERS, i;
	gs_chan **t = many_timers + nr * n;
	unsigned int r = s->seed + nr;

	for (i = 0; i < n; i++) {
		t[i] = gs_after((int64_t)rnd(&r) * 16);
		CHECK(t[i]);
	}
	for (i = 0; i < n; i++) {
		if (i % 8)
			CHECK_EQ(1, gs_chan_recv_until(t[i], NULL, gs_now() + 10 * LATE));
		else
			CHECK_EQ(1, gs_timer_stop(t[i]));
		gs_chan_unref(t[i]);
	}
	gs_wg_done(&s->wg);
}

TEST_GO(many)
{
	struct stress s = { .seed = test_seed() };
	int i;

	gs_wg_add(&s.wg, STRESS_WORKERS);
	for (i = 0; i < STRESS_WORKERS; i++)
		go(many_part, &s);
	gs_wg_wait(&s.wg);
}

/* -------------------------------------------------------------------------- idle */

static long switches(void)
{
	struct rusage ru;

	CHECK_EQ(0, getrusage(RUSAGE_SELF, &ru));
	return ru.ru_nvcsw;
}

/*
 * A program that waits for a ticker sleeps until the tick: a tick costs each idle
 * thread a wake-up at most, and between ticks there is none.
 */
TEST_GO(idle_until_the_next)
{
	gs_chan *t = gs_tick(100 * MS);
	long before, n;
	int i;

	CHECK_EQ(1, gs_chan_recv(t, NULL));
	before = switches();
	for (i = 0; i < 3; i++)
		CHECK_EQ(1, gs_chan_recv(t, NULL));
	n = switches() - before;
	printf("# %.1f sleeps a tick\n", n / 3.0);
	fflush(stdout);
	/* The sanitizers have a thread of their own. */
	CHECK(n <= 3 * (SANITIZED ? 30 : 8));
	gs_chan_unref(t);
}

TEST_HARNESS_MAIN

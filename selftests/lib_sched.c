// SPDX-License-Identifier: GPL-2.0
/* The scheduler: order, fairness, starting and ending, as programs see it. */
#include "lib_stderr.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../userlib/sched.h"

static int order[600], nr_order;

static void note(void *arg)
{
	order[__atomic_fetch_add(&nr_order, 1, __ATOMIC_RELAXED)] = (int)(long)arg;
}

static void note_yield_note(void *arg)
{
	note(arg);
	gs_yield();
	note((void *)((long)arg + 100));
}

/* ------------------------------------------------------------------------- order */

/* The order of the library's making: the kernel does not interfere. */
static int run_undisturbed(void (*body)(void))
{
	setenv("GSCHED_DEBUG", "nohandoff,nopreempt", 1);
	return run_on(1, body);
}

static void newest_first(void)
{
	long i;

	nr_order = 0;
	for (i = 1; i <= 4; i++)
		go(note, (void *)i);
	gs_yield();
	/* The last one started is next; the others follow in their order; then we. */
	CHECK_EQ(4, nr_order);
	CHECK_EQ(4, order[0]);
	CHECK_EQ(1, order[1]);
	CHECK_EQ(2, order[2]);
	CHECK_EQ(3, order[3]);
}

TEST(newest_first_then_fifo)
{
	EXPECT_EQ(0, run_undisturbed(newest_first));
}

static void yield_order(void)
{
	static const int want[] = { 3, 1, 2, 103, 101, 102 };
	unsigned int i;
	long g;

	nr_order = 0;
	for (g = 1; g <= 3; g++)
		go(note_yield_note, (void *)g);
	gs_yield();
	gs_yield();
	CHECK_EQ(6, nr_order);
	for (i = 0; i < 6; i++)
		CHECK_EQ(want[i], order[i]);
}

TEST(yield_goes_to_the_tail)
{
	EXPECT_EQ(0, run_undisturbed(yield_order));
}

/*
 * 256 in the ring, then half of them and the 258th go to the global queue. Within
 * each queue the order stays; every G runs once.
 */
static void overflow(void)
{
	static char seen[601];
	int i;
	long g;

	nr_order = 0;
	for (g = 1; g <= 600; g++)
		go(note, (void *)g);
	while (nr_order < 600)
		gs_yield();
	CHECK_EQ(600, order[0]);
	for (i = 0; i < 600; i++) {
		CHECK(!seen[order[i]]);
		seen[order[i]] = 1;
	}
	/* 1 .. 128 were pushed out of the ring; 257 took part in that, too. */
	for (i = 1; order[i] < 257; i++)
		CHECK(order[i] > 128 || order[i] == 1);
}

TEST(full_ring_spills_half)
{
	EXPECT_EQ(0, run_undisturbed(overflow));
}

/* ---------------------------------------------------------------------- fairness */

static int stop;

static void yielder(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		gs_yield();
	gs_wg_done(arg);
}

static void *go_thread(void *arg)
{
	CHECK_EQ(0, gs_go(note, arg));
	return NULL;
}

/* Gs of threads that are no Ms are in the global queue: two yielders must not hide it. */
TEST_GO(global_queue_not_starved)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread;
	int i;

	nr_order = stop = 0;
	gs_wg_add(&wg, 8);
	for (i = 0; i < 8; i++)
		go(yielder, &wg);
	CHECK_EQ(0, pthread_create(&thread, NULL, go_thread, (void *)7L));
	CHECK_EQ(0, pthread_join(thread, NULL));
	for (i = 0; !__atomic_load_n(&nr_order, __ATOMIC_RELAXED); i++) {
		CHECK(i < 1000000);
		gs_yield();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
}

TEST_GO(timers_not_starved)
{
	gs_wg wg = GS_WG_INIT;
	int64_t begin;
	int i;

	stop = 0;
	gs_wg_add(&wg, 8);
	for (i = 0; i < 8; i++)
		go(yielder, &wg);
	begin = gs_now();
	for (i = 0; i < 5; i++)
		gs_sleep(MS);
	CHECK(gs_now() - begin >= 5 * MS);
	CHECK(gs_now() - begin < 2000 * MS);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
}

static void *write_thread(void *arg)
{
	usleep(2000);
	CHECK_EQ(1, write((int)(intptr_t)arg, "x", 1));
	return NULL;
}

/* What the kernel makes ready waits in the inbox: two yielders must not hide it. */
TEST_GO(readiness_not_starved)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread;
	int fd[2], i;
	char c;

	stop = 0;
	gs_wg_add(&wg, 8);
	for (i = 0; i < 8; i++)
		go(yielder, &wg);
	CHECK_EQ(0, pipe(fd));
	for (i = 0; i < 5; i++) {
		CHECK_EQ(0, pthread_create(&thread, NULL, write_thread,
					   (void *)(intptr_t)fd[1]));
		CHECK_EQ(1, gs_read_until(fd[0], &c, 1, gs_now() + 2000 * MS));
		CHECK_EQ(0, pthread_join(thread, NULL));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/*
 * More descriptors are ready than the ring holds, and as fast as Gs are done with some,
 * others are: who was pushed out of the ring must not wait until that ends.
 */
#define PAIRS	400		/* two descriptors each: below the usual limit of 1,024 */
#define ROUNDS	50
#define SLOW_ROUNDS	10
#define SLOW_STEP	600000	/* ns: 61 steps, of which half are so long, take longer than 17 ms */

struct pair {
	int fd[2];
	int rounds;
	gs_wg *wg;
};

static int rounds_left;
static int64_t step;

static void compute_for(int64_t ns)
{
	int64_t end = gs_now() + ns;

	while (ns && gs_now() < end)
		;
}

static void serve(void *arg)
{
	struct pair *p = arg;
	char c;

	while (gs_read(p->fd[1], &c, 1) == 1 && gs_write(p->fd[1], &c, 1) == 1)
		p->rounds++;
	gs_wg_done(p->wg);
}

static void ask(void *arg)
{
	struct pair *p = arg;
	char c = 'x';

	while (__atomic_fetch_sub(&rounds_left, 1, __ATOMIC_RELAXED) > 0) {
		CHECK_EQ(1, gs_write(p->fd[0], &c, 1));
		CHECK_EQ(1, gs_read(p->fd[0], &c, 1));
		compute_for(step);
	}
	gs_close(p->fd[0]);
	gs_wg_done(p->wg);
}

static void crowd_of(int rounds)
{
	static struct pair pair[PAIRS];
	gs_wg wg = GS_WG_INIT;
	int i, least = INT_MAX;

	rounds_left = PAIRS * rounds;
	gs_wg_add(&wg, 2 * PAIRS);
	for (i = 0; i < PAIRS; i++) {
		pair[i] = (struct pair){ .wg = &wg };
		CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair[i].fd));
		go(serve, pair + i);
		go(ask, pair + i);
	}
	gs_wg_wait(&wg);
	for (i = 0; i < PAIRS; i++) {
		if (pair[i].rounds < least)
			least = pair[i].rounds;
		gs_close(pair[i].fd[1]);
	}
	printf("# %d of %d rounds\n", least, rounds);
	fflush(stdout);
	CHECK(least > rounds / 2);
}

static void crowd(void)
{
	step = 0;
	crowd_of(ROUNDS);
}

static void slow_crowd(void)
{
	step = SLOW_STEP;
	crowd_of(SLOW_ROUNDS);
}

/* One P: several that share the work do so as it comes. */
TEST(crowd_takes_turns)
{
	EXPECT_EQ(0, run_on(1, crowd));
}

TEST(slow_crowd_takes_turns)
{
	EXPECT_EQ(0, run_on(1, slow_crowd));
}

/* Two Gs that make each other ready take runnext from one another: others run too. */
static gs_chan *ball;

static void player(void *arg)
{
	int v = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (gs_chan_recv(ball, &v) != 1 || gs_chan_send(ball, &v))
			break;
	}
	gs_chan_close(ball);
	gs_wg_done(arg);
}

TEST_GO(runnext_not_for_ever)
{
	gs_wg wg = GS_WG_INIT;
	int v = 0, i;

	stop = 0;
	ball = gs_chan_new(sizeof(int), 0);
	gs_wg_add(&wg, 2);
	go(player, &wg);
	go(player, &wg);
	CHECK_EQ(0, gs_chan_send(ball, &v));
	for (i = 0; i < 100; i++)
		gs_yield();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	gs_chan_unref(ball);
}

/*
 * A G parks, and goes on at once after all: the one that was to run instead is queued again,
 * and the other P's M, which was there for it and has gone to sleep, is told.
 */
#define LATE	1000000000LL

static uint32_t ran;

static void note_run(void *arg)
{
	__atomic_store_n(&ran, 1, __ATOMIC_RELAXED);
	gs_wg_done(arg);
}

static bool others_sleep(void)
{
	return __atomic_load_n(&rt.shared->nr_idle, __ATOMIC_RELAXED) == 1 &&
	       !__atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_RELAXED);
}

static bool stay(struct g *g, void *arg)
{
	int64_t end = gs_now() + LATE / 10;

	(void)g;
	(void)arg;
	while (!others_sleep() && gs_now() < end)
		;
	/* From its last look to its sleep. */
	compute_for(LATE / 1000);
	return false;
}

static void park_and_stay(void)
{
	gs_wg wg = GS_WG_INIT;
	int64_t end;
	int i;

	for (i = 0; i < 50; i++) {
		__atomic_store_n(&ran, 0, __ATOMIC_RELAXED);
		gs_wg_add(&wg, 1);
		go(note_run, &wg);
		sec_leave(park(sec_enter(), stay, NULL, WAIT_CHAN_RECV));
		end = gs_now() + LATE;
		while (!__atomic_load_n(&ran, __ATOMIC_RELAXED) && gs_now() < end)
			;
		CHECK_EQ(1U, __atomic_load_n(&ran, __ATOMIC_RELAXED));
		gs_wg_wait(&wg);
	}
}

TEST(who_stays_wakes_another)
{
	EXPECT_EQ(0, run_on(2, park_and_stay));
}

/* -------------------------------------------------------------- many, and storms */

static long count;

static void count_one(void *arg)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	gs_wg_done(arg);
}

TEST_GO(spawn_and_finish)
{
	gs_wg wg = GS_WG_INIT;
	int n = SANITIZED ? 2000 : 100000, i;

	count = 0;
	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++) {
		go(count_one, &wg);
		if (i % 1000 == 999)
			gs_yield();
	}
	gs_wg_wait(&wg);
	CHECK_EQ(n, count);
}

static void storm(void *arg)
{
	unsigned int r = (unsigned int)gs_id();
	int i;

	for (i = 0; i < TIMES(2000); i++) {
		int n = rnd(&r) % 8;

		while (n--)
			gs_yield();
		if (rnd(&r) % 64 == 0)
			gs_sleep(rnd(&r) % 50000);
		__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(arg);
}

static void yield_storm(void)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	count = 0;
	gs_wg_add(&wg, 50);
	for (i = 0; i < 50; i++)
		go(storm, &wg);
	gs_wg_wait(&wg);
	CHECK_EQ(50L * TIMES(2000), count);
}

TEST_GO(yield_storm)
{
	yield_storm();
}

TEST(yield_storm_on_8)
{
	EXPECT_EQ(0, run_on(8, yield_storm));
}

static void ends_deep(void *arg)
{
	char frame[2000];

	memset(frame, 1, sizeof(frame));
	count_one(arg);
	if (frame[1999])
		gs_goexit();
	CHECK(0);
}

TEST_GO(goexit)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	count = 0;
	gs_wg_add(&wg, 100);
	for (i = 0; i < 100; i++)
		go(ends_deep, &wg);
	gs_wg_wait(&wg);
	CHECK_EQ(100, count);
}

/* --------------------------------------------------------------- wake-ups get lost? */

#define RELAY 16

static gs_chan *stage[RELAY + 1];

static void relay(void *arg)
{
	long i = (long)arg;
	int v;

	while (gs_chan_recv(stage[i], &v) == 1)
		gs_chan_send(stage[i + 1], &v);
	gs_chan_close(stage[i + 1]);
}

/* Everybody sleeps most of the time, so each hand-over may meet an M that goes idle. */
TEST_GO(no_wakeup_lost)
{
	unsigned int r = test_seed();
	int i, v, got;
	long g;

	for (i = 0; i <= RELAY; i++)
		stage[i] = gs_chan_new(sizeof(int), rnd(&r) % 3);
	for (g = 0; g < RELAY; g++)
		go(relay, (void *)g);
	for (i = 0; i < TIMES(5000); i++) {
		int64_t pause = gs_now() + rnd(&r) % 30000;

		v = i;
		CHECK_EQ(0, gs_chan_send_until(stage[0], &v, gs_now() + 20000 * MS));
		CHECK_EQ(1, gs_chan_recv_until(stage[RELAY], &got, gs_now() + 20000 * MS));
		CHECK_EQ(i, got);
		/* Sometimes sleeping, sometimes in the way. */
		if (rnd(&r) % 2)
			gs_sleep_until(pause);
		else
			while (gs_now() < pause)
				;
	}
	gs_chan_close(stage[0]);
	CHECK_EQ(0, gs_chan_recv(stage[RELAY], NULL));
}

/* ---------------------------------------------------------------- start and end */

static int seven(int argc, char **argv)
{
	CHECK_EQ(2, argc);
	CHECK(!strcmp("b", argv[1]));
	CHECK_EQ(1, gs_id());
	CHECK(gs_backend());
	return 7;
}

TEST(gs_main_result_and_again)
{
	char *args[] = { "a", "b", NULL };
	int i;

	EXPECT_EQ(NULL, gs_backend());
	EXPECT_EQ(-EINVAL, gs_go(note, NULL));
	EXPECT_EQ(-EINVAL, gs_set_maxprocs(1));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(7, gs_main(seven, 2, args));
	EXPECT_EQ(NULL, gs_backend());
	EXPECT_EQ(0, gs_id());
}

static int busy(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CHECK_EQ(-EBUSY, gs_main(busy, 0, NULL));
	return 3;
}

TEST(gs_main_busy)
{
	EXPECT_EQ(3, gs_main(busy, 0, NULL));
}

static void hog(void *arg)
{
	(void)arg;
	__atomic_store_n(&stop, 2, __ATOMIC_RELAXED);
	for (;;)
		sleep(1);
}

static int leave_hog(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	go(hog, NULL);
	while (__atomic_load_n(&stop, __ATOMIC_RELAXED) != 2)
		gs_yield();
	return 5;
}

TEST(gs_main_returns_despite_a_hog)
{
	int64_t begin = gs_now();

	setenv("GSCHED_MAXPROCS", "2", 1);
	EXPECT_EQ(5, gs_main(leave_hog, 0, NULL));
	EXPECT_GT(1000 * MS, gs_now() - begin);
	EXPECT_EQ(-EBUSY, gs_main(leave_hog, 0, NULL));
}

static void exiter(void *arg)
{
	(void)arg;
	exit(9);
}

static void exit_from_goroutine(void)
{
	go(exiter, NULL);
	gs_sleep(10000 * MS);
}

TEST(exit_works)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(100 + run_on(2, exit_from_goroutine));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(9, WEXITSTATUS(status));
}

static void in_child(void)
{
	CHECK_EQ(0, gs_id());
	CHECK_EQ(NULL, gs_backend());
	CHECK_EQ(-EINVAL, gs_go(note, NULL));
	gs_yield();
	CHECK_EQ(0, gs_sleep(1));
	nr_order = 0;
	/* A program of its own, from the child of a goroutine. */
	CHECK_EQ(0, run_on(1, newest_first));
	_exit(11);
}

static void fork_in_goroutine(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		in_child();
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(11, WEXITSTATUS(status));
	gs_sleep(MS);
}

/* TSan allows no threads after fork() in a process that has some. */
TEST(fork_leaves_no_runtime)
{
#ifdef __SANITIZE_THREAD__
	SKIP(return, "no threads in children under TSan");
#endif
	EXPECT_EQ(0, run_on(2, fork_in_goroutine));
}

static void *start_many(void *arg)
{
	int i;

	for (i = 0; i < 200; i++)
		CHECK_EQ(0, gs_go(count_one, arg));
	return NULL;
}

TEST_GO(go_from_threads)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread[4];
	int i;

	count = 0;
	gs_wg_add(&wg, 800);
	for (i = 0; i < 4; i++)
		CHECK_EQ(0, pthread_create(thread + i, NULL, start_many, &wg));
	gs_wg_wait(&wg);
	CHECK_EQ(800, count);
	for (i = 0; i < 4; i++)
		CHECK_EQ(0, pthread_join(thread[i], NULL));
}

/* ----------------------------------------------------------------------- deadlock */

static void stuck(void *arg)
{
	gs_set_name("stuck");
	gs_chan_recv(arg, NULL);
}

static void deadlock(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	go(stuck, c);
	gs_sleep(MS);
	gs_chan_recv(c, NULL);
}

TEST_F(procs, deadlock_is_told)
{
	char buf[4096];
	int status;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan has a thread of its own, which might wake somebody");
#endif
	status = child_stderr(deadlock, variant->n, buf, sizeof(buf));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		TH_LOG("%s", buf);
	EXPECT_TRUE(strstr(buf, "gsched: fatal: all goroutines are asleep - deadlock!\n"))
		TH_LOG("%s", buf);
	EXPECT_TRUE(strstr(buf, "\"stuck\" [chan receive]:\n"))
		TH_LOG("%s", buf);
	EXPECT_TRUE(strstr(buf, "goroutine 1 \"\" [chan receive]:\n"))
		TH_LOG("%s", buf);
}

/* A thread that is not ours might yet do something. */
static void close_it(void *arg)
{
	gs_chan_close(arg);
}

static void *later(void *arg)
{
	usleep(100000);
	CHECK_EQ(0, gs_go(close_it, arg));
	return NULL;
}

static void no_deadlock(void)
{
	gs_chan *c = gs_chan_new(0, 0);
	pthread_t thread;

	CHECK_EQ(0, pthread_create(&thread, NULL, later, c));
	CHECK_EQ(0, gs_chan_recv(c, NULL));
	CHECK_EQ(0, pthread_join(thread, NULL));
}

TEST_F(procs, no_deadlock_with_other_threads)
{
	EXPECT_EQ(0, run_on(variant->n, no_deadlock));
}

TEST_HARNESS_MAIN

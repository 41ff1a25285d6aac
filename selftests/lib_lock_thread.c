// SPDX-License-Identifier: GPL-2.0
/*
 * gs_lock_thread: the goroutine stays on its thread, nobody else runs there, and all
 * others go on while it waits.
 */
#include "lib_stderr.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Only bounds how long a failure takes. */
#define PATIENCE	(20000 * MS)

static __thread long mark;		/* of the goroutine that is pinned here; 0: none */

static __attribute__((noinline)) long *mark_here(void)
{
	asm volatile("");
	return &mark;
}

/* A thread with a number in @mark is somebody's. */
static void check_stranger(void)
{
	CHECK_EQ(0, *mark_here());
}

struct pin_check {
	pid_t tid;
	long number;
};

static long numbers;

static struct pin_check pin_begin(void)
{
	struct pin_check p;

	CHECK_EQ(0, gs_lock_thread());
	check_stranger();
	p.tid = gettid();
	p.number = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
	*mark_here() = p.number;
	return p;
}

static void pin_check(struct pin_check *p)
{
	CHECK_EQ(p->tid, gettid());
	CHECK_EQ(p->number, *mark_here());
}

static void pin_finish(struct pin_check *p)
{
	pin_check(p);
	*mark_here() = 0;
	CHECK_EQ(0, gs_unlock_thread());
}

/* How often: with the module the CPU is most likely an emulated one. */
static int some(int n)
{
	return TIMES(n) / (gs_features() ? 8 : 1);
}

static int over;

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

static void set_over(int on)
{
	__atomic_store_n(&over, on, __ATOMIC_RELAXED);
}

/* ----------------------------------------------------------- parks of every kind */

static gs_chan *ask, *answer;
static gs_mutex mutex = GS_MUTEX_INIT;
static gs_wg workers = GS_WG_INIT;
static int pipe_fd[2];

static void echo(void *arg)
{
	int n;

	(void)arg;
	while (gs_chan_recv(ask, &n)) {
		check_stranger();
		CHECK_EQ(0, gs_chan_send(answer, &n));
	}
	gs_wg_done(&workers);
}

static void contend(void *arg)
{
	(void)arg;
	while (!is_over()) {
		gs_mutex_lock(&mutex);
		check_stranger();
		gs_yield();
		gs_mutex_unlock(&mutex);
		gs_sleep(100000);
	}
	gs_wg_done(&workers);
}

static void write_byte(void *arg)
{
	char c = 'x';

	(void)arg;
	check_stranger();
	CHECK_EQ(1, gs_write(pipe_fd[1], &c, 1));
	gs_wg_done(&workers);
}

static void by_chan(int i)
{
	int n = 0;

	CHECK_EQ(0, gs_chan_send(ask, &i));
	CHECK_EQ(1, gs_chan_recv(answer, &n));
	CHECK_EQ(i, n);
}

static void by_mutex(int i)
{
	(void)i;
	gs_mutex_lock(&mutex);
	gs_mutex_unlock(&mutex);
}

static void by_yield(int i)
{
	(void)i;
	gs_yield();
}

static void by_sleep(int i)
{
	CHECK_EQ(0, gs_sleep(i % 100 * 1000));
}

static void by_fd(int i)
{
	char c;

	(void)i;
	gs_wg_add(&workers, 1);
	go(write_byte, NULL);
	CHECK_EQ(1, gs_read(pipe_fd[0], &c, 1));
}

static void by_deadline(int i)
{
	int n;

	(void)i;
	CHECK_EQ(-ETIMEDOUT, gs_wait_fd_until(pipe_fd[0], POLLIN, gs_now() + 1000));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(answer, &n, gs_now() + 1000));
}

static void wg_child(void *arg)
{
	check_stranger();
	gs_wg_done(arg);
}

static void by_wg(int i)
{
	gs_wg wg = GS_WG_INIT;

	(void)i;
	gs_wg_add(&wg, 2);
	go(wg_child, &wg);
	go(wg_child, &wg);
	gs_wg_wait(&wg);
}

static void by_select(int i)
{
	int n = 0;
	struct gs_case cases[2] = {
		{ .chan = NULL, .dir = GS_RECV },
		{ .chan = answer, .recv = &n, .dir = GS_RECV },
	};

	CHECK_EQ(0, gs_chan_send(ask, &i));
	CHECK_EQ(1, gs_select(cases, 2));
	CHECK_EQ(i, n);
}

static void (*const park_by[])(int i) = {
	by_chan, by_mutex, by_yield, by_sleep, by_fd, by_deadline, by_wg, by_select,
};

#define PARKS ((int)(sizeof(park_by) / sizeof(*park_by)))

TEST_GO(stays_over_parks_of_every_kind)
{
	int rounds = some(8000);
	struct pin_check p;

	set_over(0);
	CHECK_EQ(0, pipe(pipe_fd));
	ask = gs_chan_new(sizeof(int), 0);
	answer = gs_chan_new(sizeof(int), 0);
	gs_wg_add(&workers, 3);
	go(echo, NULL);
	go(contend, NULL);
	go(contend, NULL);

	p = pin_begin();
	for (int i = 0; i < rounds; i++) {
		park_by[i % PARKS](i);
		pin_check(&p);
	}
	set_over(1);
	gs_chan_close(ask);
	gs_wg_wait(&workers);
	pin_finish(&p);
	gs_chan_unref(ask);
	gs_chan_unref(answer);
	gs_close(pipe_fd[0]);
	gs_close(pipe_fd[1]);
}

/* ------------------------------------------------------------------- two of them */

static gs_chan *ping, *pong;

static void ponger(void *arg)
{
	struct pin_check p = pin_begin();
	int n;

	while (gs_chan_recv(ping, &n)) {
		pin_check(&p);
		n++;
		CHECK_EQ(0, gs_chan_send(pong, &n));
		pin_check(&p);
	}
	pin_finish(&p);
	gs_wg_done(arg);
}

/* Until @enough(round). */
static void play(bool (*enough)(int round))
{
	struct pin_check p = pin_begin();
	gs_wg wg = GS_WG_INIT;
	int n = 0, i;

	ping = gs_chan_new(sizeof(int), 0);
	pong = gs_chan_new(sizeof(int), 0);
	gs_wg_add(&wg, 1);
	go(ponger, &wg);
	for (i = 0; !enough(i); i++) {
		CHECK_EQ(0, gs_chan_send(ping, &n));
		CHECK_EQ(1, gs_chan_recv(pong, &n));
		pin_check(&p);
	}
	CHECK_EQ(i, n);
	gs_chan_close(ping);
	gs_wg_wait(&wg);
	pin_finish(&p);
	gs_chan_unref(ping);
	gs_chan_unref(pong);
}

static bool many_rounds(int round)
{
	return round == some(5000);
}

/* Now and then all are asleep but one that has been woken: that is no deadlock. */
TEST_GO(two_play_ping_pong)
{
	play(many_rounds);
}

static long turns;
static int64_t play_end;

/* Between 20 pairs of rounds the others had turns. */
static bool many_turns(int round)
{
	static long last;
	static int times;
	long now = __atomic_load_n(&turns, __ATOMIC_RELAXED);

	CHECK(gs_now() < play_end);
	if (!round)
		times = 0;
	else if (now != last)
		times++;
	last = now;
	return times == 20;
}

static void take_turns(void *arg)
{
	while (!is_over()) {
		__atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED);
		gs_yield();
	}
	gs_wg_done(arg);
}

/* The two could hand the P to each other for ever, and the others would wait. */
TEST_GO(two_do_not_starve_others)
{
	gs_wg wg = GS_WG_INIT;

	set_over(0);
	play_end = gs_now() + PATIENCE;
	gs_wg_add(&wg, 2);
	go(take_turns, &wg);
	go(take_turns, &wg);
	play(many_turns);
	set_over(1);
	gs_wg_wait(&wg);
}

/* ---------------------------------------------------------------- turns, by yields */

static int flag;

static void pinned_setter(void *arg)
{
	struct pin_check p = pin_begin();

	for (int i = 0; i < 100; i++) {
		while (__atomic_load_n(&flag, __ATOMIC_RELAXED) != 2 * i + 1) {
			gs_yield();
			pin_check(&p);
		}
		__atomic_store_n(&flag, 2 * i + 2, __ATOMIC_RELAXED);
	}
	pin_finish(&p);
	gs_wg_done(arg);
}

/* Each must get the P while the other one does nothing but yield. */
TEST_GO(yield_lets_others_run)
{
	gs_wg wg = GS_WG_INIT;

	flag = 0;
	gs_wg_add(&wg, 1);
	go(pinned_setter, &wg);
	for (int i = 0; i < 100; i++) {
		__atomic_store_n(&flag, 2 * i + 1, __ATOMIC_RELAXED);
		while (__atomic_load_n(&flag, __ATOMIC_RELAXED) != 2 * i + 2)
			gs_yield();
	}
	gs_wg_wait(&wg);
}

static void pinned_yielder(void *arg)
{
	struct pin_check p = pin_begin();

	while (!is_over()) {
		gs_yield();
		pin_check(&p);
	}
	pin_finish(&p);
	gs_wg_done(arg);
}

/* A timer of the P that a pinned one keeps, and nothing else to do. */
TEST_GO(yield_looks_at_timers)
{
	gs_wg wg = GS_WG_INIT;

	set_over(0);
	gs_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		go(pinned_yielder, &wg);
	for (int i = 0; i < 10; i++)
		gs_sleep(MS);
	set_over(1);
	gs_wg_wait(&wg);
}

/* --------------------------------------------------------------------------- alone */

static void *write_later(void *arg)
{
	struct timespec ts = { 0, 5 * MS };

	nanosleep(&ts, NULL);
	CHECK_EQ(1, write(*(int *)arg, "x", 1));
	return NULL;
}

/* There is no other M that would sleep for its timers and descriptors. */
TEST_GO(alone)
{
	struct pin_check p = pin_begin();
	pthread_t thread;
	int fd[2];
	char c;

	CHECK_EQ(0, gs_sleep(5 * MS));
	pin_check(&p);
	CHECK_EQ(0, gs_sleep(2 * MS));
	CHECK_EQ(0, pipe(fd));
	CHECK_EQ(0, pthread_create(&thread, NULL, write_later, &fd[1]));
	CHECK_EQ(1, gs_read(fd[0], &c, 1));
	CHECK_EQ(0, pthread_join(thread, NULL));
	pin_finish(&p);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* --------------------------------------------------------------------------- nests */

static void *no_goroutine(void *arg)
{
	CHECK_EQ(-EINVAL, gs_lock_thread());
	CHECK_EQ(-EINVAL, gs_unlock_thread());
	return arg;
}

TEST_GO(nests)
{
	struct pin_check p;
	pthread_t thread;

	CHECK_EQ(-EINVAL, gs_unlock_thread());
	p = pin_begin();
	CHECK_EQ(0, gs_lock_thread());
	CHECK_EQ(0, gs_lock_thread());
	CHECK_EQ(0, gs_unlock_thread());
	gs_sleep(MS);
	CHECK_EQ(0, gs_unlock_thread());
	gs_sleep(MS);
	pin_finish(&p);
	CHECK_EQ(-EINVAL, gs_unlock_thread());
	CHECK_EQ(0, pthread_create(&thread, NULL, no_goroutine, NULL));
	CHECK_EQ(0, pthread_join(thread, NULL));
}

#define UNLOCKED	20

static pid_t moved_from[UNLOCKED];

static void unlock_and_move(void *arg)
{
	pid_t *tid = arg;

	CHECK_EQ(0, gs_lock_thread());
	*tid = gettid();
	gs_wg_done(&workers);
	gs_wg_wait(&workers);
	CHECK_EQ(*tid, gettid());
	CHECK_EQ(0, gs_unlock_thread());
	for (int i = 0; i < 100 && gettid() == *tid; i++)
		gs_sleep(MS);
	if (gettid() == *tid)
		*tid = 0;
	gs_chan_send(ask, NULL);
}

/* All of them on a thread of their own, and afterwards not each on the same again. */
TEST_GO(unlocked_it_is_as_others)
{
	int moved = 0;

	ask = gs_chan_new(0, UNLOCKED);
	gs_wg_add(&workers, UNLOCKED);
	for (int i = 0; i < UNLOCKED; i++)
		go(unlock_and_move, &moved_from[i]);
	for (int i = 0; i < UNLOCKED; i++)
		CHECK_EQ(1, gs_chan_recv(ask, NULL));
	for (int i = 0; i < UNLOCKED; i++)
		moved += !!moved_from[i];
	CHECK(moved);
	gs_chan_unref(ask);
}

/* ---------------------------------------------------------------------- the thread ends */

static void end_by_return(void *arg)
{
	pid_t tid = gettid();

	CHECK_EQ(0, gs_lock_thread());
	tid = gettid();
	CHECK_EQ(0, gs_chan_send(arg, &tid));
}

static void end_by_goexit(void *arg)
{
	end_by_return(arg);
	gs_goexit();
}

static void thread_gone(pid_t tid)
{
	int64_t end = gs_now() + PATIENCE;

	while (!syscall(SYS_tgkill, getpid(), tid, 0)) {
		CHECK(gs_now() < end);
		gs_sleep(MS);
	}
	CHECK_EQ(ESRCH, errno);
}

TEST_GO(end_ends_the_thread)
{
	gs_chan *c = gs_chan_new(sizeof(pid_t), 0);
	pid_t tid;

	for (int i = 0; i < 20; i++) {
		go(i % 2 ? end_by_return : end_by_goexit, c);
		CHECK_EQ(1, gs_chan_recv(c, &tid));
		CHECK(tid != gettid());
		thread_gone(tid);
	}
	gs_chan_unref(c);
}

/* ------------------------------------------------------------------ the runtime's end */

static void wait_pinned(void *arg)
{
	char c;

	CHECK_EQ(0, gs_lock_thread());
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n((int *)arg, __ATOMIC_RELAXED) % 2)
		gs_chan_recv(ask, NULL);
	else
		gs_read(pipe_fd[0], &c, 1);
	CHECK(!"gone on");
}

static void yield_pinned(void *arg)
{
	(void)arg;
	CHECK_EQ(0, gs_lock_thread());
	for (;;)
		gs_yield();
}

static int end_waiting(int argc, char **argv)
{
	int waiting = 0;

	(void)argv;
	for (int i = 0; i < 8; i++)
		go(wait_pinned, &waiting);
	go(yield_pinned, NULL);
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < 8)
		gs_yield();
	if (argc)
		CHECK_EQ(0, gs_lock_thread());
	return 7;
}

/* The next one begins when all threads of the last one have ended. */
TEST_F(procs, runtime_ends_while_they_wait)
{
	char n[16];

	snprintf(n, sizeof(n), "%d", variant->n);
	setenv("GSCHED_MAXPROCS", n, 1);
	ASSERT_EQ(0, pipe(pipe_fd));
	for (int i = 0; i < 20; i++) {
		/* Whoever waits in the last one stays there. */
		ask = gs_chan_new(0, 0);
		ASSERT_EQ(7, gs_main(end_waiting, i % 2, NULL))
			TH_LOG("round %d", i);
	}
}

/* ------------------------------------------------------------------------- deadlock */

static void stuck(void *arg)
{
	gs_set_name("stuck");
	CHECK_EQ(0, gs_lock_thread());
	gs_chan_recv(arg, NULL);
}

static void deadlock_of_pinned(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	CHECK_EQ(0, gs_lock_thread());
	go(stuck, c);
	gs_sleep(MS);
	gs_chan_recv(c, NULL);
}

static void deadlock_of_both(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	go(stuck, c);
	gs_sleep(MS);
	gs_chan_recv(c, NULL);
}

static bool deadlock_told(void (*body)(void), int procs)
{
	char buf[4096];
	int status;

	status = child_stderr(body, procs, buf, sizeof(buf));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	    strstr(buf, "all goroutines are asleep - deadlock!\n") &&
	    strstr(buf, "\"stuck\" [chan receive"))
		return true;
	fprintf(stderr, "# status %x\n%s", status, buf);
	return false;
}

TEST_F(procs, deadlock_is_told)
{
#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan has a thread of its own, which might wake somebody");
#endif
	EXPECT_TRUE(deadlock_told(deadlock_of_pinned, variant->n));
	EXPECT_TRUE(deadlock_told(deadlock_of_both, variant->n));
}

/* --------------------------------------------------------------------------- storm */

#define STORM_GS	24

static gs_chan *storm_chan;
static gs_mutex storm_mutex = GS_MUTEX_INIT;
static gs_wg storm_wg = GS_WG_INIT;
static unsigned int storm_seed;

static void storm_step(unsigned int *seed)
{
	int n = rnd(seed) % 100;

	switch (rnd(seed) % 6) {
	case 0:
		gs_yield();
		break;
	case 1:
		gs_sleep(n * 1000);
		break;
	case 2:
		gs_chan_send_until(storm_chan, &n, gs_now() + n * 1000);
		break;
	case 3:
		gs_chan_recv_until(storm_chan, &n, gs_now() + n * 1000);
		break;
	case 4:
		gs_mutex_lock(&storm_mutex);
		if (n % 2)
			gs_yield();
		gs_mutex_unlock(&storm_mutex);
		break;
	case 5:
		if (n < 10)
			gs_set_maxprocs(1 + n % 4);
		break;
	}
}

static void storm_g(void *arg)
{
	unsigned int seed = storm_seed + (unsigned int)(uintptr_t)arg;
	int steps = some(800);

	while (steps > 0) {
		int n = 1 + (int)(rnd(&seed) % 20);
		bool pin = rnd(&seed) % 2;
		struct pin_check p = { 0 };

		if (pin)
			p = pin_begin();
		for (int i = 0; i < n; i++) {
			storm_step(&seed);
			if (pin)
				pin_check(&p);
			else
				check_stranger();
		}
		if (pin)
			pin_finish(&p);
		steps -= n;
	}
	gs_wg_done(&storm_wg);
}

TEST_GO(storm)
{
	storm_seed = test_seed();
	storm_chan = gs_chan_new(sizeof(int), 1);
	gs_wg_add(&storm_wg, STORM_GS);
	for (uintptr_t i = 0; i < STORM_GS; i++)
		go(storm_g, (void *)i);
	gs_wg_wait(&storm_wg);
	gs_chan_unref(storm_chan);
}

TEST_HARNESS_MAIN

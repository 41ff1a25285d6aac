// SPDX-License-Identifier: GPL-2.0
/*
 * gs_start and gs_stop: a runtime beside a program's own threads, again and again, and
 * whatever its goroutines do when it ends.
 */
#include "lib_check.h"
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../userlib/sched.h"

#define THREADS 4

static void start(int procs)
{
	char n[16];

	snprintf(n, sizeof(n), "%d", procs);
	setenv("GSCHED_MAXPROCS", n, 1);
	CHECK_EQ(0, gs_start());
}

/* ------------------------------------------------------------------- again and again */

static void echo(void *arg)
{
	gs_chan **c = arg;
	int n;

	while (gs_chan_recv(c[0], &n)) {
		n++;
		CHECK_EQ(0, gs_chan_send(c[1], &n));
	}
	gs_chan_close(c[1]);
}

/* The caller is no goroutine. */
static void play(int rounds)
{
	gs_chan *c[2] = { gs_chan_new(sizeof(int), 0), gs_chan_new(sizeof(int), 1) };
	int n = 0;

	go(echo, c);
	for (int i = 0; i < rounds; i++) {
		CHECK_EQ(0, gs_chan_send(c[0], &n));
		CHECK_EQ(1, gs_chan_recv(c[1], &n));
	}
	CHECK_EQ(rounds, n);
	gs_chan_close(c[0]);
	CHECK_EQ(0, gs_chan_recv(c[1], &n));
	gs_chan_unref(c[0]);
	gs_chan_unref(c[1]);
}

static void nothing(void *arg)
{
	(void)arg;
}

TEST_F_TIMEOUT(procs, again_and_again, 60)
{
	for (int i = 0; i < 30; i++) {
		EXPECT_EQ(NULL, gs_backend());
		start(variant->n);
		EXPECT_NE(NULL, gs_backend());
		play(50);
		ASSERT_EQ(0, gs_stop());
		EXPECT_EQ(-EINVAL, gs_go(nothing, NULL));
	}
	EXPECT_EQ(0, run_on(variant->n, gs_yield));
}

static void *play_thread(void *arg)
{
	play(200);
	return arg;
}

TEST_F_TIMEOUT(procs, several_threads, 60)
{
	pthread_t t[THREADS];

	start(variant->n);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, play_thread, NULL));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(0, gs_stop());
}

/* ------------------------------------------------------------------------- refusals */

static int no_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 3;
}

static void from_goroutine(void *arg)
{
	CHECK_EQ(-EDEADLK, gs_stop());
	CHECK_EQ(-EBUSY, gs_start());
	CHECK_EQ(-EBUSY, gs_main(no_main, 0, NULL));
	gs_wg_done(arg);
}

static void *stop_thread(void *arg)
{
	*(int *)arg = gs_stop();
	return NULL;
}

static int stop_in_main(int argc, char **argv)
{
	pthread_t thread;
	int err = 0;

	(void)argc;
	(void)argv;
	CHECK_EQ(-EDEADLK, gs_stop());
	CHECK_EQ(-EBUSY, gs_start());
	CHECK_EQ(0, pthread_create(&thread, NULL, stop_thread, &err));
	CHECK_EQ(0, pthread_join(thread, NULL));
	CHECK_EQ(-EINVAL, err);
	return 4;
}

TEST_F(procs, refusals)
{
	gs_wg wg = GS_WG_INIT;

	EXPECT_EQ(-EINVAL, gs_stop());
	start(variant->n);
	EXPECT_EQ(-EBUSY, gs_start());
	EXPECT_EQ(-EBUSY, gs_main(no_main, 0, NULL));
	gs_wg_add(&wg, 1);
	go(from_goroutine, &wg);
	EXPECT_EQ(0, gs_wg_wait(&wg));
	EXPECT_EQ(0, gs_stop());
	EXPECT_EQ(-EINVAL, gs_stop());
	EXPECT_EQ(4, gs_main(stop_in_main, 0, NULL));
	setenv("GSCHED_BACKEND", "nonsense", 1);
	EXPECT_EQ(-EINVAL, gs_start());
	EXPECT_EQ(-EINVAL, gs_stop());
}

/* Of several that stop it one does. */
TEST_F(procs, one_stops)
{
	pthread_t t[THREADS];
	int err[THREADS], done = 0;

	start(variant->n);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, stop_thread, &err[i]));
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		EXPECT_TRUE(err[i] == 0 || err[i] == -EINVAL);
		done += !err[i];
	}
	EXPECT_EQ(1, done);
}

/* ------------------------------------------------------------------- those that exist */

static struct {
	gs_chan *chan, *sent;
	gs_mutex mutex;
	gs_wg wg, begun;
	int pipe[2];
} w;

static void wait_chan(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	gs_chan_recv(w.chan, NULL);
	CHECK(!"gone on");
}

static void wait_send(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	gs_chan_send(w.sent, NULL);
	CHECK(!"gone on");
}

static void wait_select(void *arg)
{
	struct gs_case c[2] = {
		{ .chan = w.chan, .dir = GS_RECV },
		{ .chan = w.sent, .dir = GS_SEND },
	};

	(void)arg;
	gs_wg_done(&w.begun);
	gs_select(c, 2);
	CHECK(!"gone on");
}

static void wait_mutex(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	gs_mutex_lock(&w.mutex);
	CHECK(!"gone on");
}

static void wait_wg(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	gs_wg_wait(&w.wg);
	CHECK(!"gone on");
}

static void wait_sleep(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	gs_sleep(3600 * 1000 * MS);
	CHECK(!"gone on");
}

static void wait_fd(void *arg)
{
	char c;

	(void)arg;
	gs_wg_done(&w.begun);
	gs_read(w.pipe[0], &c, 1);
	CHECK(!"gone on");
}

static void wait_pinned(void *arg)
{
	CHECK_EQ(0, gs_lock_thread());
	wait_chan(arg);
}

static void computes(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	for (;;) {
		for (volatile int i = 0; i < 10000; i++)
			;
		gs_yield();
	}
}

static void naps(void *arg)
{
	(void)arg;
	gs_wg_done(&w.begun);
	sleep_ns(50 * MS);
	gs_yield();
	CHECK(!"gone on");
}

static void blocks(void *arg)
{
	char c;

	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
	CHECK_EQ(1, read(w.pipe[0], &c, 1));
	gs_yield();
	CHECK(!"gone on");
}

static void (*const kinds[])(void *arg) = {
	wait_chan, wait_send, wait_select, wait_mutex, wait_wg, wait_sleep, wait_fd,
	wait_pinned, computes,
};

#define KINDS ((int)(sizeof(kinds) / sizeof(*kinds)))

static void begin_all(void)
{
	memset(&w, 0, sizeof(w));
	w.chan = gs_chan_new(0, 0);
	w.sent = gs_chan_new(0, 0);
	CHECK_EQ(0, pipe(w.pipe));
	CHECK_EQ(0, gs_mutex_trylock(&w.mutex));
	gs_wg_add(&w.wg, 1);
	gs_wg_add(&w.begun, 3 * KINDS);
	for (int i = 0; i < 3 * KINDS; i++)
		go(kinds[i % KINDS], NULL);
	CHECK_EQ(0, gs_wg_wait(&w.begun));
}

/* What they wait for outlives them, and may be used without them. */
static void use_all(void)
{
	struct gs_case c = { .chan = w.sent, .dir = GS_RECV };

	gs_try_select(&c, 1);
	gs_chan_try_send(w.chan, NULL);
	gs_chan_try_recv(w.sent, NULL);
	CHECK_EQ(0, gs_chan_close(w.chan));
	CHECK_EQ(0, gs_chan_close(w.sent));
	gs_mutex_unlock(&w.mutex);
	gs_wg_done(&w.wg);
	CHECK_EQ(1, write(w.pipe[1], "x", 1));
	gs_chan_unref(w.chan);
	gs_chan_unref(w.sent);
	close(w.pipe[0]);
	close(w.pipe[1]);
}

static void use_in_goroutine(void *arg)
{
	use_all();
	gs_wg_done(arg);
}

TEST_F_TIMEOUT(procs, waiting_ones_never_go_on, 60)
{
	for (int i = 0; i < 5; i++) {
		gs_wg wg = GS_WG_INIT;

		start(variant->n);
		begin_all();
		ASSERT_EQ(0, gs_stop());
		if (i % 2)
			use_all();
		start(variant->n);
		if (i % 2 == 0) {
			/* As many as there were: stacks that are given out again, if any. */
			for (int j = 0; j < 100; j++)
				go(nothing, NULL);
			gs_wg_add(&wg, 1);
			go(use_in_goroutine, &wg);
			EXPECT_EQ(0, gs_wg_wait(&wg));
		}
		play(20);
		ASSERT_EQ(0, gs_stop());
	}
}

#define ANEW 8

/* What the runtime's end leaves open. */
static int anew_fds[ANEW][2];

/* A descriptor's first wait asks the kernel, for whose answer it may then be too late. */
static void waits_anew(void *arg)
{
	int *fd = arg;

	for (;;) {
		CHECK_EQ(0, pipe(fd));
		CHECK_EQ(-ETIMEDOUT, gs_wait_fd_until(fd[0], POLLIN, gs_now() + 1));
		CHECK_EQ(0, gs_close(fd[0]));
		fd[0] = -1;
		close(fd[1]);
		fd[1] = -1;
	}
}

/* Nobody returns from a call with anything that the end has to do with. */
TEST_F_TIMEOUT(procs, no_results_of_the_end, 60)
{
	int64_t end = gs_now() + 5000 * MS;

	memset(anew_fds, -1, sizeof(anew_fds));
	for (int i = 0; go_on(i, TIMES(300), end); i++) {
		start(variant->n);
		for (int j = 0; j < ANEW; j++)
			go(waits_anew, anew_fds[j]);
		sleep_ns(i % 10 * MS);
		ASSERT_EQ(0, gs_stop());
		for (int j = 0; j < ANEW; j++) {
			close(anew_fds[j][0]);
			close(anew_fds[j][1]);
			anew_fds[j][0] = -1;
			anew_fds[j][1] = -1;
		}
	}
}

static int ready_pipe[2];

static void calls_poll(void)
{
	struct pollfd p = { .fd = ready_pipe[0], .events = POLLIN };

	CHECK_EQ(1, gs_poll(&p, 1));
}

static void calls_pread(void)
{
	char c;

	CHECK_EQ(-ESPIPE, gs_pread(ready_pipe[0], &c, 1, 0));
}

static void calls_pwrite(void)
{
	CHECK_EQ(-ESPIPE, gs_pwrite(ready_pipe[1], "", 1, 0));
}

static void calls_socket(void)
{
	CHECK_EQ(-EAFNOSUPPORT, gs_socket(AF_UNSPEC, SOCK_STREAM, 0));
}

static void calls_listen(void)
{
	CHECK_EQ(-EINVAL, gs_listen("nonsense", ":0"));
}

static void calls_dial(void)
{
	CHECK_EQ(-EINVAL, gs_dial("nonsense", ":0"));
}

static void calls_close(void)
{
	CHECK_EQ(-EBADF, gs_close(-1));
}

static void calls_waitpid(void)
{
	CHECK_EQ(-ECHILD, gs_waitpid(1, NULL, WNOHANG));
}

static void calls_read(void)
{
	char c;

	CHECK_EQ(0, gs_read(ready_pipe[0], &c, 0));
}

static void calls_readv(void)
{
	CHECK_EQ(0, gs_readv(ready_pipe[0], NULL, 0));
}

static void calls_writev(void)
{
	CHECK_EQ(0, gs_writev(ready_pipe[1], NULL, 0));
}

static void calls_sigwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(0, kill(getpid(), SIGUSR1));
	CHECK_EQ(SIGUSR1, gs_sigwait(&set, NULL));
}

static void (*const calls[])(void) = {
	calls_poll, calls_pread, calls_pwrite, calls_socket, calls_listen, calls_dial, calls_close,
	calls_waitpid, calls_read, calls_readv, calls_writev, calls_sigwait,
};

static void calls_on(void *arg)
{
	gs_wg_done(&w.begun);
	for (;;)
		calls[(intptr_t)arg]();
}

/* Calls that never have to wait, so that nothing else in them sees that it is the end. */
TEST_F_TIMEOUT(procs, who_never_waits_ends, 60)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, pipe(ready_pipe));
	ASSERT_EQ(1, write(ready_pipe[1], "x", 1));
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		start(variant->n);
		gs_wg_add(&w.begun, 1);
		go(calls_on, (void *)i);
		ASSERT_EQ(0, gs_wg_wait(&w.begun));
		sleep_ns(5 * MS);
		ASSERT_EQ(0, gs_stop()) {
			TH_LOG("call %zu", i);
		}
	}
	close(ready_pipe[0]);
	close(ready_pipe[1]);
}

static void yields(void *arg)
{
	(void)arg;
	for (;;)
		gs_yield();
}

/* A backend whose caller does not go on at once when the number of Ps has changed. */
static struct backend slow;
static int (*real_set_procs)(uint32_t n);
static bool procs_set;

static int slow_set_procs(uint32_t n)
{
	int err = real_set_procs(n);

	__atomic_store_n(&procs_set, true, __ATOMIC_RELEASE);
	sleep_ns(100 * MS);
	return err;
}

static void slow_down(void)
{
	slow = *rt.backend;
	real_set_procs = slow.set_procs;
	slow.set_procs = slow_set_procs;
	procs_set = false;
	rt.backend = &slow;
}

static void *more_procs_thread(void *arg)
{
	gs_set_maxprocs(*(int *)arg);
	return NULL;
}

/* Ps that appear while the runtime ends: who runs there leaves, too. */
TEST_F(procs, new_procs_of_the_end)
{
	int more = variant->n + 2;
	pthread_t thread;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "another backend, under those who use it");
#endif
	start(variant->n);
	slow_down();
	for (int i = 0; i < 20; i++)
		go(yields, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, more_procs_thread, &more));
	while (!__atomic_load_n(&procs_set, __ATOMIC_ACQUIRE))
		sleep_ns(MS);
	/* Until somebody has taken them. */
	sleep_ns(50 * MS);
	EXPECT_EQ(0, gs_stop());
	pthread_join(thread, NULL);
}

TEST_F_TIMEOUT(procs, blocked_ones_are_waited_for, 60)
{
	int err, blocked = 0;

	start(variant->n);
	gs_wg_add(&w.begun, 1);
	go(naps, NULL);
	gs_wg_wait(&w.begun);
	EXPECT_EQ(0, gs_stop());

	ASSERT_EQ(0, pipe(w.pipe));
	start(variant->n);
	go(blocks, &blocked);
	while (!__atomic_load_n(&blocked, __ATOMIC_ACQUIRE))
		sleep_ns(MS);
	EXPECT_EQ(-EBUSY, gs_stop());
	EXPECT_EQ(-EINVAL, gs_stop());
	EXPECT_EQ(1, write(w.pipe[1], "x", 1));
	/* Waits for it, too, and if the machine is slow once more. */
	for (int i = 0; i < 20 && (err = gs_start()); i++)
		EXPECT_EQ(-EBUSY, err);
	play(10);
	EXPECT_EQ(0, gs_stop());
}

/* ----------------------------------------------------------------------------- fork */

static void child_uses_it(int procs)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		alarm(20 * slowness());
		CHECK_EQ(-EINVAL, gs_go(nothing, NULL));
		CHECK_EQ(-EINVAL, gs_stop());
		start(procs);
		play(20);
		CHECK_EQ(0, gs_stop());
		CHECK_EQ(3, gs_main(no_main, 0, NULL));
		_exit(0);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
}

static void fork_in_goroutine(void *arg)
{
	child_uses_it(2);
	gs_wg_done(arg);
}

TEST_F_TIMEOUT(procs, fork, 60)
{
	gs_wg wg = GS_WG_INIT;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan: no threads after a multi-threaded fork");
#endif
	start(variant->n);
	play(20);
	child_uses_it(variant->n);
	gs_wg_add(&wg, 1);
	go(fork_in_goroutine, &wg);
	gs_wg_wait(&wg);
	play(20);
	EXPECT_EQ(0, gs_stop());
	child_uses_it(variant->n);
}

static bool fork_over, fork_starts;

static bool is_open(int fd)
{
	struct stat st;

	return !fstat(fd, &st);
}

/* @fd may have the number of one that the runtime has just closed. Return: its status. */
static int child_of_a_moment(int fd, bool starts)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		alarm(20 * slowness());
		CHECK(is_open(STDIN_FILENO));
		CHECK(is_open(fd));
		CHECK_EQ(NULL, gs_backend());
		if (starts)
			CHECK_EQ(3, gs_main(no_main, 0, NULL));
		CHECK(is_open(STDIN_FILENO));
		CHECK(is_open(fd));
		_exit(0);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	return status;
}

static void *fork_thread(void *arg)
{
	int n, fd;

	for (n = 0; !__atomic_load_n(&fork_over, __ATOMIC_RELAXED); n++) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		CHECK(fd >= 0);
		CHECK_EQ(0, child_of_a_moment(fd, fork_starts && n % 8 == 0));
		close(fd);
	}
	return arg;
}

/* Another thread starts and ends runtimes, or tries, as fast as it can. */
static void fork_while(void (*starts)(void), bool possible)
{
	int64_t end = gs_now() + 750 * MS;
	pthread_t thread;

	fork_over = false;
	fork_starts = possible;
	if (!is_open(STDIN_FILENO))
		CHECK_EQ(STDIN_FILENO, open("/dev/null", O_RDONLY));
	CHECK_EQ(0, pthread_create(&thread, NULL, fork_thread, NULL));
	while (gs_now() < end)
		starts();
	__atomic_store_n(&fork_over, true, __ATOMIC_RELAXED);
	CHECK_EQ(0, pthread_join(thread, NULL));
}

static void start_and_end(void)
{
	CHECK_EQ(3, gs_main(no_main, 0, NULL));
}

static void start_in_vain(void)
{
	CHECK_EQ(-EINVAL, gs_start());
}

/* The child knows nothing of a start or an end that was under way. */
TEST_F_TIMEOUT(procs, fork_in_start_and_end, 60)
{
	char n[16];

	if (SANITIZED)
		SKIP(return, "a sanitizer's own locks may be another thread's at the fork");
	snprintf(n, sizeof(n), "%d", variant->n);
	setenv("GSCHED_MAXPROCS", n, 1);
	fork_while(start_and_end, true);
	setenv("GSCHED_BACKEND", "nonsense", 1);
	fork_while(start_in_vain, false);
}

/* Locks that the parent's threads held at the fork are free in the child. */
static void *in_locks(void *arg)
{
	void (*fn)(void) = arg;

	while (!__atomic_load_n(&fork_over, __ATOMIC_RELAXED))
		fn();
	return NULL;
}

static void done(void *arg)
{
	gs_wg_done(arg);
}

static void go_all(int n)
{
	gs_wg wg = GS_WG_INIT;

	gs_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		go(done, &wg);
	CHECK_EQ(0, gs_wg_wait(&wg));
}

/* A thread's goroutines come from the shared list, and go to the global queue. */
static void go_some(void)
{
	go_all(20);
}

static void trace_once(void)
{
	int err = gs_trace_start(1);

	if (!err)
		gs_trace_stop(-1);
}

static int play_in_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	play(5);
	/* So many that some of them, when they have ended, go to the shared list. */
	go_all(100);
	CHECK_EQ(0, gs_trace_start(1));
	CHECK_EQ(-EBADF, gs_trace_stop(-1));
	return 3;
}

static void fork_beside(void (*fn)(void), int64_t ns)
{
	int64_t end = gs_now() + ns;
	pthread_t t[2];
	int status;
	pid_t pid;

	fork_over = false;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(0, pthread_create(&t[i], NULL, in_locks, fn));
	for (int i = 0; go_on(i, 1000, end); i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			alarm(20 * slowness());
			_exit(gs_main(play_in_main, 0, NULL) != 3);
		}
		CHECK_EQ(pid, waitpid(pid, &status, 0));
		CHECK_EQ(0, status);
	}
	__atomic_store_n(&fork_over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(0, pthread_join(t[i], NULL));
}

TEST_F_TIMEOUT(procs, fork_in_locks, 60)
{
	if (SANITIZED)
		SKIP(return, "a sanitizer's own locks may be another thread's at the fork");
	start(variant->n);
	fork_beside(go_some, 1500 * MS);
	fork_beside(trace_once, 500 * MS);
	EXPECT_EQ(0, gs_stop());
}

/* ---------------------------------------------------------------------------- storm */

static int over;
static gs_chan *storm_chan;

static void storm_g(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	int n = 0;

	for (int i = 0; i < 10; i++) {
		switch (rnd(&seed) % 5) {
		case 0:
			gs_chan_recv_until(storm_chan, &n, gs_now() + MS);
			break;
		case 1:
			gs_chan_send_until(storm_chan, &n, gs_now() + MS);
			break;
		case 2:
			gs_sleep(rnd(&seed) % 1000 * 1000);
			break;
		case 3:
			gs_yield();
			break;
		case 4:
			gs_chan_recv(storm_chan, &n);
			break;
		}
	}
}

/* It does not know whether there is a runtime. */
static void *storm_thread(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	int n = 0, err;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		err = gs_go(storm_g, (void *)(uintptr_t)rnd(&seed));
		CHECK(!err || err == -EINVAL);
		gs_chan_try_send(storm_chan, &n);
		gs_chan_try_recv(storm_chan, &n);
		gs_chan_send_until(storm_chan, &n, gs_now() + 100000);
		gs_chan_recv_until(storm_chan, &n, gs_now() + 100000);
		gs_set_maxprocs(1 + (int)(rnd(&seed) % 4));
		/* Each goroutine that has not ended costs memory to the last. */
		sleep_ns(200000);
	}
	return NULL;
}

TEST_F_TIMEOUT(procs, storm, 60)
{
	unsigned int seed = test_seed();
	pthread_t t[THREADS];

	storm_chan = gs_chan_new(sizeof(int), 2);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, storm_thread,
					    (void *)(uintptr_t)(seed + i)));
	for (int i = 0; i < TIMES(30); i++) {
		start(variant->n);
		sleep_ns(rnd(&seed) % 3000000);
		ASSERT_EQ(0, gs_stop());
		sleep_ns(rnd(&seed) % 100000);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * Threads: they come when goroutines block, they leave when there is nothing to do,
 * there is a most of them; and GSCHED_DEBUG, by which the tests reach all that soon.
 */
#include "lib_stderr.h"
#include "clock.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Waits until there are at most @n threads. Return: how many there are. */
static int threads_fall_to(int n)
{
	int64_t end = gs_now() + 20000 * MS;
	int now;

	while ((now = threads()) > n && gs_now() < end)
		gs_sleep(20 * MS);
	return now;
}

static int module(void)
{
	return !strcmp(gs_backend(), "module");
}

/* ---------------------------------------------------------------------- they leave */

static int running, release, made;
static pthread_key_t slow_end;

static void occupy(void *arg)
{
	if (slow_end)
		CHECK_EQ(0, pthread_setspecific(slow_end, &running));
	__atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&release, __ATOMIC_RELAXED))
		sleep_ns(MS);
	gs_wg_done(arg);
}

/*
 * Before the eight Ms are idle: who is does not notice that Ps become fewer. A thread,
 * since a goroutine could lose its P by this to one of the eight.
 */
static void *release_them(void *procs)
{
	int64_t end = gs_now() + 10000 * MS;

	while (__atomic_load_n(&running, __ATOMIC_RELAXED) < 8) {
		CHECK(gs_now() < end);
		usleep(1000);
	}
	made = threads() - 1;
	gs_set_maxprocs(*(int *)procs);
	__atomic_store_n(&release, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Eight threads at least, by as many Ps; then there are only @procs Ps left. */
static int make_threads(int procs)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread;
	int i;

	running = release = 0;
	gs_set_maxprocs(9);
	CHECK_EQ(0, pthread_create(&thread, NULL, release_them, &procs));
	gs_wg_add(&wg, 8);
	for (i = 0; i < 8; i++)
		go(occupy, &wg);
	gs_wg_wait(&wg);
	CHECK_EQ(0, pthread_join(thread, NULL));
	return made;
}

/* gs_main's thread; TSan has one of its own, sometimes two after a fork. */
#ifdef __SANITIZE_THREAD__
#define OTHERS		2
#define MOST_OTHERS	3
#else
#define OTHERS		1
#define MOST_OTHERS	1
#endif

/* Of the idle ones as many stay as there are Ps; another may be busy. */
static void leave(void)
{
	int procs = gs_set_maxprocs(0), few;
	int most = make_threads(procs);

	CHECK(most >= 8 + OTHERS);
	few = threads_fall_to(MOST_OTHERS + 1 + procs);
	printf("# %d threads, later %d\n", most, few);
	fflush(stdout);
	CHECK(few <= MOST_OTHERS + 1 + procs);
	gs_sleep(1000 * MS);
	CHECK(threads() >= OTHERS + procs);
}

TEST_F(procs, leave_when_idle)
{
	setenv("GSCHED_DEBUG", "leave=500", 1);
	EXPECT_EQ(0, run_on(variant->n, leave));
}

static void stay(void)
{
	int most = make_threads(1);

	gs_sleep(1000 * MS);
	CHECK_EQ(most, threads());
}

TEST(stay_when_told_to)
{
	setenv("GSCHED_DEBUG", "leave=0", 1);
	EXPECT_EQ(0, run_on(1, stay));
}

/* The one that would have woken up for the timer may be among those that leave. */
static void timer_outlives(void)
{
	int64_t end, late;

	make_threads(2);
	end = gs_now() + 1500 * MS;
	CHECK_EQ(0, gs_sleep_until(end));
	late = gs_now() - end;
	printf("# %lld us late, %d threads\n", (long long)late / 1000, threads());
	fflush(stdout);
	CHECK(late < 500 * MS);
}

TEST(timers_are_taken_over)
{
	setenv("GSCHED_DEBUG", "leave=100", 1);
	EXPECT_EQ(0, run_on(8, timer_outlives));
}

/* They come and go all the time, while goroutines run, block and sleep. */
static void restless(void *arg)
{
	unsigned int r = (unsigned int)gs_id();
	int i;

	for (i = 0; i < TIMES(300); i++) {
		switch (rnd(&r) % 4) {
		case 0:
			sleep_ns(rnd(&r) % 1000000);
			break;
		case 1:
			gs_yield();
			break;
		default:
			gs_sleep(rnd(&r) % 4000000);
		}
	}
	gs_wg_done(arg);
}

static void churn(void)
{
	unsigned int r = test_seed();
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, 10);
	for (i = 0; i < 10; i++)
		go(restless, &wg);
	for (i = 0; i < TIMES(200); i++) {
		gs_set_maxprocs(1 + rnd(&r) % 6);
		gs_sleep(rnd(&r) % 4000000);
	}
	gs_wg_wait(&wg);
}

TEST(come_and_go)
{
	setenv("GSCHED_DEBUG", "leave=1", 1);
	EXPECT_EQ(0, run_on(4, churn));
}

/* ------------------------------------------------------------- seen from outside */

/* All goroutines wait, and no thread leaves before the last one. */
static void deadlock_then(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	make_threads(1);
	gs_chan_recv(c, NULL);
}

/* Ms have left, but their threads take a while to end. */
static void end_slowly(void *arg)
{
	(void)arg;
	sleep_ns(500 * MS);
}

static void deadlock_after(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	/* The first key may be 0, which is "none" here. */
	CHECK_EQ(0, pthread_key_create(&slow_end, end_slowly));
	if (!slow_end)
		CHECK_EQ(0, pthread_key_create(&slow_end, end_slowly));
	make_threads(1);
	gs_sleep(200 * MS);
	gs_chan_recv(c, NULL);
}

/* They leave in just this moment. */
static void deadlock_while(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	make_threads(1);
	gs_sleep(20 * MS + gs_now() % (20 * MS));
	gs_chan_recv(c, NULL);
}

static void expect_deadlock(struct __test_metadata *_metadata, void (*body)(void))
{
	char buf[4096];
	int status = child_stderr(body, 8, buf, sizeof(buf));

	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		TH_LOG("status %x: %s", status, buf);
	EXPECT_TRUE(strstr(buf, "gsched: fatal: all goroutines are asleep - deadlock!\n"))
		TH_LOG("%s", buf);
}

TEST(deadlock_is_told_nevertheless)
{
	int i;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan has a thread of its own, which might wake somebody");
#endif
	setenv("GSCHED_DEBUG", "leave=20", 1);
	expect_deadlock(_metadata, deadlock_then);
	expect_deadlock(_metadata, deadlock_after);
	for (i = 0; i < 10; i++)
		expect_deadlock(_metadata, deadlock_while);
}

/* ----------------------------------------------------------------- not too many */

static int blocked, most_blocked;

static void block_a_while(void *arg)
{
	int n = __atomic_add_fetch(&blocked, 1, __ATOMIC_RELAXED);
	int most = __atomic_load_n(&most_blocked, __ATOMIC_RELAXED);

	while (n > most && !__atomic_compare_exchange_n(&most_blocked, &most, n, 0,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	sleep_ns(100 * MS);
	__atomic_sub_fetch(&blocked, 1, __ATOMIC_RELAXED);
	gs_wg_done(arg);
}

static void block_all(int n)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++)
		go(block_a_while, &wg);
	gs_wg_wait(&wg);
}

static void capped(void)
{
	block_all(20);
	block_all(20);
	printf("# at most %d blocked at a time\n", most_blocked);
	fflush(stdout);
	CHECK(most_blocked <= 5);
	CHECK(most_blocked >= 4);
	CHECK(threads() <= 5 + OTHERS);
}

static const char cap_message[] =
	"gsched: 5 threads are blocked in system calls or page faults; other goroutines wait for them\n";

static int module_and(unsigned int features)
{
	return module() && (gs_features() & features) == features;
}

static unsigned int features;

static void learn_features(void)
{
	features = module_and(0) ? gs_features() : 0;
}

TEST(cap)
{
	char buf[4096], *first;
	int status;

	ASSERT_EQ(0, run_on(1, learn_features));
	if (!(features & GS_FEAT_HANDOFF))
		SKIP(return, "no hand-off here");
	setenv("GSCHED_DEBUG", "maxms=5", 1);
	status = child_stderr(capped, 1, buf, sizeof(buf));
	EXPECT_EQ(0, status)
		TH_LOG("%s", buf);
	first = strstr(buf, cap_message);
	ASSERT_TRUE(first)
		TH_LOG("%s", buf);
	EXPECT_FALSE(strstr(first + 1, cap_message))
		TH_LOG("%s", buf);
}

static void not_capped(void)
{
	block_all(20);
	printf("# at most %d blocked at a time\n", most_blocked);
	fflush(stdout);
	CHECK(most_blocked > 5);
}

TEST(no_cap)
{
	char buf[4096];

	ASSERT_EQ(0, run_on(1, learn_features));
	if (!(features & GS_FEAT_HANDOFF))
		SKIP(return, "no hand-off here");
	unsetenv("GSCHED_DEBUG");
	EXPECT_EQ(0, child_stderr(not_capped, 1, buf, sizeof(buf)));
	EXPECT_STREQ("", buf);
}

/* ------------------------------------------------------------------ GSCHED_DEBUG */

static void nothing(void)
{
}

static const char *const good[] = {
	"", ",", "nohandoff", "nohold,nopreempt", "nohandoff,nohold,nopreempt,", "slice=20",
	"minrun=0.25", "minrun=.5", "slice=1000,minrun=1000", "slice=1.,minrun=1",
	"slice=2.5,minrun=0.3000000001", "maxms=1", "maxms=16384", "leave=0", "leave=1000000",
	"slice=30,leave=7,maxms=100,nopreempt",
};

TEST(settings_that_are_good)
{
	char buf[4096];
	unsigned int i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		setenv("GSCHED_DEBUG", good[i], 1);
		EXPECT_EQ(0, child_stderr(nothing, 2, buf, sizeof(buf)))
			TH_LOG("%s", good[i]);
		EXPECT_STREQ("", buf)
			TH_LOG("%s", good[i]);
	}
}

/* The setting, and the part of it that the message names. */
static const char *const bad[][2] = {
	{ "x", "x" }, { "nohandoff=1", "nohandoff=1" }, { "nohandof", "nohandof" },
	{ "nohandofff", "nohandofff" }, { "nohold nopreempt", "nohold nopreempt" },
	{ "slice", "slice" }, { "slice=", "slice=" }, { "slice=.", "slice=." },
	{ "slice=ten", "slice=ten" }, { "slice=10ms", "slice=10ms" }, { "slice=-1", "slice=-1" },
	{ "slice=0", "slice=0" }, { "slice=0.2499", "slice=0.2499" },
	{ "slice=1000.1", "slice=1000.1" }, { "slice=1.2.3", "slice=1.2.3" },
	{ "slice=99999999999999999999", "slice=99999999999999999999" },
	{ "slice=18446744073709.551616", "slice=18446744073709.551616" },
	{ "minrun=0.2", "minrun=0.2" }, { "nohold,minrun=,maxms=5", "minrun=" },
	{ "maxms=0", "maxms=0" }, { "maxms=16385", "maxms=16385" }, { "maxms=1.5", "maxms=1.5" },
	{ "maxms=4294967297", "maxms=4294967297" }, { "leave=x", "leave=x" },
	{ "leave=1000001", "leave=1000001" }, { "leave=5 ", "leave=5 " },
};

static void expect_refused(struct __test_metadata *_metadata, const char *s, const char *says)
{
	char buf[4096], want[256];
	int status;

	setenv("GSCHED_DEBUG", s, 1);
	snprintf(want, sizeof(want), "gsched: GSCHED_DEBUG: %s\n", says);
	status = child_stderr(nothing, 2, buf, sizeof(buf));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == EINVAL)
		TH_LOG("%s", s);
	EXPECT_STREQ(want, buf);
}

TEST(settings_that_are_bad)
{
	char says[256];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(says, sizeof(says), "not understood: %s", bad[i][1]);
		expect_refused(_metadata, bad[i][0], says);
	}
	expect_refused(_metadata, "minrun=11", "minrun is longer than slice");
	expect_refused(_metadata, "slice=0.5", "minrun is longer than slice");
}

/* --------------------------------------------------- what is in force, and the times */

static unsigned int features_with(const char *s)
{
	features = ~0U;
	setenv("GSCHED_DEBUG", s, 1);
	CHECK_EQ(0, run_on(1, learn_features));
	return features;
}

TEST(features_in_force)
{
	unsigned int all;

	EXPECT_EQ(0, gs_features());
	all = features_with("");
	EXPECT_EQ(all & GS_FEAT_HOLD, features_with("nohandoff"));
	EXPECT_EQ(all & GS_FEAT_HANDOFF, features_with("nohold"));
	EXPECT_EQ(all & ~GS_FEAT_PREEMPT, features_with("nopreempt"));
	EXPECT_EQ(0, features_with("nohandoff,nohold"));
}

static void set_times(void)
{
	int on = module() ? 0 : -ENOTSUP, wrong = module() ? -EINVAL : -ENOTSUP;

	CHECK_EQ(on, gs_set_slice(0, 0));
	CHECK_EQ(on, gs_set_slice(20 * MS, 2 * MS));
	CHECK_EQ(on, gs_set_slice(0, 20 * MS));
	CHECK_EQ(on, gs_set_slice(1000 * MS, MS / 4));
	CHECK_EQ(on, gs_set_slice(MS / 4, 0));
	CHECK_EQ(wrong, gs_set_slice(MS / 4 - 1, 0));
	CHECK_EQ(wrong, gs_set_slice(0, MS / 4 - 1));
	CHECK_EQ(wrong, gs_set_slice(0, MS / 4 + 1));
	CHECK_EQ(wrong, gs_set_slice(1000 * MS + 1, 0));
	CHECK_EQ(-EINVAL, gs_set_slice(-1, 0));
	CHECK_EQ(-EINVAL, gs_set_slice(0, -1));
}

TEST(slice_and_minimum_run)
{
	EXPECT_EQ(-EINVAL, gs_set_slice(0, 0));
	unsetenv("GSCHED_DEBUG");
	EXPECT_EQ(0, run_on(1, set_times));
}

TEST_HARNESS_MAIN

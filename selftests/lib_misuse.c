// SPDX-License-Identifier: GPL-2.0
/*
 * Calls where they may not be made: those that stop the program say why, and who; the
 * others return an error or do nothing. (What locks say is tested with each lock.)
 */
#include "lib_stderr.h"

#include <errno.h>
#include <pthread.h>

#include "../userlib/sched.h"

/* ------------------------------------------------------------- the program stops */

static bool stops_saying(void (*body)(void), const char *what)
{
	char buf[8192];
	int status = child_stderr(body, 0, buf, sizeof(buf));

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (strstr(buf, what))
		return true;
	fprintf(stderr, "# not \"%s\" but: %s\n", what, buf);
	return false;
}

TEST(goexit_of_a_thread)
{
	EXPECT_TRUE(stops_saying(gs_goexit, "gsched: fatal: gs_goexit outside of a goroutine\n"));
}

static void *exit_thread(void *arg)
{
	(void)arg;
	gs_goexit();
}

static void join_exit_thread(void)
{
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, exit_thread, NULL));
	pthread_join(t, NULL);
}

static void goexit_beside(void)
{
	run_on(2, join_exit_thread);
}

TEST(goexit_of_a_thread_beside_goroutines)
{
	EXPECT_TRUE(stops_saying(goexit_beside, "gs_goexit outside of a goroutine"));
}

/* The name of who did it. */
static void wait_in_section(void)
{
	gs_chan *c = gs_chan_new(0, 0);

	gs_set_name("deep diver");
	sec_enter();
	gs_chan_recv(c, NULL);
}

static void run_wait_in_section(void)
{
	run_on(1, wait_in_section);
}

TEST(wait_in_a_nested_section)
{
	EXPECT_TRUE(stops_saying(run_wait_in_section, "nested section"));
	EXPECT_TRUE(stops_saying(run_wait_in_section, "deep diver"));
}

static void select_in_section(void)
{
	struct gs_case c = { .chan = gs_chan_new(0, 0), .dir = GS_RECV };

	sec_enter();
	gs_select(&c, 1);
}

static void run_select_in_section(void)
{
	run_on(1, select_in_section);
}

TEST(select_in_a_nested_section)
{
	EXPECT_TRUE(stops_saying(run_select_in_section, "nested section"));
}

static void lock_outside(void)
{
	static struct rt_lock lock;

	rt_lock(&lock);
}

static void run_lock_outside(void)
{
	run_on(1, lock_outside);
}

/* The library's own mistake, so only its builds for tests look. */
TEST(runtime_lock_outside_of_a_section)
{
	if (!SANITIZED)
		SKIP(return, "not looked for in this build");
	EXPECT_TRUE(stops_saying(run_lock_outside, "taken outside of a section"));
}

/* ------------------------------------------------------------------ no runtime runs */

static int never(void *arg)
{
	(void)arg;
	CHECK(false);
}

static void never_ever(void *arg)
{
	never(arg);
}

TEST(no_runtime)
{
	gs_group group = GS_GROUP_INIT;

	EXPECT_EQ(-EINVAL, gs_go(never_ever, NULL));
	EXPECT_EQ(-EINVAL, gs_group_go(&group, never, NULL));
	/* Nobody has joined. */
	EXPECT_EQ(0, gs_group_wait(&group));
	EXPECT_EQ(-EINVAL, gs_set_maxprocs(0));
	EXPECT_EQ(0, gs_features());
	EXPECT_EQ(NULL, gs_backend());
	EXPECT_EQ(-EINVAL, gs_trace_stop(1));
}

/* ------------------------------------------------------------ threads, no goroutines */

static void *be_no_goroutine(void *arg)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	gs_group group = GS_GROUP_INIT;
	struct gs_case one = { .chan = c, .recv = NULL, .dir = GS_RECV };
	int64_t t = gs_now() + 10 * MS;
	int v = 1;

	(void)arg;
	gs_yield();
	gs_set_name("nobody");
	CHECK_EQ(0, gs_cancelled());
	CHECK_EQ(0, gs_cancel_shield(1));
	CHECK_EQ(0, gs_cancel_shield(0));
	CHECK_EQ(0, gs_sleep(MS));
	CHECK_EQ(-ETIMEDOUT, gs_chan_send_until(c, &v, gs_now() + MS));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(&one, 1, gs_now() + MS));
	CHECK_EQ(-EAGAIN, gs_try_select(&one, 1));
	CHECK_EQ(0, gs_sleep_until(t));
	CHECK(gs_now() >= t);
	CHECK_EQ(0, gs_group_wait(&group));
	gs_chan_unref(c);
	return NULL;
}

TEST(threads_without_a_runtime)
{
	be_no_goroutine(NULL);
}

TEST_GO(threads_beside_goroutines)
{
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, be_no_goroutine, NULL));
	CHECK_EQ(0, pthread_join(t, NULL));
}

/* ------------------------------------------------------------------- goroutines */

static int nested_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CHECK(false);
}

TEST_GO(main_in_main)
{
	CHECK_EQ(-EBUSY, gs_main(nested_main, 0, NULL));
}

/* A goroutine that is in no group is not cancelled, and shields nothing. */
TEST_GO(no_group)
{
	CHECK_EQ(0, gs_cancelled());
	CHECK_EQ(0, gs_cancel_shield(1));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(NULL, NULL, gs_now() + MS));
}

static int waits_for_ever(void *arg)
{
	return gs_chan_recv(arg, NULL);
}

/* Started in a group that has been cancelled: it does not wait. */
TEST_GO(late_for_a_cancelled_group)
{
	gs_group group = GS_GROUP_INIT;

	gs_group_cancel(&group);
	CHECK_EQ(0, gs_group_go(&group, waits_for_ever, NULL));
	CHECK_EQ(-ECANCELED, gs_group_wait(&group));
	/* It is as new. */
	CHECK_EQ(0, gs_group_wait(&group));
}

TEST_HARNESS_MAIN

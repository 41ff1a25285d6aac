// SPDX-License-Identifier: GPL-2.0
/* gs_info(): what is in force, and why. */
#include "lib_check.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct gs_info info;

static int ask(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	memset(&info, 0xff, sizeof(info));
	return gs_info(&info, sizeof(info));
}

FIXTURE(info) { char unused; };

FIXTURE_SETUP(info)
{
	self->unused = 0;
	unsetenv("GSCHED_MAXPROCS");
	unsetenv("GSCHED_BACKEND");
	unsetenv("GSCHED_DEBUG");
}

FIXTURE_TEARDOWN(info) { self->unused = 0; }

TEST_F(info, portable_as_told)
{
	setenv("GSCHED_BACKEND", "epoll", 1);
	ASSERT_EQ(0, gs_main(ask, 0, NULL));
	EXPECT_STREQ("epoll", info.backend);
	EXPECT_STREQ("GSCHED_BACKEND=epoll", info.backend_why);
	EXPECT_EQ(0, info.features);
	EXPECT_STREQ("the portable backend has none of them", info.features_why);
	EXPECT_EQ(0, info.reserved);
}

static char why[200];

static int copy_why(int argc, char **argv)
{
	int err = ask(argc, argv);

	snprintf(why, sizeof(why), "%s", info.backend_why);
	return err;
}

/* No more descriptors can be opened, at first: so the device cannot. */
static int without_device(int argc, char **argv)
{
	struct rlimit old, none;
	int err;

	(void)argc;
	(void)argv;
	if (getrlimit(RLIMIT_NOFILE, &old))
		return -errno;
	none = old;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	err = gs_main(copy_why, 0, NULL);
	setrlimit(RLIMIT_NOFILE, &old);
	return err;
}

TEST_F(info, portable_for_want_of_a_device)
{
	if (!access("/dev/gsched", F_OK))
		SKIP(return, "there is one");
	ASSERT_EQ(0, gs_main(copy_why, 0, NULL));
	EXPECT_STREQ("epoll", info.backend);
	EXPECT_STREQ("/dev/gsched: No such file or directory, so the portable backend", why);
	/* Nothing to open the portable backend with, either. */
	EXPECT_EQ(-EMFILE, without_device(0, NULL));
}

TEST_F(info, portable_for_want_of_rights)
{
	if (access("/dev/gsched", F_OK) || geteuid())
		SKIP(return, "no device whose owner we are");
	ASSERT_EQ(0, chmod("/dev/gsched", 0));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(0, gs_main(copy_why, 0, NULL));
	ASSERT_EQ(0, seteuid(0));
	chmod("/dev/gsched", 0666);
	EXPECT_STREQ("epoll", info.backend);
	EXPECT_STREQ("/dev/gsched: Permission denied, so the portable backend", why);
}

TEST_F(info, module)
{
	if (access("/dev/gsched", R_OK | W_OK))
		SKIP(return, "no module");
	ASSERT_EQ(0, gs_main(copy_why, 0, NULL));
	EXPECT_STREQ("module", info.backend);
	EXPECT_STREQ("/dev/gsched can be opened", why);
	setenv("GSCHED_BACKEND", "module", 1);
	ASSERT_EQ(0, gs_main(copy_why, 0, NULL));
	EXPECT_STREQ("GSCHED_BACKEND=module", why);
}

static char features[200];

static int copy_features(int argc, char **argv)
{
	int err = ask(argc, argv);

	snprintf(features, sizeof(features), "%s", info.features_why);
	return err ? err : (int)(info.features ^ gs_features());
}

TEST_F(info, features_of_the_module)
{
	unsigned int all;

	if (access("/dev/gsched", R_OK | W_OK))
		SKIP(return, "no module");
	ASSERT_EQ(0, gs_main(copy_features, 0, NULL));
	all = info.features;
	EXPECT_TRUE(all & GS_FEAT_HANDOFF);
	EXPECT_STREQ(all & GS_FEAT_PREEMPT ? "" :
		     "the module cannot use the kernel's task_work_add", features);
	setenv("GSCHED_DEBUG", "nohandoff,nopreempt", 1);
	ASSERT_EQ(0, gs_main(copy_features, 0, NULL));
	EXPECT_EQ(all & GS_FEAT_HOLD, info.features);
	EXPECT_STREQ("GSCHED_DEBUG=nohandoff,nopreempt", features);
	setenv("GSCHED_DEBUG", "nohold", 1);
	ASSERT_EQ(0, gs_main(copy_features, 0, NULL));
	EXPECT_EQ(GS_FEAT_HANDOFF, info.features);
	EXPECT_STREQ("GSCHED_DEBUG=nohold", features);
}

static void wait_for_ever(void *arg)
{
	gs_chan_recv(arg, NULL);
}

static void end(void *arg)
{
	(void)arg;
}

static uint64_t goroutines(void)
{
	CHECK_EQ(0, gs_info(&info, sizeof(info)));
	return info.goroutines;
}

/* An end is seen a moment after it. */
static void await_goroutines(uint64_t n)
{
	int64_t give_up = gs_now() + 20000 * MS;

	while (goroutines() != n) {
		CHECK(gs_now() < give_up);
		gs_sleep(MS / 10);
	}
}

TEST_GO(numbers)
{
	gs_chan *c = gs_chan_new(0, 0);
	int i, procs = gs_set_maxprocs(0);

	CHECK_EQ(1, goroutines());
	CHECK_EQ(procs, info.procs);
	CHECK(info.threads >= 1);
	CHECK(!strcmp("GSCHED_MAXPROCS", info.procs_why));
	for (i = 0; i < 300; i++)
		go(wait_for_ever, c);
	CHECK_EQ(301, goroutines());
	/* Dead ones wait for their next life in several places. */
	for (i = 0; i < 1000; i++)
		go(end, NULL);
	await_goroutines(301);
	gs_chan_close(c);
	await_goroutines(1);
	for (i = 0; i < 200; i++)
		go(end, NULL);
	await_goroutines(1);
	gs_set_maxprocs(procs + 3);
	CHECK_EQ(0, gs_info(&info, sizeof(info)));
	CHECK_EQ(procs + 3, info.procs);
	CHECK(!strcmp("gs_set_maxprocs()", info.procs_why));
	gs_chan_unref(c);
}

static int stop;

static void churn(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		go(end, NULL);
		gs_yield();
	}
	gs_wg_done(arg);
}

/* While goroutines come and go the number is near what it is. */
TEST_GO(while_they_come_and_go)
{
	int64_t until = gs_now() + 200 * MS;
	gs_wg wg = GS_WG_INIT;
	int i;

	stop = 0;
	gs_wg_add(&wg, 5);
	for (i = 0; i < 5; i++)
		go(churn, &wg);
	while (gs_now() < until) {
		uint64_t n = goroutines();

		CHECK(n >= 1 && n < 10000);
		gs_yield();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	await_goroutines(1);
}

static int wrong_size(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CHECK_EQ(-EINVAL, gs_info(&info, 0));
	CHECK_EQ(-EINVAL, gs_info(&info, sizeof(info) - 1));
	CHECK_EQ(-EINVAL, gs_info(&info, sizeof(info) + 1));
	return 0;
}

TEST_F(info, errors)
{
	EXPECT_EQ(-EINVAL, gs_info(&info, sizeof(info)));
	EXPECT_EQ(0, gs_main(wrong_size, 0, NULL));
	EXPECT_EQ(-EINVAL, gs_info(&info, sizeof(info)));
}

TEST_HARNESS_MAIN

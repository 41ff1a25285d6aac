// SPDX-License-Identifier: GPL-2.0
/*
 * errno around calls in which a goroutine changes its thread: with GS_REDEFINE_ERRNO it
 * is the errno of the thread that the goroutine runs on.
 */
#define GS_REDEFINE_ERRNO
#include "lib_check.h"

static gs_chan *to_mover, *from_mover;
static pid_t was, is;

/* One function, in which a compiler would keep the address of errno. */
static __attribute__((noinline)) void move(void)
{
	errno = ENOENT;
	was = gettid();
	CHECK_EQ(0, gs_chan_send(from_mover, NULL));
	CHECK_EQ(1, gs_chan_recv(to_mover, NULL));
	is = gettid();
	CHECK(close(-1) < 0 && errno == EBADF);
	errno = 0;
	CHECK(close(-1) < 0 && errno == EBADF);
}

static void mover(void *arg)
{
	(void)arg;
	move();
	CHECK_EQ(0, gs_chan_send(from_mover, NULL));
}

/*
 * The caller keeps a thread for itself, and its errno. If it is the one on which the other
 * goroutine was, that goes on on another thread. Return: it was so.
 */
static bool moved(void)
{
	bool same;

	go(mover, NULL);
	CHECK_EQ(1, gs_chan_recv(from_mover, NULL));
	CHECK_EQ(0, gs_lock_thread());
	same = gettid() == was;
	errno = EDOM;
	CHECK_EQ(0, gs_chan_send(to_mover, NULL));
	CHECK_EQ(1, gs_chan_recv(from_mover, NULL));
	CHECK_EQ(0, gs_unlock_thread());
	if (same)
		CHECK(is != was);
	return same;
}

TEST_GO(is_the_threads_own)
{
	int64_t end = gs_now() + 20000 * MS;
	int times = 0;

	to_mover = gs_chan_new(0, 0);
	from_mover = gs_chan_new(0, 0);
	while (times < 20) {
		times += moved();
		CHECK(gs_now() < end);
	}
	gs_chan_unref(to_mover);
	gs_chan_unref(from_mover);
}

TEST_GO(location)
{
	errno = EDOM;
	CHECK_EQ(EDOM, *gs_errno_location());
	*gs_errno_location() = 0;
	CHECK_EQ(0, errno);
}

TEST_HARNESS_MAIN

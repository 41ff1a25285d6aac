// SPDX-License-Identifier: GPL-2.0
/* Lanes: who computes, who stays on a thread, who changes how all the others run. */
#include "lanes.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* Preempted anywhere, with any register in use: the results stay right. */
static double compute(unsigned int n)
{
	double x = 1.0, sum = 0.0;

	for (unsigned int i = 1; i <= n; i++) {
		sum += x / (double)i;
		x = -x;
	}
	return sum;
}

void lane_hog(struct lane *lane, unsigned int seed)
{
	double expected[8];

	for (unsigned int i = 0; i < 8; i++)
		expected[i] = compute((i + 1) * 20000);
	while (!lanes_end()) {
		unsigned int i = rnd(&seed, 8);

		soak_must(compute((i + 1) * 20000) == expected[i]);
		soak_step(lane);
		if (rnd(&seed, 50) == 0)
			gs_yield();
	}
}

static __thread unsigned int of_this_thread;

void lane_locked(struct lane *lane, unsigned int seed)
{
	pid_t tid;

	while (!lanes_end()) {
		soak_must(gs_lock_thread() == 0);
		tid = syscall(SYS_gettid);
		of_this_thread = seed;
		for (unsigned int n = rnd(&seed, 5); n; n--) {
			unsigned int mine = of_this_thread;

			gs_sleep(rnd(&seed, 2000000));
			soak_must(syscall(SYS_gettid) == tid && of_this_thread == mine);
		}
		soak_must(gs_unlock_thread() == 0);
		gs_yield();
		soak_step(lane);
	}
}

void lane_procs(struct lane *lane, unsigned int seed)
{
	int n;

	while (!lanes_end()) {
		n = gs_set_maxprocs(1 + rnd(&seed, 5));
		/* -EINVAL: the runtime has just ended. */
		soak_result(n, n > 0 || n == -EINVAL || lanes_no_memory(n));
		n = gs_set_slice(NSEC_PER_MSEC + rnd(&seed, 9000000), 0);
		soak_result(n, n == 0 || n == -EINVAL);
		soak_step(lane);
		gs_sleep(rnd(&seed, 30000000));
	}
}

/* ------------------------------------------------------- many, and deep stacks */

/* About @depth * 200 bytes deep. */
static unsigned int deep(unsigned int depth)
{
	volatile unsigned char local[128];

	memset((void *)local, depth, sizeof(local));
	if (depth)
		soak_must(deep(depth - 1) == depth - 1);
	for (unsigned int i = 0; i < sizeof(local); i += 31)
		soak_must(local[i] == (unsigned char)depth);
	return depth;
}

struct many {
	unsigned int depth;
	gs_wg done;
};

static void be_one_of_many(void *arg)
{
	struct many *m = arg;

	deep(m->depth);
	gs_yield();
	deep(m->depth / 2);
	gs_wg_done(&m->done);
}

void lane_many(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		struct many m = { .depth = rnd(&seed, 300), .done = GS_WG_INIT };
		unsigned int n = rnd(&seed, 100);

		gs_wg_add(&m.done, n);
		for (unsigned int i = 0; i < n; i++)
			lanes_go(be_one_of_many, &m);
		gs_wg_wait(&m.done);
		soak_step(lane);
	}
}

/* ----------------------------------------------------------------- onlookers */

void lane_dump(struct lane *lane, unsigned int seed)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), err;
	struct gs_info info;

	while (!lanes_end()) {
		err = gs_dump(fd);
		soak_result(err, err == 0 || lanes_no_memory(err));
		soak_must(gs_info(&info, sizeof(info)) == 0 && info.goroutines > 0);
		err = gs_trace_start(1000);
		soak_result(err, err == 0 || lanes_no_memory(err));
		gs_sleep(rnd(&seed, 50000000));
		if (!err) {
			err = gs_trace_stop(fd);
			soak_result(err, err == 0 || lanes_no_memory(err));
		}
		soak_step(lane);
	}
	close(fd);
}

// SPDX-License-Identifier: GPL-2.0
/* Lanes: timers. Nothing comes too early; how late it comes is not ours to say here. */
#include "lanes.h"

#include <fcntl.h>

void lane_sleep(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		int64_t until = gs_now() + rnd(&seed, 20000000);

		soak_must(gs_sleep_until(until) == 0);
		soak_must(gs_now() >= until);
		soak_step(lane);
	}
}

void lane_ticker(struct lane *lane, unsigned int seed)
{
	int64_t period = NSEC_PER_MSEC + rnd(&seed, 20000000), begin = gs_now(), when, last = 0;
	gs_chan *t;

	while (!(t = gs_tick(period)))
		soak_must(lanes_no_memory(-ENOMEM));
	while (!lanes_end()) {
		soak_must(gs_chan_recv(t, &when) == 1);
		soak_must(when >= begin + period && when <= gs_now() && when > last);
		last = when;
		soak_step(lane);
	}
	gs_chan_unref(t);
}

/* Deadlines of descriptors and channels on which nothing comes. */
void lane_timeout(struct lane *lane, unsigned int seed)
{
	gs_chan *never;
	int fd[2];
	char byte;

	while (!(never = gs_chan_new(1, 0)))
		soak_must(lanes_no_memory(-ENOMEM));
	while (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		soak_must(lanes_no_memory(-errno));
	while (!lanes_end()) {
		int64_t until = gs_now() + rnd(&seed, 5000000);
		int err = rnd(&seed, 2) ? gs_chan_recv_until(never, &byte, until) :
					       (int)gs_read_until(fd[0], &byte, 1, until);

		if (lanes_no_memory(err))
			continue;
		soak_result(err, err == -ETIMEDOUT);
		soak_must(gs_now() >= until);
		soak_step(lane);
	}
	gs_close(fd[0]);
	gs_close(fd[1]);
	gs_chan_unref(never);
}

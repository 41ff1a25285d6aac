// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * worker_pool: as many workers as there are Ps share a list of jobs.
 *
 *   worker_pool [BELOW]		default: 1000000
 *
 * Looks for the number below BELOW with the longest Collatz sequence (half of an even
 * number, three times an odd one plus one, down to 1). A job is a range of numbers.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

#define JOB_SIZE 10000

struct job {
	long from, to;
};

struct result {
	long start;
	int length;
};

/* Few are buffered: who sends jobs waits for the workers, not the jobs in memory. */
static gs_chan *jobs, *results;
static gs_group workers = GS_GROUP_INIT, others = GS_GROUP_INIT;

static int length(unsigned long n)
{
	int steps = 1;

	for (; n > 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

static struct result longest(struct job job)
{
	struct result best = { 0, 0 };

	for (long n = job.from; n < job.to; n++) {
		int len = length(n);

		if (len > best.length)
			best = (struct result){ n, len };
	}
	return best;
}

/* Takes jobs until the channel is closed and empty. */
static int work(void *arg)
{
	struct job job;

	(void)arg;
	while (gs_chan_recv(jobs, &job) == 1) {
		struct result r = longest(job);

		gs_chan_send(results, &r);
	}
	return 0;
}

static int send_jobs(void *arg)
{
	long below = *(long *)arg;

	for (long n = 1; n < below; n += JOB_SIZE) {
		struct job job = { n, n + JOB_SIZE < below ? n + JOB_SIZE : below };

		gs_chan_send(jobs, &job);
	}
	return gs_chan_close(jobs);
}

/* The results end when the last worker has. */
static int close_results(void *arg)
{
	(void)arg;
	gs_group_wait(&workers);
	return gs_chan_close(results);
}

static void start(gs_group *group, int (*fn)(void *), void *arg)
{
	if (gs_group_go(group, fn, arg)) {
		fprintf(stderr, "worker_pool: cannot start a goroutine\n");
		exit(1);
	}
}

static int run(int argc, char **argv)
{
	long below = argc > 1 ? atol(argv[1]) : 1000000;
	int procs = gs_set_maxprocs(0);
	struct result best = { 0, 0 }, r;

	jobs = gs_chan_new(sizeof(struct job), procs);
	results = gs_chan_new(sizeof(struct result), procs);
	if (!jobs || !results)
		return 1;
	for (int i = 0; i < procs; i++)
		start(&workers, work, NULL);
	start(&others, send_jobs, &below);
	start(&others, close_results, NULL);

	while (gs_chan_recv(results, &r) == 1)
		if (r.length > best.length || (r.length == best.length && r.start < best.start))
			best = r;
	printf("below %ld: %ld, after %d numbers at 1\n", below, best.start, best.length);
	/* Nobody may be inside a call with a channel that goes. */
	gs_group_wait(&others);
	gs_chan_unref(jobs);
	gs_chan_unref(results);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv) ? 1 : 0;
}

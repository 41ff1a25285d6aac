// SPDX-License-Identifier: GPL-2.0
/*
 * Storms: many short-lived processes that use contexts at random and end at random
 * points in random ways, several at a time. Afterwards nothing may be left of
 * them, and the module must work.
 *
 * A child is a function of its seed: KMOD_SEED repeats a storm, as far as timing
 * allows.
 */
#include "kmod_storm.h"

#include <sys/prctl.h>

#define AT_ONCE		8

/* --------------------------------------------------------------- the storm */

struct process {
	pid_t pid;
	unsigned int seed;
};

static void start_child(struct process *p, unsigned int seed, void (*body)(unsigned int seed))
{
	p->seed = seed;
	p->pid = fork();
	must(p->pid >= 0);
	if (p->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(seed);
		_exit(0);
	}
}

static bool expected_end(struct process *p, int status)
{
	switch (ending_of(p->seed)) {
	case BY_KILL:
	case BY_SIGNAL_FROM_PARENT:
		return status == 128 + SIGKILL;
	case BY_PTHREAD_EXIT:
		return status == 128 + SIGALRM;
	default:
		return status == 0;
	}
}

static void end_child(struct process *p, unsigned int *seed)
{
	int status;

	if (ending_of(p->seed) == BY_SIGNAL_FROM_PARENT) {
		sleep_ns(rnd(seed, 10000000));
		kill(p->pid, SIGKILL);
	}
	status = child_wait(p->pid);
	if (!expected_end(p, status))
		fprintf(stderr, "# child of seed %u: ending %d, status %d\n", p->seed,
			ending_of(p->seed), status);
	must(expected_end(p, status));
}

static void storm(unsigned int n, unsigned int seed, void (*body)(unsigned int seed))
{
	struct process running[AT_ONCE] = { { 0 } };

	for (unsigned int i = 0; i < n + AT_ONCE; i++) {
		struct process *p = &running[i % AT_ONCE];

		if (p->pid)
			end_child(p, &seed);
		p->pid = 0;
		if (i < n)
			start_child(p, seed * 31 + i * 16 + i / 3, body);
	}
}

/* Areas that the module has mapped: none but its own text and data. */
static unsigned int module_vmallocs(void)
{
	unsigned int n = 0;
	char line[512];
	FILE *f = fopen("/proc/vmallocinfo", "re");

	must(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "[gsched]") != NULL;
	fclose(f);
	return n;
}

static int use_new_context(void *arg)
{
	(void)arg;
	use_context();
	return 0;
}

FIXTURE(storm) {
};

FIXTURE_SETUP(storm)
{
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(storm)
{
	EXPECT_TRUE(module_unused());
	EXPECT_EQ(0U, module_vmallocs());
	EXPECT_EQ(0, in_child(use_new_context, NULL));
	EXPECT_TRUE(module_unused());
}

static void live(unsigned int seed)
{
	live_for(seed, 10 * NSEC_PER_MSEC);
}

TEST_F_TIMEOUT(storm, random_lives, 110)
{
	storm(scaled(250), test_seed(), live);
}

static void scribbling_life(unsigned int seed)
{
	scribble_for(seed, 200 * NSEC_PER_MSEC);
}

TEST_F_TIMEOUT(storm, scribblers, 110)
{
	storm(scaled(24), test_seed(), scribbling_life);
}

KMOD_MAIN

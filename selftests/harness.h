/* SPDX-License-Identifier: GPL-2.0 */
/*
 * harness.h: kselftest's harness, with time limits that are multiplied on slow machines:
 * TEST_SLOWNESS in the environment says how often. An emulated kernel with KASAN and
 * lockdep takes ten times as long as one without.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* What a test multiplies its own bounds of time with: at least 1. */
static inline int slowness(void)
{
	const char *s = getenv("TEST_SLOWNESS");
	int n = s ? atoi(s) : 1;

	return n > 0 ? n : 1;
}

static inline void scale_timeouts(void)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= slowness();
}

/*
 * With TEST_FAULTS in the environment what the kernel does for the program fails now and
 * then, as faults_run.sh has set it up. Not before its start: few would get that far.
 */
static inline void fail_now_and_then(void)
{
	int fd = getenv("TEST_FAULTS") ? open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (write(fd, "1", 1) != 1)
		perror("make-it-fail");
	close(fd);
}

/* What every program's main() comes to. */
static inline int harness_run(int argc, char **argv)
{
	scale_timeouts();
	fail_now_and_then();
	return test_harness_run(argc, argv);
}

#define test_harness_run harness_run

#endif /* SELFTESTS_HARNESS_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * harness.h: kselftest's harness, with time limits that are multiplied on slow machines:
 * TEST_SLOWNESS in the environment says how often. An emulated kernel with KASAN and
 * lockdep takes ten times as long as one without.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

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

#undef TEST_HARNESS_MAIN
#define TEST_HARNESS_MAIN						\
	static void __attribute__((constructor))			\
	__constructor_order_last(void)					\
	{								\
		if (!__constructor_order)				\
			__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD; \
	}								\
	int main(int argc, char **argv)					\
	{								\
		scale_timeouts();					\
		return test_harness_run(argc, argv);			\
	}

#endif /* SELFTESTS_HARNESS_H */

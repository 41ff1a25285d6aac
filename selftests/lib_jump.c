// SPDX-License-Identifier: GPL-2.0
/*
 * What must not be done from a signal handler is told: to jump out of the library.
 */
#include "lib_stderr.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "../userlib/sched.h"

static sigjmp_buf back;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* As if the signal had come while the library was in a section. */
static void jump_out_of_a_section(void)
{
	CHECK(signal(SIGUSR1, jump) != SIG_ERR);
	if (!sigsetjmp(back, 1)) {
		sec_enter();
		raise(SIGUSR1);
	}
}

static void then_sleeps(void)
{
	jump_out_of_a_section();
	/* It ends at once; so long that even a slow machine has to wait. */
	gs_sleep(10000 * MS);
}

static void other(void *arg)
{
	(void)arg;
	for (;;)
		gs_yield();
}

static void then_yields(void)
{
	go(other, NULL);
	jump_out_of_a_section();
	for (;;)
		gs_yield();
}

static bool is_told(void (*body)(void), int procs)
{
	char buf[4096];
	int status;

	status = child_stderr(body, procs, buf, sizeof(buf));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	    strstr(buf, "gsched: fatal: a goroutine waits in a nested section"))
		return true;
	fprintf(stderr, "# status %x\n%s", status, buf);
	return false;
}

TEST_F(procs, out_of_a_section_and_sleep)
{
	EXPECT_TRUE(is_told(then_sleeps, variant->n));
}

/* Not at the first yield, which must be cheap, but soon. */
TEST_F(procs, out_of_a_section_and_yield)
{
	EXPECT_TRUE(is_told(then_yields, variant->n));
}

TEST_HARNESS_MAIN

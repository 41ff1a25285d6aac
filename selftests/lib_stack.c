// SPDX-License-Identifier: GPL-2.0
/* Stacks: guards, overflow messages, alignment, many of them. */
#include "lib_stderr.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define KIB 1024UL

/* ---------------------------------------------------------------------- overflow */

static __attribute__((noinline)) long deeper(long n)
{
	volatile char frame[1000];

	frame[0] = (char)n;
	return n < 0 ? 0 : deeper(n + 1) + frame[0];
}

static void overflow(void *arg)
{
	gs_set_name("deep one");
	deeper((long)arg);
}

static void overflow_soon(void)
{
	go(overflow, NULL);
	gs_sleep(10000 * MS);
}

static void overflow_self(void)
{
	deeper(0);
}

/* As a function with a frame of 60 KiB at the end of the stack, which begins low. */
static void jump(void *arg)
{
	volatile char *frame = __builtin_frame_address(0);

	(void)arg;
	frame[-(long)(191 * KIB + 60 * KIB)] = 1;
}

static void jump_soon(void)
{
	go(jump, NULL);
	gs_sleep(10000 * MS);
}

static void null_pointer(void)
{
	*(volatile char *)(uintptr_t)getpid() = 1;
}

struct ended {
	char out[8192];
	int status;
};

static void run_child(struct ended *c, void (*body)(void), void (*before)(void))
{
	c->status = child_run(&(struct child){ before, body, 2 }, c->out, sizeof(c->out));
}

#define OVERFLOW "gsched: fatal: stack overflow: goroutine "

TEST(overflow_names_the_goroutine)
{
	struct ended c;

	run_child(&c, overflow_soon, NULL);
	EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
	EXPECT_TRUE(strstr(c.out, OVERFLOW)) TH_LOG("%s", c.out);
	EXPECT_TRUE(strstr(c.out, " \"deep one\" used all of its 192 KiB\n"))
		TH_LOG("%s", c.out);
}

TEST(overflow_of_the_first)
{
	struct ended c;

	run_child(&c, overflow_self, NULL);
	EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
	EXPECT_TRUE(strstr(c.out, OVERFLOW "1 \"\" used")) TH_LOG("%s", c.out);
}

TEST(guard_is_wide)
{
	struct ended c;

	run_child(&c, jump_soon, NULL);
	EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT);
	EXPECT_TRUE(strstr(c.out, OVERFLOW)) TH_LOG("%s", c.out);
}

/* What is no overflow goes where it would have gone. */
#if SANITIZED
#define OTHER "Sanitizer"
#else
#define OTHER ""
#endif

TEST(other_faults_kill)
{
	struct ended c;

	run_child(&c, null_pointer, NULL);
	EXPECT_FALSE(strstr(c.out, "overflow")) TH_LOG("%s", c.out);
	EXPECT_TRUE(strstr(c.out, OTHER)) TH_LOG("%s", c.out);
	if (!SANITIZED)
		EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGSEGV);
}

static void handler(int sig)
{
	(void)sig;
	_exit(77);
}

static void own_handler(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	sigaction(SIGSEGV, &sa, NULL);
}

TEST(other_faults_reach_the_program)
{
	struct ended c;

	run_child(&c, null_pointer, own_handler);
	EXPECT_TRUE(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77) TH_LOG("%s", c.out);
}

static void raise_segv(void)
{
	raise(SIGSEGV);
}

TEST(sent_signal_kills)
{
	struct ended c;

	run_child(&c, raise_segv, NULL);
	EXPECT_FALSE(strstr(c.out, "overflow")) TH_LOG("%s", c.out);
	if (!SANITIZED)
		EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGSEGV);
}

/* -------------------------------------------------------------- what can be used */

static void use_most(void *arg)
{
	volatile char buf[150 * KIB];

	memset((char *)buf, 1, sizeof(buf));
	gs_yield();
	CHECK(buf[0] == 1 && buf[sizeof(buf) - 1] == 1);
	gs_wg_done(arg);
}

TEST_GO(most_of_192_kib)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(use_most, &wg);
	gs_wg_wait(&wg);
}

/* The entry's alignment is what the ABI wants: printf of a double uses movaps. */
static void aligned(void *arg)
{
	double __attribute__((aligned(16))) x[2] = { 1.5, 2.5 };
	char buf[32];

	CHECK_EQ(0, (uintptr_t)x % 16);
	CHECK_EQ(0, ((uintptr_t)__builtin_frame_address(0)) % 16);
	snprintf(buf, sizeof(buf), "%.1f %.1f", x[0], x[1]);
	CHECK(!strcmp(buf, "1.5 2.5"));
	gs_wg_done(arg);
}

TEST_GO(aligned)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, 100);
	for (i = 0; i < 100; i++)
		go(aligned, &wg);
	gs_wg_wait(&wg);
}

/* Values in registers survive a switch, callee-saved and floating point ones. */
static void registers(void *arg)
{
	unsigned int r = (unsigned int)gs_id();
	long a = rnd(&r), b = rnd(&r), c = rnd(&r), d = rnd(&r), e = rnd(&r), f = rnd(&r);
	long sum = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
	double x = a, y = b, z = x / 3 + y;
	long double l = (long double)c / 7;
	int i;

	for (i = 0; i < 100; i++) {
		gs_yield();
		CHECK_EQ(sum, a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f);
		CHECK(z == x / 3 + y);
		CHECK(l == (long double)c / 7);
	}
	gs_wg_done(arg);
}

TEST_GO(registers_survive)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, 100);
	for (i = 0; i < 100; i++)
		go(registers, &wg);
	gs_wg_wait(&wg);
}

/* ------------------------------------------------------------------------- many */

static int parked;
static gs_chan *gate;

static void wait_at_gate(void *arg)
{
	__atomic_add_fetch(&parked, 1, __ATOMIC_RELAXED);
	gs_chan_recv(gate, NULL);
	gs_wg_done(arg);
}

TEST_GO(many_at_once)
{
	gs_wg wg = GS_WG_INIT;
	int n = SANITIZED ? 2000 : 20000, i;

	parked = 0;
	gate = gs_chan_new(0, 0);
	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++) {
		go(wait_at_gate, &wg);
		if (i % 100 == 0)
			gs_yield();
	}
	while (__atomic_load_n(&parked, __ATOMIC_RELAXED) < n)
		gs_yield();
	gs_chan_close(gate);
	gs_wg_wait(&wg);
	gs_chan_unref(gate);
}

/* Two hundred thousand, or as many as there is memory for: a page and its table each. */
static int how_many(void)
{
	long fit = sysconf(_SC_AVPHYS_PAGES) / 4;

	return fit < 200000 ? (int)fit : 200000;
}

FIXTURE(crowd) { char unused; };
FIXTURE_SETUP(crowd) { self->unused = 0; }
FIXTURE_TEARDOWN(crowd) { self->unused = 0; }

static void gather(void)
{
	gs_wg wg = GS_WG_INIT;
	int n = how_many(), i;

	parked = 0;
	gate = gs_chan_new(0, 0);
	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++) {
		go(wait_at_gate, &wg);
		if (i % 100 == 0)
			gs_yield();
	}
	while (__atomic_load_n(&parked, __ATOMIC_RELAXED) < n)
		gs_yield();
	printf("# %d stacks\n", n);
	/* All have guards: the last one made is as good as the first. */
	go(overflow, NULL);
	gs_sleep(20000 * MS);
}

TEST_F_TIMEOUT(crowd, two_hundred_thousand, 120)
{
	struct ended c;

	if (SANITIZED)
		SKIP(return, "a sanitizer's shadow of so many stacks takes too much memory");
	self->unused = 0;
	run_child(&c, gather, NULL);
	EXPECT_TRUE(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGABRT)
		TH_LOG("status %#x", c.status);
	EXPECT_TRUE(strstr(c.out, OVERFLOW)) TH_LOG("%s", c.out);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/* Traces: what is recorded, its order and format, on and off while running. */
#include "lib_check.h"

#include <errno.h>
#include <fcntl.h>

struct line {
	long long ns;
	unsigned int p, cpu;
	unsigned long long g;
	char state[16], why[16], name[20];
};

static FILE *stop_and_open(void)
{
	FILE *f = tmpfile();
	char header[100];

	CHECK(f);
	CHECK_EQ(0, gs_trace_stop(fileno(f)));
	rewind(f);
	CHECK(fgets(header, sizeof(header), f));
	CHECK(!strcmp("ns\tp\tcpu\tg\tstate\twhy\tname\n", header));
	return f;
}

static int next_line(FILE *f, struct line *l)
{
	char buf[200];

	if (!fgets(buf, sizeof(buf), f))
		return 0;
	CHECK_EQ(7, sscanf(buf, "%lld\t%u\t%u\t%llu\t%15[^\t]\t%15[^\t]\t%19[^\n]", &l->ns, &l->p,
			   &l->cpu, &l->g, l->state, l->why, l->name));
	return 1;
}

static void sleeper(void *arg)
{
	gs_set_name("sleepy\tone");
	gs_yield();
	gs_sleep(5 * MS);
	gs_wg_done(arg);
}

static void expect(FILE *f, unsigned long long g, const char *state, const char *why,
		   const char *name)
{
	struct line l;

	do {
		if (!next_line(f, &l)) {
			fprintf(stderr, "# no %s %s of goroutine %llu\n", state, why, g);
			CHECK(0);
		}
	} while (l.g != g || strcmp(l.state, state));
	CHECK(!strcmp(l.why, why));
	CHECK(!strcmp(l.name, name));
	CHECK(l.ns >= 0);
	CHECK(l.p < 4);
}

static unsigned long long other;

static void learn(void *arg)
{
	other = gs_id();
	sleeper(arg);
}

static void others_have_ended(void)
{
	struct gs_info info;

	do {
		gs_sleep(MS);
		CHECK_EQ(0, gs_info(&info, sizeof(info)));
	} while (info.goroutines > 1);
}

/* The life of a goroutine, in its order. */
TEST_GO(a_life)
{
	gs_wg wg = GS_WG_INIT;
	FILE *f;

	CHECK_EQ(0, gs_trace_start(10000));
	gs_wg_add(&wg, 1);
	go(learn, &wg);
	gs_wg_wait(&wg);
	others_have_ended();
	f = stop_and_open();
	expect(f, other, "runnable", "-", "-");
	expect(f, other, "executing", "-", "-");
	expect(f, other, "waiting", "sleep", "sleepy?one");
	expect(f, other, "runnable", "-", "sleepy?one");
	expect(f, other, "executing", "-", "sleepy?one");
	expect(f, other, "dead", "-", "sleepy?one");
	fclose(f);
}

TEST_GO(wait_reasons)
{
	gs_chan *c = gs_chan_new(0, 0);
	FILE *f;

	CHECK_EQ(0, gs_trace_start(100));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(c, NULL, gs_now() + 100 * MS));
	f = stop_and_open();
	expect(f, 1, "waiting", "chan receive", "-");
	expect(f, 1, "runnable", "-", "-");
	expect(f, 1, "executing", "-", "-");
	fclose(f);
	gs_chan_unref(c);
}

/* At any time a P executes one G, and a G is executed by one P. */
static int stop;

static void busy(void *arg)
{
	unsigned int r = (unsigned int)gs_id();

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gs_yield();
		if (rnd(&r) % 4 == 0)
			gs_sleep(rnd(&r) % 100000);
	}
	gs_wg_done(arg);
}

#define MOST_GS 1000

static unsigned long long on[4];	/* the G that the P executes */
static unsigned int at[MOST_GS];	/* the P that executes the G, + 1 */

/*
 * Between two calls the kernel may take the P from a G; of that the trace knows only
 * when another G is executed there.
 */
static void follow(const struct line *l)
{
	int taken = gs_features() & (GS_FEAT_HANDOFF | GS_FEAT_PREEMPT);
	int executing = !strcmp(l->state, "executing");

	CHECK(l->g < MOST_GS);
	if (executing) {
		CHECK(!at[l->g]);
		CHECK(!on[l->p] || taken);
		at[on[l->p]] = 0;
	} else if (at[l->g]) {
		CHECK(at[l->g] == l->p + 1 || taken);
		on[at[l->g] - 1] = 0;
	}
	at[l->g] = executing ? l->p + 1 : 0;
	if (executing)
		on[l->p] = l->g;
}

TEST_GO(one_at_a_time)
{
	gs_wg wg = GS_WG_INIT;
	long long last = 0;
	int n = 0, i;
	struct line l;
	FILE *f;

	stop = 0;
	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(busy, &wg);
	CHECK_EQ(0, gs_trace_start(1 << 16));
	gs_sleep(20 * MS);
	f = stop_and_open();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	while (next_line(f, &l)) {
		CHECK(l.ns >= last);
		last = l.ns;
		follow(&l);
		n++;
	}
	CHECK(n > 20);
	fclose(f);
}

/* A full ring keeps the newest. */
TEST_GO(ring_wraps)
{
	struct line l;
	int n = 0, i;
	FILE *f;

	gs_set_maxprocs(1);
	gs_sleep(10 * MS);
	CHECK_EQ(0, gs_trace_start(50));
	for (i = 0; i < 50; i++)
		gs_sleep(MS);
	f = stop_and_open();
	while (next_line(f, &l))
		n++;
	CHECK(n >= 64);
	CHECK(n <= 64 * 4);
	fclose(f);
}

TEST_GO(errors)
{
	int fd = open("/dev/full", O_WRONLY);

	CHECK_EQ(-EINVAL, gs_trace_stop(1));
	CHECK_EQ(0, gs_trace_start(1));
	CHECK_EQ(-EBUSY, gs_trace_start(1));
	CHECK_EQ(-EBADF, gs_trace_stop(-1));
	CHECK_EQ(-EINVAL, gs_trace_stop(1));
	if (fd >= 0) {
		CHECK_EQ(0, gs_trace_start(1));
		CHECK_EQ(-ENOSPC, gs_trace_stop(fd));
		close(fd);
	}
}

/* On and off and with new Ps under load. */
TEST_GO(on_and_off)
{
	gs_wg wg = GS_WG_INIT;
	int i, null = open("/dev/null", O_WRONLY);

	stop = 0;
	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(busy, &wg);
	for (i = 0; i < TIMES(100); i++) {
		CHECK_EQ(0, gs_trace_start(1000));
		gs_set_maxprocs(1 + i % 6);
		gs_sleep(MS / 2);
		CHECK_EQ(0, gs_trace_stop(null));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	close(null);
}

TEST(no_runtime)
{
	EXPECT_EQ(-EINVAL, gs_trace_start(1));
	EXPECT_EQ(-EINVAL, gs_trace_stop(1));
}

TEST_HARNESS_MAIN

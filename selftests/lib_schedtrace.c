// SPDX-License-Identifier: GPL-2.0
/*
 * GSCHED_DEBUG=schedtrace, scheddetail: the lines, their numbers, their time.
 *
 * Standard error is a socket that keeps writes apart, with a thread that reads it.
 */
#include "lib_check.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#define LINES 2000

static char lines[LINES][9000];
static int nr_lines, fds[2];
static int seen;		/* lines that came while hog() ran */

static void *reader(void *arg)
{
	static char rest[sizeof(lines[0])];
	ssize_t n;

	(void)arg;
	while (nr_lines < LINES && (n = read(fds[0], lines[nr_lines], sizeof(lines[0]) - 1)) > 0) {
		lines[nr_lines][n] = '\0';
		__atomic_store_n(&nr_lines, nr_lines + 1, __ATOMIC_RELEASE);
	}
	/* Else who writes would wait for us. */
	while (read(fds[0], rest, sizeof(rest)) > 0)
		;
	return NULL;
}

/* Return: gs_main's. What it wrote is in @lines. */
static int run(const char *debug, int procs, int (*fn)(int, char **))
{
	pthread_t thread;
	char n[16];
	int ret, old;

	snprintf(n, sizeof(n), "%d", procs);
	setenv("GSCHED_MAXPROCS", n, 1);
	setenv("GSCHED_DEBUG", debug, 1);
	nr_lines = 0;
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
	CHECK(!pthread_create(&thread, NULL, reader, NULL));
	old = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	ret = gs_main(fn, 0, NULL);
	/* What comes after that is not ours. */
	dup2(old, STDERR_FILENO);
	close(old);
	shutdown(fds[1], SHUT_WR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
	return ret;
}

struct summary {
	int ms, procs, idle, threads, spinning, idle_threads, global, nr;
	int local[64];
};

/* Return: whether @line is a summary, a whole one. */
static int parse(const char *line, struct summary *s)
{
	int n = 0;

	if (sscanf(line, "SCHED %dms: gomaxprocs=%d idleprocs=%d threads=%d spinningthreads=%d "
		   "idlethreads=%d runqueue=%d [%n", &s->ms, &s->procs, &s->idle, &s->threads,
		   &s->spinning, &s->idle_threads, &s->global, &n) != 7 || !n)
		return 0;
	for (line += n, s->nr = 0; *line != ']' && s->nr < 64; s->nr++, line += n) {
		n = 0;
		if (sscanf(line, s->nr ? " %d%n" : "%d%n", s->local + s->nr, &n) != 1 || !n)
			return 0;
	}
	return !strcmp(line, "]\n");
}

static int nap(int argc, char **argv)
{
	(void)argv;
	gs_sleep(50 * MS);
	return argc;
}

static int sleep_for_lines(int argc, char **argv)
{
	(void)argv;
	while (__atomic_load_n(&nr_lines, __ATOMIC_ACQUIRE) < 5)
		gs_sleep(450 * MS);
	return argc;
}

/* Every 100 ms from the start; each line whole and by itself. */
TEST(every_so_often)
{
	struct summary s, last = { 0 };
	int64_t begin = gs_now();
	int i, quiet = 0;

	ASSERT_EQ(0, run("schedtrace=100", 3, sleep_for_lines));
	EXPECT_LE(5, nr_lines);
	EXPECT_GE((gs_now() - begin) / (100 * MS) + 1, nr_lines);
	for (i = 0; i < nr_lines; i++) {
		ASSERT_TRUE(parse(lines[i], &s)) { TH_LOG("%s", lines[i]); }
		EXPECT_EQ(3, s.procs);
		EXPECT_EQ(3, s.nr);
		EXPECT_LE(i ? last.ms + 100 : 0, s.ms);
		EXPECT_TRUE(s.idle >= 0 && s.idle <= 3);
		EXPECT_TRUE(s.idle_threads >= 0 && s.idle_threads <= s.threads);
		last = s;
		quiet += s.idle == 3 && s.idle_threads == s.threads && s.threads &&
			 !s.spinning && !s.global && !(s.local[0] + s.local[1] + s.local[2]);
	}
	/* While the program sleeps nothing runs. */
	EXPECT_LE(1, quiet);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Until so many lines have come. */
static void hog(int more)
{
	int until = __atomic_load_n(&nr_lines, __ATOMIC_ACQUIRE) + more;
	int64_t end = gs_now() + 20000 * MS;

	while (__atomic_load_n(&nr_lines, __ATOMIC_ACQUIRE) < until)
		CHECK(gs_now() < end);
	seen = until;
}

static int work_waits(int argc, char **argv)
{
	int i;

	(void)argv;
	for (i = 0; i < 5; i++)
		go(nothing, NULL);
	hog(3);
	return argc;
}

static void *starter(void *arg)
{
	int i;

	for (i = 0; i < 7; i++)
		CHECK_EQ(0, gs_go(nothing, NULL));
	return arg;
}

static int work_waits_for_all(int argc, char **argv)
{
	pthread_t thread;

	(void)argv;
	CHECK(!pthread_create(&thread, NULL, starter, NULL));
	pthread_join(thread, NULL);
	hog(3);
	return argc;
}

/* A goroutine that computes, others that wait behind it. */
TEST(queues)
{
	struct summary s;

	ASSERT_EQ(0, run("schedtrace=20,nopreempt", 1, work_waits));
	ASSERT_TRUE(parse(lines[seen - 1], &s));
	EXPECT_EQ(5, s.local[0]);
	EXPECT_EQ(0, s.global);
	EXPECT_EQ(0, s.idle);
	EXPECT_GE(s.threads - 1, s.idle_threads);
	ASSERT_EQ(0, run("schedtrace=20,nopreempt,nohandoff", 1, work_waits_for_all));
	ASSERT_TRUE(parse(lines[seen - 1], &s));
	EXPECT_EQ(0, s.local[0]);
	EXPECT_EQ(7, s.global);
}

static void wait_for_ever(void *arg)
{
	gs_chan_recv(arg, NULL);
}

static int parked(int argc, char **argv)
{
	gs_chan *c = gs_chan_new(0, 0);
	int i;

	(void)argv;
	for (i = 0; i < 3; i++)
		go(wait_for_ever, c);
	gs_sleep(5 * MS);
	hog(40);
	return argc;
}

/* In the last whole block of lines. */
static int count(const char *pattern)
{
	int i, first, n = 0;

	for (i = seen - 1; i > 0 && strncmp(lines[i], "SCHED", 5); i--)
		;
	for (first = i - 1; first > 0 && strncmp(lines[first], "SCHED", 5); first--)
		;
	for (; first < i; first++)
		n += !!strstr(lines[first], pattern);
	return n;
}

TEST(detail)
{
	int i;

	ASSERT_EQ(0, run("schedtrace=20,scheddetail=1,nopreempt", 2, parked));
	for (i = 0; i < nr_lines; i++) {
		char *end = strchr(lines[i], '\n');

		ASSERT_TRUE(end && !end[1]) { TH_LOG("%s", lines[i]); }
		EXPECT_TRUE(!strncmp("SCHED ", lines[i], 6) || !strncmp("  P", lines[i], 3) ||
			    !strncmp("  M", lines[i], 3) || !strncmp("  G", lines[i], 3));
	}
	EXPECT_EQ(1, count("SCHED "));
	EXPECT_EQ(2, count("  P"));
	EXPECT_EQ(1, count("  P0: "));
	EXPECT_EQ(1, count(": status=running "));
	EXPECT_EQ(1, count(": status=idle "));
	EXPECT_LE(1, count("  M"));
	EXPECT_EQ(1, count(" curg=1 "));
	EXPECT_EQ(4, count("  G"));
	EXPECT_EQ(1, count("  G1: status=executing() m="));
	EXPECT_EQ(0, count("  G1: status=executing() m=nil"));
	EXPECT_EQ(3, count(": status=waiting(chan receive) m=nil\n"));
}

/* Without the first setting the second says nothing, and both can be off. */
TEST(off)
{
	EXPECT_EQ(0, run("scheddetail=1", 1, nap));
	EXPECT_EQ(0, nr_lines);
	EXPECT_EQ(0, run("schedtrace=0,scheddetail=0", 1, nap));
	EXPECT_EQ(0, nr_lines);
}

TEST(not_understood)
{
	static const char *const bad[] = {
		"schedtrace", "schedtrace=", "schedtrace=x", "schedtrace=-1", "schedtrace=1.5",
		"schedtrace=1000001", "scheddetail", "scheddetail=2", "scheddetail=",
		"scheddetail=11",
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, run(bad[i], 1, nap)) { TH_LOG("%s", bad[i]); }
		EXPECT_EQ(1, nr_lines);
		EXPECT_TRUE(!strncmp("gsched: GSCHED_DEBUG: ", lines[0], 22));
	}
}

static int stop;

static void come_and_go(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		go(nothing, NULL);
		gs_yield();
		gs_sleep(1000);
	}
	gs_wg_done(arg);
}

static int busy(int argc, char **argv)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	(void)argv;
	stop = 0;
	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(come_and_go, &wg);
	for (i = 0; i < 30; i++) {
		gs_set_maxprocs(1 + i % 6);
		gs_sleep(10 * MS);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	return argc;
}

/* Everything changes while it is written. */
TEST(under_load)
{
	EXPECT_EQ(0, run("schedtrace=5,scheddetail=1", 4, busy));
	EXPECT_LE(10, nr_lines);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/* Where goroutines' time goes: gs_profile_start, gs_times, gs_profile_write. */
#include "lib_check.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

/* Emulated CPUs with others beside them: parts of a whole are compared, not times. */
static int64_t total(const struct gs_times *t)
{
	return t->executing + t->runnable + t->waiting + t->insyscall;
}

static struct gs_times own(void)
{
	struct gs_times t;

	CHECK_EQ(0, gs_times(&t));
	return t;
}

/* Computes for @ns of its thread's CPU time, in the eyes of the kernel. */
static void compute(int64_t ns)
{
	struct timespec ts;
	int64_t begin = 0, now;

	do {
		volatile int i;

		for (i = 0; i < 1000; i++)
			;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
		now = ts.tv_sec * 1000000000LL + ts.tv_nsec;
		if (!begin)
			begin = now;
	} while (now - begin < ns);
}

/* All of its time, and nothing else's, between two moments of its own. */
TEST_GO(adds_up)
{
	int64_t begin, least, most;
	struct gs_times t;
	int i;

	CHECK_EQ(-EINVAL, gs_times(&t));
	begin = gs_now();
	CHECK_EQ(0, gs_profile_start());
	most = gs_now();
	for (i = 0; i < 20; i++) {
		compute(MS / 2);
		gs_sleep(MS / 2);
		gs_yield();
		least = gs_now() - most;
		t = own();
		CHECK(total(&t) >= least);
		CHECK(total(&t) <= gs_now() - begin);
	}
	CHECK(t.executing >= 20 * (uint64_t)MS / 2);
	CHECK(t.waiting >= 2 * (uint64_t)MS);
}

TEST_GO(a_sleeper_waits)
{
	struct gs_times t;

	CHECK_EQ(0, gs_profile_start());
	gs_sleep(100 * MS);
	t = own();
	/* It begins to sleep a moment before that is on record. */
	CHECK(t.waiting >= 50 * (uint64_t)MS);
	CHECK(t.waiting > t.executing);
}

TEST_GO(a_hog_executes)
{
	struct gs_times t;

	CHECK_EQ(0, gs_profile_start());
	compute(100 * MS);
	t = own();
	CHECK(t.executing >= 99 * (uint64_t)MS);
	CHECK_EQ(0, t.waiting);
	CHECK_EQ(0, t.runnable);
}

static void *write_later(void *arg)
{
	int *fds = arg;

	usleep(100000);
	CHECK_EQ(1, write(fds[1], "", 1));
	return NULL;
}

/* Not gs_read(): the thread is blocked. */
TEST_GO(a_blocked_read_is_in_a_system_call)
{
	struct gs_times t;
	pthread_t thread;
	int fds[2];
	char c;

	CHECK(!pipe(fds));
	CHECK_EQ(0, gs_profile_start());
	CHECK(!pthread_create(&thread, NULL, write_later, fds));
	CHECK_EQ(1, read(fds[0], &c, 1));
	t = own();
	CHECK(t.insyscall >= 50 * (uint64_t)MS);
	CHECK(t.insyscall > t.executing);
	CHECK_EQ(0, t.waiting);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

static struct gs_times of[2];

static void hog(void *arg)
{
	int i;

	for (i = 0; i < 50; i++) {
		compute(MS);
		gs_yield();
	}
	*(struct gs_times *)arg = own();
}

static void done(void *arg)
{
	gs_wg_done(arg);
}

static void two_hogs(void)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	CHECK_EQ(0, gs_profile_start());
	go(hog, of);
	go(hog, of + 1);
	/* Both have ended when this one has its turn. */
	for (i = 0; i < 2; i++)
		while (!__atomic_load_n(&of[i].executing, __ATOMIC_RELAXED))
			gs_sleep(10 * MS);
	gs_wg_add(&wg, 1);
	go(done, &wg);
	gs_wg_wait(&wg);
	for (i = 0; i < 2; i++) {
		CHECK(of[i].executing >= 49 * (uint64_t)MS);
		/* While the one computes the other could; the last turn is one's own. */
		CHECK(of[i].runnable >= 45 * (uint64_t)MS);
		CHECK_EQ(0, of[i].waiting);
	}
}

TEST(two_hogs_on_one_p)
{
	setenv("GSCHED_DEBUG", "nopreempt", 1);
	EXPECT_EQ(0, run_on(1, two_hogs));
}

/* -------------------------------------------------------------------- the sums */

struct sum {
	unsigned long long gs, executing, runnable, waiting, insyscall;
};

#define MOST_LINES 2000

static struct {
	struct sum sum;
	char name[300];
} line[MOST_LINES];
static int nr_lines;

static void parse(FILE *f)
{
	unsigned long long last = UINT64_MAX;
	char buf[600];

	rewind(f);
	CHECK(fgets(buf, sizeof(buf), f));
	CHECK(!strcmp("goroutines\texecuting\trunnable\twaiting\tinsyscall\tfunction\n", buf));
	for (nr_lines = 0; fgets(buf, sizeof(buf), f); nr_lines++) {
		struct sum *s = &line[nr_lines].sum;

		CHECK(nr_lines < MOST_LINES);
		CHECK_EQ(6, sscanf(buf, "%llu\t%llu\t%llu\t%llu\t%llu\t%299[^\n]", &s->gs,
				   &s->executing, &s->runnable, &s->waiting, &s->insyscall,
				   line[nr_lines].name));
		if (!strcmp(line[nr_lines].name, "(others)"))
			continue;
		CHECK(s->executing <= last);
		last = s->executing;
	}
}

static void take(void)
{
	FILE *f = tmpfile();

	CHECK(f);
	CHECK_EQ(0, gs_profile_write(fileno(f)));
	parse(f);
	fclose(f);
}

/* A function's line: by the name it has, or by its address. */
static struct sum find(const char *name, void (*fn)(void *))
{
	char address[40];
	size_t len = strlen(name);
	int i;

	snprintf(address, sizeof(address), "%#lx", (unsigned long)(uintptr_t)fn);
	for (i = 0; i < nr_lines; i++)
		if ((!strncmp(line[i].name, name, len) && !isalnum(line[i].name[len]) &&
		     line[i].name[len] != '_') || !strcmp(line[i].name, address))
			return line[i].sum;
	return (struct sum){ 0 };
}

#define FIND(fn) find(#fn, fn)

void profile_quick(void *arg);
void profile_quick(void *arg)
{
	compute(MS / 10);
	gs_wg_done(arg);
}

void profile_sleeper(void *arg);
void profile_sleeper(void *arg)
{
	gs_sleep(20 * MS);
	gs_wg_done(arg);
}

void profile_waiter(void *arg);
void profile_waiter(void *arg)
{
	gs_chan_recv(arg, NULL);
}

static int read_from;

void profile_blocked(void *arg);
void profile_blocked(void *arg)
{
	char c;

	CHECK_EQ(1, read(read_from, &c, 1));
	gs_wg_done(arg);
}

/* Ended ones are added up, those that exist count up to now. */
TEST_GO(sums)
{
	gs_chan *c = gs_chan_new(0, 0);
	gs_wg wg = GS_WG_INIT;
	struct sum s, later;
	int64_t begin;
	int i;

	CHECK_EQ(0, gs_profile_start());
	begin = gs_now();
	gs_wg_add(&wg, 30);
	for (i = 0; i < 20; i++)
		go(profile_quick, &wg);
	for (i = 0; i < 10; i++)
		go(profile_sleeper, &wg);
	for (i = 0; i < 3; i++)
		go(profile_waiter, c);
	gs_wg_wait(&wg);
	/* What they do after gs_wg_done() takes a moment. */
	gs_sleep(50 * MS);
	take();
	s = FIND(profile_quick);
	CHECK_EQ(20, s.gs);
	CHECK(s.executing >= 20ULL * MS / 10);
	CHECK_EQ(0, s.waiting);
	s = FIND(profile_sleeper);
	CHECK_EQ(10, s.gs);
	CHECK(s.waiting >= 10ULL * 10 * MS);
	s = FIND(profile_waiter);
	CHECK_EQ(3, s.gs);
	gs_sleep(20 * MS);
	take();
	later = FIND(profile_waiter);
	CHECK(later.waiting >= s.waiting + 3ULL * 20 * MS);
	CHECK(later.waiting <= 3ULL * (gs_now() - begin));
	CHECK_EQ(s.executing, later.executing);
	CHECK_EQ(20, FIND(profile_quick).gs);
	gs_chan_close(c);
	gs_chan_unref(c);
}

/* One that is in the kernel just now, one that computes just now, seen by another. */
static int stop, rounds;

void profile_busy(void *arg);
void profile_busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		compute(MS / 10);
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(arg);
}

static void await_rounds(int more)
{
	int until = __atomic_load_n(&rounds, __ATOMIC_RELAXED) + more;
	int64_t end = gs_now() + 20000 * MS;

	while (__atomic_load_n(&rounds, __ATOMIC_RELAXED) < until) {
		CHECK(gs_now() < end);
		usleep(1000);
	}
}

static struct sum busy, blocked;

static void *observer(void *arg)
{
	/* Both began before anybody took their time. */
	await_rounds(1);
	usleep(50000);
	CHECK_EQ(0, gs_profile_start());
	await_rounds(110);
	usleep(200000);
	take();
	busy = FIND(profile_busy);
	blocked = FIND(profile_blocked);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	CHECK_EQ(1, write(*(int *)arg, "", 1));
	return NULL;
}

static void two_to_observe(void)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread;
	int fds[2];

	stop = 0;
	CHECK(!pipe(fds));
	read_from = fds[0];
	gs_wg_add(&wg, 2);
	go(profile_busy, &wg);
	go(profile_blocked, &wg);
	CHECK(!pthread_create(&thread, NULL, observer, fds + 1));
	gs_wg_wait(&wg);
	pthread_join(thread, NULL);
	CHECK_EQ(1, busy.gs);
	CHECK(busy.executing >= 10ULL * MS);
	CHECK_EQ(0, busy.waiting + busy.runnable);
	CHECK_EQ(1, blocked.gs);
	CHECK(blocked.insyscall >= 150ULL * MS);
	CHECK(blocked.insyscall > blocked.executing);
	CHECK_EQ(0, blocked.waiting);
	/* Afterwards nothing is lost of it. */
	gs_sleep(20 * MS);
	take();
	CHECK(FIND(profile_busy).executing >= busy.executing);
	CHECK(FIND(profile_blocked).insyscall >= blocked.insyscall);
	close(fds[0]);
	close(fds[1]);
}

TEST(seen_from_outside)
{
	EXPECT_EQ(0, run_on(4, two_to_observe));
}

static int member(void *arg)
{
	gs_sleep(*(int64_t *)arg);
	return 0;
}

/* A group's goroutine counts for its own function, gs_main's for the program's. */
TEST_GO(entry_functions)
{
	gs_group group = GS_GROUP_INIT;
	int64_t ns = 10 * MS;
	int i, found = 0;

	CHECK_EQ(0, gs_profile_start());
	for (i = 0; i < 3; i++)
		CHECK_EQ(0, gs_group_go(&group, member, &ns));
	CHECK_EQ(0, gs_group_wait(&group));
	gs_sleep(20 * MS);
	take();
	CHECK_EQ(2, nr_lines);
	for (i = 0; i < nr_lines; i++)
		found |= line[i].sum.gs == 3 ? 1 : line[i].sum.gs == 1 ? 2 : 0;
	CHECK_EQ(3, found);
	CHECK_EQ(3, find("member", (void (*)(void *))(void *)member).gs);
	CHECK_EQ(1, find("lib_check_main", (void (*)(void *))(void *)lib_check_main).gs);
}

/* From threads that are no goroutines. */
static void *start_some(void *arg)
{
	int i;

	for (i = 0; i < 5; i++)
		CHECK_EQ(0, gs_go(profile_quick, arg));
	return NULL;
}

TEST_GO(started_by_a_thread)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t thread;
	int64_t begin;
	struct sum s;

	CHECK_EQ(0, gs_profile_start());
	compute(100 * MS);
	begin = gs_now();
	gs_wg_add(&wg, 5);
	CHECK(!pthread_create(&thread, NULL, start_some, &wg));
	gs_wg_wait(&wg);
	pthread_join(thread, NULL);
	gs_sleep(20 * MS);
	take();
	s = FIND(profile_quick);
	CHECK_EQ(5, s.gs);
	CHECK_EQ(0, s.waiting);
	/* Each lived from its birth on, not from the profile's. */
	CHECK(s.executing + s.runnable + s.insyscall <= 5 * (uint64_t)(gs_now() - begin));
}

/* Anew: what was before is forgotten, by those that exist, too. */
TEST_GO(starts_anew)
{
	gs_wg wg = GS_WG_INIT;
	struct gs_times t;
	int64_t begin;

	CHECK_EQ(0, gs_profile_start());
	gs_wg_add(&wg, 1);
	go(profile_quick, &wg);
	gs_wg_wait(&wg);
	compute(30 * MS);
	gs_sleep(30 * MS);
	begin = gs_now();
	CHECK_EQ(0, gs_profile_start());
	t = own();
	CHECK(total(&t) <= gs_now() - begin);
	take();
	CHECK_EQ(0, FIND(profile_quick).gs);
}

/* ------------------------------------------------------------------ under load */

static int64_t born_and_dead;

static void child(void *arg)
{
	int64_t begin = gs_now();
	struct gs_times t;

	if ((uintptr_t)arg % 3 == 0)
		gs_sleep(10000);
	t = own();
	CHECK(total(&t) <= gs_now() - begin + 5000 * MS);
	__atomic_add_fetch(&born_and_dead, 1, __ATOMIC_RELAXED);
}

static void parent(void *arg)
{
	unsigned int r = (unsigned int)gs_id();

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		go(child, (void *)(uintptr_t)rnd(&r));
		switch (rnd(&r) % 4) {
		case 0:
			gs_sleep(rnd(&r) % 50000);
			break;
		default:
			gs_yield();
		}
	}
	gs_wg_done(arg);
}

static uint64_t sum_of_all(void)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < nr_lines; i++)
		n += line[i].sum.executing + line[i].sum.runnable + line[i].sum.waiting +
		     line[i].sum.insyscall;
	return n;
}

/* Started, written and traced while goroutines run, sleep, begin and end. */
TEST_GO(while_running)
{
	int null = open("/dev/null", O_WRONLY);
	int64_t begin = 0, most;
	gs_wg wg = GS_WG_INIT;
	int i;

	stop = 0;
	CHECK_EQ(0, gs_profile_start());
	gs_wg_add(&wg, 8);
	for (i = 0; i < 8; i++)
		go(parent, &wg);
	for (i = 0; i < TIMES(40); i++) {
		if (i % 20 == 0) {
			begin = gs_now();
			CHECK_EQ(0, gs_profile_start());
		}
		if (i % 3 == 0)
			CHECK_EQ(0, gs_trace_start(1000));
		gs_set_maxprocs(1 + i % 5);
		gs_sleep(MS);
		take();
		/* A goroutine's time is at most the profile's. */
		most = gs_now() - begin;
		for (int j = 0; j < nr_lines; j++)
			CHECK(line[j].sum.executing <= line[j].sum.gs * (uint64_t)most);
		CHECK(sum_of_all() > 0);
		if (i % 3 == 2)
			CHECK_EQ(0, gs_trace_stop(null));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	close(null);
	/* Some children may still run. */
	CHECK(__atomic_load_n(&born_and_dead, __ATOMIC_RELAXED) > 0);
}

/* How many began after the profile did, and ended, is known exactly. */
TEST_GO(counts_all)
{
	gs_wg wg = GS_WG_INIT;
	int i, n = TIMES(3000);

	CHECK_EQ(0, gs_profile_start());
	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++) {
		go(done, &wg);
		if (i % 100 == 0)
			gs_yield();
	}
	gs_wg_wait(&wg);
	gs_sleep(50 * MS);
	take();
	CHECK_EQ(n, FIND(done).gs);
}

static int met;

/* Returns when three run at the same time. */
static void meet(void *arg)
{
	int64_t end = gs_now() + 20000 * MS;

	__atomic_add_fetch(&met, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&met, __ATOMIC_RELAXED) < 3)
		CHECK(gs_now() < end);
	gs_wg_done(arg);
}

/* On Ps that are new, and after a trace that has used the same means. */
TEST_GO(new_ps_and_traces)
{
	int null = open("/dev/null", O_WRONLY), i;
	gs_wg wg = GS_WG_INIT;

	CHECK_EQ(0, gs_profile_start());
	CHECK_EQ(0, gs_trace_start(100));
	CHECK_EQ(0, gs_trace_stop(null));
	gs_wg_add(&wg, 10);
	for (i = 0; i < 10; i++)
		go(done, &wg);
	gs_wg_wait(&wg);
	CHECK(gs_set_maxprocs(3) > 0);
	met = 0;
	gs_wg_add(&wg, 3);
	for (i = 0; i < 3; i++)
		go(meet, &wg);
	gs_wg_wait(&wg);
	gs_sleep(20 * MS);
	take();
	CHECK_EQ(10, FIND(done).gs);
	CHECK_EQ(3, FIND(meet).gs);
	close(null);
}

/* More functions than the table has room for. */
#define ONE(n) static void fn_##n(void *arg) { gs_wg_done(arg); }
#define TEN(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) \
	ONE(n##8) ONE(n##9)
#define HUNDRED(n) TEN(n##0) TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4) TEN(n##5) TEN(n##6) \
	TEN(n##7) TEN(n##8) TEN(n##9)
#define ALL HUNDRED(1) HUNDRED(2) HUNDRED(3) HUNDRED(4) HUNDRED(5) HUNDRED(6) HUNDRED(7) \
	HUNDRED(8) HUNDRED(9) HUNDRED(10) HUNDRED(11)
ALL
#undef ONE
#define ONE(n) fn_##n,
static void (*const functions[])(void *) = { ALL };

static void more_than_fit(void)
{
	int n = sizeof(functions) / sizeof(*functions), i, others = 0;
	gs_wg wg = GS_WG_INIT;
	uint64_t gs = 0;

	CHECK_EQ(0, gs_profile_start());
	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++)
		go(functions[i], &wg);
	gs_wg_wait(&wg);
	gs_sleep(20 * MS);
	take();
	CHECK(nr_lines > 1000);
	for (i = 0; i < nr_lines; i++) {
		gs += line[i].sum.gs;
		others += !strcmp(line[i].name, "(others)");
	}
	CHECK_EQ(n + 1, gs);
	CHECK_EQ(1, others);
}

TEST(many_functions)
{
	EXPECT_EQ(0, run_on(2, more_than_fit));
}

TEST_GO(errors)
{
	int full = open("/dev/full", O_WRONLY);

	CHECK_EQ(-EINVAL, gs_profile_write(1));
	CHECK_EQ(0, gs_profile_start());
	CHECK_EQ(-EBADF, gs_profile_write(-1));
	if (full >= 0) {
		CHECK_EQ(-ENOSPC, gs_profile_write(full));
		close(full);
	}
}

TEST(no_runtime)
{
	struct gs_times t;

	EXPECT_EQ(-EINVAL, gs_profile_start());
	EXPECT_EQ(-EINVAL, gs_profile_write(1));
	EXPECT_EQ(-EINVAL, gs_times(&t));
}

/* ----------------------------------------------------------- GSCHED_DEBUG=profile */

static int by_exit;

static int some_program(int argc, char **argv)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	(void)argc;
	(void)argv;
	gs_wg_add(&wg, 5);
	for (i = 0; i < 5; i++)
		go(profile_quick, &wg);
	gs_wg_wait(&wg);
	if (by_exit)
		exit(0);
	return 0;
}

/* A program of its own, its standard error. */
static FILE *run_program(const char *debug, int exits)
{
	FILE *f = tmpfile();
	pid_t pid;
	int status;

	CHECK(f);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		by_exit = exits;
		setenv("GSCHED_DEBUG", debug, 1);
		dup2(fileno(f), STDERR_FILENO);
		exit(gs_main(some_program, 0, NULL));
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
	return f;
}

TEST(profile_of_a_program)
{
	FILE *f;

	f = run_program("profile=1", 0);
	parse(f);
	EXPECT_EQ(5, FIND(profile_quick).gs);
	EXPECT_EQ(2, nr_lines);
	fclose(f);
	f = run_program("profile=1", 1);
	parse(f);
	EXPECT_EQ(5, FIND(profile_quick).gs);
	fclose(f);
	f = run_program("profile=0", 0);
	EXPECT_EQ(0, ftell(f));
	fseek(f, 0, SEEK_END);
	EXPECT_EQ(0, ftell(f));
	fclose(f);
	setenv("GSCHED_DEBUG", "profile=2", 1);
	EXPECT_EQ(-EINVAL, gs_main(some_program, 0, NULL));
}

TEST_HARNESS_MAIN

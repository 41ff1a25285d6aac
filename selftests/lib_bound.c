// SPDX-License-Identifier: GPL-2.0
/*
 * GOMAXPROCS is a bound on the goroutines that execute, at every instant: dozens of
 * them compute, block in raw system calls, wait for descriptors, yield, and are
 * interrupted by signals. Two checkers look on while they compute:
 *
 * words  A goroutine's M holds a P, and that P says so: what the kernel writes for us,
 *        with what it cannot be wrong about: we are executing.
 * clock  Each goroutine notes from when to when it computed. At no time may there be
 *        more of them than Ps. No word of the kernel's is read here. Where the kernel
 *        may preempt it, it reads the clock all the time, and notes only spans in which
 *        it was not away for more than an instant. That takes more CPUs than Ps to
 *        see anything; without preemption one will do.
 *
 * Both are shown to see it when the bound does not hold.
 */
#include "lib_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "../userlib/sched.h"

#define GOROUTINES	32
#define SAMPLES		TIMES(1000000)
#define LONGEST		(40000 * MS)
#define SPANS		(1 << 20)

/* Not to be back sooner: two switches of threads take longer. */
#define AWAY_NS		5000
/* Several times that: who shares a P would have to be away within. */
#define OVERLAP_NS	25000

struct span {
	uint64_t begin, end;
};

static struct span *spans;
static unsigned int nr_spans;
static long samples, no_proc, not_owner, worst_ns;
static int stop;
static bool preempted;			/* goroutines may be: spans have gaps */
static uint64_t away;			/* in cycles: AWAY_NS, or for ever */
static double cycles_per_ns;
static gs_wg wg;

static inline uint64_t cycles(void)
{
	return __builtin_ia32_rdtsc();
}

static void calibrate(void)
{
	int64_t begin = gs_now(), now;
	uint64_t from = cycles();

	while ((now = gs_now()) < begin + 20 * MS)
		;
	cycles_per_ns = (double)(cycles() - from) / (now - begin);
	away = preempted ? AWAY_NS * cycles_per_ns : UINT64_MAX;
}

/* -------------------------------------------------------------------- words */

static void count(long *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

static uint32_t owner_of(uint32_t proc)
{
	return __atomic_load_n(&rt.procs[proc].owner, __ATOMIC_RELAXED);
}

/*
 * The P may change between two loads, but hardly each time, and so that the same one
 * is there afterwards.
 */
static bool is_owner(struct m *m)
{
	for (int i = 0; i < 3; i++) {
		uint32_t proc = __atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED);
		uint32_t owner;

		barrier();
		if (proc == GSCHED_NONE)
			return false;
		owner = owner_of(proc);
		barrier();
		if (owner == m->id || __atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED) != proc)
			return true;
	}
	return false;
}

static void look_at_words(struct m *m)
{
	if (__atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED) == GSCHED_NONE)
		count(&no_proc);
	else if (!is_owner(m))
		count(&not_owner);
}

/* -------------------------------------------------------------------- clock */

static void note(uint64_t begin, uint64_t end)
{
	unsigned int i = __atomic_fetch_add(&nr_spans, 1, __ATOMIC_RELAXED);

	if (i < SPANS)
		spans[i] = (struct span){ begin, end };
}

static __thread volatile bool computing;

/* How often the calling thread has blocked. */
static long blocks(void)
{
	struct rusage usage;

	CHECK_EQ(0, getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_nvcsw;
}

/*
 * Outside of sections. Makes no library call: the M stays the same. It may block all the
 * same, in a page fault while another thread maps memory; then it was away, too.
 */
static __attribute__((noinline)) void compute(struct m *m, int64_t ns)
{
	long n = 0, blocked = blocks();
	uint64_t begin = cycles(), end = begin + ns * cycles_per_ns, last = begin, now;

	computing = true;
	do {
		look_at_words(m);
		now = cycles();
		if (now - last > away) {
			note(begin, last);
			begin = now;
		}
		last = now;
		n++;
	} while (now < end);
	computing = false;
	if (preempted || blocks() == blocked)
		note(begin, last);
	__atomic_add_fetch(&samples, n, __ATOMIC_RELAXED);
}

struct edge {
	uint64_t at;
	int step;
};

static int edge_cmp(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : x->step - y->step;
}

static struct edge *edges_sorted(unsigned int n)
{
	struct edge *edges = malloc(2 * n * sizeof(*edges));

	CHECK(edges);
	for (unsigned int i = 0; i < n; i++) {
		edges[2 * i] = (struct edge){ spans[i].begin, 1 };
		edges[2 * i + 1] = (struct edge){ spans[i].end, -1 };
	}
	qsort(edges, 2 * n, sizeof(*edges), edge_cmp);
	return edges;
}

/* How often there were more spans than @procs for long enough; the longest time. */
static int overlaps(int procs, long *longest_ns)
{
	unsigned int n = nr_spans < SPANS ? nr_spans : SPANS;
	long limit = preempted ? OVERLAP_NS : 0;
	struct edge *edges = edges_sorted(n);
	int open = 0, found = 0;
	uint64_t since = 0;

	*longest_ns = 0;
	for (unsigned int i = 0; i < 2 * n; i++) {
		long ns = (edges[i].at - since) / cycles_per_ns;

		if (open == procs + 1 && edges[i].step < 0) {
			found += ns > limit;
			*longest_ns = ns > *longest_ns ? ns : *longest_ns;
		}
		open += edges[i].step;
		if (open == procs + 1 && edges[i].step > 0)
			since = edges[i].at;
	}
	free(edges);
	return found;
}

/* --------------------------------------------------------------- goroutines */

static bool over(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void block(int64_t ns)
{
	struct timespec ts = { 0, ns };

	nanosleep(&ts, NULL);
}

/* One of what goroutines do; each is followed by a look. */
static void do_something(unsigned int *seed)
{
	switch (rnd(seed) % 6) {
	case 0:
		gs_yield();
		break;
	case 1:
		gs_sleep(rnd(seed) % 500000);
		break;
	case 2:
		poll(NULL, 0, 1);
		break;
	default:
		block(rnd(seed) % 500000);
		break;
	}
}

static void worker(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!over()) {
		do_something(&seed);
		compute(m_self(), rnd(&seed) % 300000);
	}
	gs_wg_done(&wg);
}

/* Two goroutines and two pipes: they wait for readiness. */
static int pipes[2][2];

static void ping_pong(void *arg)
{
	int i = (int)(intptr_t)arg;
	char c = 0;

	while (!over()) {
		if (i == 0 && gs_write(pipes[1][1], &c, 1) != 1)
			break;
		if (gs_read(pipes[i][0], &c, 1) != 1)
			break;
		compute(m_self(), 30000);
		if (i == 1 && gs_write(pipes[0][1], &c, 1) != 1)
			break;
	}
	/* The other one may wait for a last byte. */
	gs_write(pipes[!i][1], &c, 1);
	gs_wg_done(&wg);
}

/* Outside of sections a handler runs with a P as well. */
static void on_alarm(int sig)
{
	struct m *m = m_self();
	int err = errno;

	(void)sig;
	if (m && !computing && !__atomic_load_n(&m->shared->in_sched, __ATOMIC_RELAXED))
		compute(m, 20000);
	errno = err;
}

static void alarms(int us)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval it = { { 0, us }, { 0, us } };

	CHECK_EQ(0, sigaction(SIGALRM, &sa, NULL));
	CHECK_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
}

static void mix(void)
{
	int64_t begin = gs_now();
	unsigned int seed = test_seed();

	spans = calloc(SPANS, sizeof(*spans));
	CHECK(spans);
	CHECK_EQ(0, pipe2(pipes[0], O_CLOEXEC | O_NONBLOCK));
	CHECK_EQ(0, pipe2(pipes[1], O_CLOEXEC | O_NONBLOCK));
	gs_wg_add(&wg, GOROUTINES + 2);
	for (int i = 0; i < GOROUTINES; i++)
		go(worker, (void *)(uintptr_t)(rnd(&seed)));
	go(ping_pong, (void *)0);
	go(ping_pong, (void *)1);
	alarms(3000);
	while (gs_now() < begin + LONGEST && (gs_now() < begin + 1500 * MS ||
		__atomic_load_n(&samples, __ATOMIC_RELAXED) < SAMPLES))
		gs_sleep(10 * MS);
	alarms(0);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
}

/* @gaps: goroutines may be preempted. Return: the number of overlaps. */
static int look(int procs, const char *debug, bool gaps)
{
	int found;

	preempted = gaps;
	setenv("GSCHED_DEBUG", debug, 1);
	calibrate();
	CHECK_EQ(0, run_on(procs, mix));
	found = overlaps(procs, &worst_ns);
	printf("# %ld samples, %u spans; %ld without a P, %ld with another's P; %d overlaps, longest %ld ns\n",
	       samples, nr_spans, no_proc, not_owner, found, worst_ns);
	fflush(stdout);
	return found;
}

FIXTURE(bound) { char unused; };
FIXTURE_VARIANT(bound) { int procs; };
FIXTURE_VARIANT_ADD(bound, 1) { .procs = 1 };
FIXTURE_VARIANT_ADD(bound, 2) { .procs = 2 };
FIXTURE_SETUP(bound) { self->unused = 0; }
FIXTURE_TEARDOWN(bound) { self->unused = 0; }

TEST_F_TIMEOUT(bound, holds, 60)
{
	EXPECT_EQ(0, look(variant->procs, "", true));
	EXPECT_EQ(0, no_proc);
	EXPECT_EQ(0, not_owner);
	EXPECT_LE(SAMPLES, samples);
}

TEST_F_TIMEOUT(bound, holds_without_preemption, 60)
{
	EXPECT_EQ(0, look(variant->procs, "nopreempt", false));
	EXPECT_EQ(0, no_proc);
	EXPECT_EQ(0, not_owner);
	EXPECT_LE(SAMPLES, samples);
}

static unsigned int features;

static int tell(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	features = gs_features();
	return 0;
}

static bool has_hold(void)
{
	return !gs_main(tell, 0, NULL) && (features & GS_FEAT_HOLD);
}

/*
 * A thread that comes back from a system call without a P is what must be seen. Who
 * runs without hold runs without preemption.
 */
TEST_F_TIMEOUT(bound, is_seen_to_be_broken, 60)
{
	if (!has_hold())
		SKIP(return, "there is no hold that could be left out");
	EXPECT_LT(0, look(variant->procs, "nohold", false));
	EXPECT_LT(0, no_proc);
}

#define LOOKS 4

/* The rule for goroutines that may be preempted sees it as well. */
TEST(is_seen_in_short_spans)
{
	int found = 0;

	if (!has_hold())
		SKIP(return, "there is no hold that could be left out");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU executes one thread at a time");
	/* Nobody can say when two will run at the same time, if nothing keeps them apart. */
	for (int i = 0; i < LOOKS && !found; i++)
		found = look(1, "nohold", true);
	EXPECT_LT(0, found);
}

TEST_HARNESS_MAIN

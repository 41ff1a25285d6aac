// SPDX-License-Identifier: GPL-2.0
/*
 * What a block costs a thread more because it is an M that holds a P: round trips with
 * another thread through two pipes, and through two futexes, in turns with and without
 * being registered; only without where there is no module. cost is the difference in
 * getpid()s, switches is how often the M is switched out in a round trip.
 *
 * A difference of some ten instructions: bench/icount.sh counts them.
 */
#include "futex.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/gsched.h>

#define PAIRS	15
#define ROUNDS	1000

static int device, there[2], here[2];
static uint32_t ping_word, pong_word;

/* -------------------------------------------------------------- round trips */

static void pipe_ping(void)
{
	char c = 0;

	need(write(there[1], &c, 1) == 1 && read(here[0], &c, 1) == 1);
}

static void pipe_pong(void)
{
	char c;

	need(read(there[0], &c, 1) == 1 && write(here[1], &c, 1) == 1);
}

static void futex_ping(void)
{
	futex_send(&ping_word);
	futex_wait_for(&pong_word);
}

static void futex_pong(void)
{
	futex_wait_for(&ping_word);
	futex_send(&pong_word);
}

struct way {
	const char *name;
	void (*ping)(void), (*pong)(void);
};

static const struct way ways[] = {
	{ "registered_pipe", pipe_ping, pipe_pong },
	{ "registered_futex", futex_ping, futex_pong },
};

struct partner {
	const struct way *way;
	int rounds;
};

/* Both threads share one CPU. */
static void *partner_main(void *arg)
{
	struct partner *p = arg;

	for (int i = 0; i < p->rounds; i++)
		p->way->pong();
	return NULL;
}

static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

static double round_trips(void (*ping)(void))
{
	int64_t begin = now_ns();

	for (int i = 0; i < ROUNDS; i++)
		ping();
	return (double)(now_ns() - begin) / ROUNDS;
}

static void getpid_once(void)
{
	syscall(SYS_getpid);
}

/* ------------------------------------------------------------------ being an M */

static void setup(void)
{
	struct gsched_setup s = {
		.nr_procs = 1, .max_procs = 1, .max_ms = 1,
	};

	device = open(GSCHED_DEVICE, O_RDWR | O_CLOEXEC);
	if (device >= 0)
		need(!ioctl(device, GSCHED_IOC_SETUP, &s));
}

static void be_an_m(void)
{
	struct gsched_m_register r = { 0 };
	struct gsched_acquire a = { 0 };

	need(!ioctl(device, GSCHED_IOC_M_REGISTER, &r));
	need(!ioctl(device, GSCHED_IOC_ACQUIRE, &a));
}

static void be_none(void)
{
	need(!ioctl(device, GSCHED_IOC_M_UNREGISTER, NULL));
}

static void report_way(const char *name, struct samples *with, struct samples *without,
		       struct samples *pids, long n)
{
	double pid = samples_median(pids), diff = samples_median(with) - samples_median(without);

	long ops = PAIRS * ROUNDS;
	char more[128];

	snprintf(more, sizeof(more), "getpid=%.1f", pid);
	report(name, "threads", 1, ops, samples_median(without) * ops, more);
	if (device < 0)
		return;
	snprintf(more, sizeof(more), "cost=%.2f switches=%.2f backend=module", diff / pid,
		 (double)n / ops);
	report(name, "gsched", 1, ops, samples_median(with) * ops, more);
}

static void as_an_m(const struct way *way, struct samples *with, long *n)
{
	be_an_m();
	*n -= switches();
	samples_add(with, round_trips(way->ping));
	*n += switches();
	be_none();
}

static void measure(const struct way *way)
{
	int rounds = (device >= 0 ? 2 : 1) * PAIRS * ROUNDS;
	struct samples with = { 0 }, without = { 0 }, pids = { 0 };
	struct partner partner = { way, rounds };
	pthread_t t = thread_start(partner_main, &partner);
	long n = 0;

	for (int i = 0; i < PAIRS; i++) {
		samples_add(&without, round_trips(way->ping));
		if (device >= 0)
			as_an_m(way, &with, &n);
		samples_add(&pids, round_trips(getpid_once));
	}
	thread_join(t);
	report_way(way->name, &with, &without, &pids, n);
}

/*
 * Under the ordinary policy a thread that is woken may preempt the one that woke it or
 * not, as their histories say: a switch more in a round trip, which is more than what
 * is measured here. First in, first out has none of that.
 */
static void no_wakeup_preemption(void)
{
	struct sched_param param = { .sched_priority = 1 };

	need(!sched_setscheduler(0, SCHED_FIFO, &param));
}

int main(int argc, char **argv)
{
	arg_only_one(argc, argv);
	setup();
	need(!pipe(there) && !pipe(here));
	pin(0);
	no_wakeup_preemption();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		measure(&ways[i]);
	return 0;
}

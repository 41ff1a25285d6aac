// SPDX-License-Identifier: GPL-2.0
/*
 * Hogs: goroutines that compute and make no call of the library. They share, they
 * starve nobody, and what they do in libc is not disturbed.
 *
 * LIB_SCALE=N: N times as long where length finds more.
 */
#include "lib_check.h"
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "../userlib/sched.h"

static unsigned int features;

static void learn_features(void)
{
	features = gs_features();
}

/* Fails the harness's test by itself if the runtime does not start. */
static int have(unsigned int wanted)
{
	CHECK_EQ(0, run_on(1, learn_features));
	return (features & wanted) == wanted;
}

#define NEED(what) do {							\
	if (!have(what))						\
		SKIP(return, "this backend does not: " #what);		\
} while (0)

static int scale(void)
{
	const char *s = getenv("LIB_SCALE");

	return s ? atoi(s) : 1;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	fflush(stdout);
}

/* ------------------------------------------------------------------------ hogs */

static int stop;
static gs_wg hogs;

static int stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void set_stop(int v)
{
	__atomic_store_n(&stop, v, __ATOMIC_RELAXED);
}

/*
 * *@arg: how long it has computed. A gap is a time in which others did, or in which the
 * whole machine stood still, which says nothing of how goroutines share it. A goroutine
 * keeps its thread between its calls.
 */
#define GAP (MS / 4)

static void hog(void *arg)
{
	int64_t used = 0, last = gs_now(), now;
	pid_t tid = gettid();

	for (; !stopped(); last = now) {
		now = gs_now();
		if (now - last < GAP)
			used += now - last;
	}
	CHECK_EQ(tid, gettid());
	*(int64_t *)arg = used;
	gs_wg_done(&hogs);
}

static void start_hogs(int n, int64_t *used)
{
	int i;

	set_stop(0);
	gs_wg_add(&hogs, n);
	for (i = 0; i < n; i++)
		go(hog, used + i);
}

/* Return: what they had together. */
static int64_t stop_hogs(int n, const int64_t *used)
{
	int64_t sum = 0;
	int i;

	set_stop(1);
	gs_wg_wait(&hogs);
	for (i = 0; i < n; i++)
		sum += used[i];
	return sum;
}

/* -------------------------------------------------------------------- they share */

static void share(void)
{
	int64_t used[3], sum;
	int i;

	start_hogs(3, used);
	gs_sleep(4000 * MS * scale());
	sum = stop_hogs(3, used);
	say("# shares %.3f %.3f %.3f\n", (double)used[0] / sum, (double)used[1] / sum,
	    (double)used[2] / sum);
	/* Within 1 % on a machine that does not stand still now and then. */
	for (i = 0; i < 3; i++)
		CHECK(used[i] > sum / 3 * 85 / 100 && used[i] < sum / 3 * 115 / 100);
}

TEST(hogs_share)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(1, share));
}

/* More of them than Ps, and another number of Ps. */
static void share_of_two(void)
{
	int64_t used[3], sum;
	int i;

	start_hogs(3, used);
	gs_sleep(1500 * MS);
	sum = stop_hogs(3, used);
	say("# shares %.3f %.3f %.3f of %.2f CPUs\n", (double)used[0] / sum,
	    (double)used[1] / sum, (double)used[2] / sum, sum / 3e9);
	for (i = 0; i < 3; i++)
		CHECK(used[i] > sum / 10);
}

TEST(hogs_share_two)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(2, share_of_two));
}

/* -------------------------------------------------------- a sleeper among the hogs */

#define WAKES 200

struct lateness {
	int64_t ns[3 * WAKES];
	int n;
};

/* A thread that sleeps in the same way shows what is the machine's own. */
static struct lateness goroutine, thread;

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* gs_sleep_until on a thread of its own is the system call. */
static void *sleeps(void *arg)
{
	struct lateness *l = arg;
	int i;

	for (i = 0; i < WAKES; i++) {
		int64_t when = gs_now() + MS;

		gs_sleep_until(when);
		l->ns[l->n++] = gs_now() - when;
	}
	return NULL;
}

static void sleep_often(void)
{
	pthread_t other;

	CHECK_EQ(0, pthread_create(&other, NULL, sleeps, &thread));
	sleeps(&goroutine);
	CHECK_EQ(0, pthread_join(other, NULL));
}

static int64_t late(struct lateness *l, int percent)
{
	return l->ns[l->n * percent / 100];
}

static void sort(struct lateness *l, const char *name)
{
	qsort(l->ns, l->n, sizeof(*l->ns), by_size);
	say("# %s: late by %lld us (median), %lld us (p99), %lld us (max)\n", name,
	    (long long)late(l, 50) / 1000, (long long)late(l, 99) / 1000,
	    (long long)l->ns[l->n - 1] / 1000);
}

/* What part of the time two hogs have together, in 1/1000, while @fn runs. */
static int hog_rate(void (*fn)(void))
{
	int64_t used[2], begin = gs_now(), sum;

	start_hogs(2, used);
	fn();
	sum = stop_hogs(2, used);
	return sum * 1000 / (gs_now() - begin);
}

static void sleep_long(void)
{
	gs_sleep(500 * MS);
}

static void sleeper(void)
{
	int alone = 0, with = 0, i;

	for (i = 0; i < 3; i++) {
		alone += hog_rate(sleep_long);
		with += hog_rate(sleep_often);
	}
	sort(&goroutine, "goroutine");
	sort(&thread, "thread");
	say("# the hogs keep %d %%\n", with * 100 / alone);
	/* On a machine of one's own far less, and more than 90 % for the hogs. */
	CHECK(late(&goroutine, 50) < 6 * MS + 3 * late(&thread, 50));
	CHECK(late(&goroutine, 99) < 12 * MS + 3 * late(&thread, 99));
	CHECK(with * 100 >= alone * 20);
}

TEST(sleeper_beside_two_hogs)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(1, sleeper));
}

/* -------------------------------------------------------------- nobody is starved */

/* Far more than it takes, far less than for ever. */
#define SOON (2000 * MS * slowness())

static int64_t ran_at;

static void tell_time(void *arg)
{
	(void)arg;
	__atomic_store_n(&ran_at, gs_now(), __ATOMIC_RELEASE);
}

/* The caller computes until the other goroutine has run. Return: how long. */
static int64_t compute_until_told(int64_t since)
{
	int64_t at;

	while (!(at = __atomic_load_n(&ran_at, __ATOMIC_ACQUIRE)))
		CHECK(gs_now() - since < SOON);
	__atomic_store_n(&ran_at, 0, __ATOMIC_RELAXED);
	return at - since;
}

static int64_t run_queue(void)
{
	int64_t begin = gs_now();

	go(tell_time, NULL);
	return compute_until_told(begin);
}

static void nap(void *arg)
{
	gs_sleep(5 * MS);
	tell_time(arg);
}

static int64_t timer(void)
{
	int64_t begin;

	go(nap, NULL);
	gs_yield();
	begin = gs_now() + 5 * MS;
	return compute_until_told(begin);
}

static int feed[2];
static int64_t fed_at;

static void reader(void *arg)
{
	char c;

	CHECK_EQ(1, gs_read(feed[0], &c, 1));
	tell_time(arg);
}

static void *feeder(void *arg)
{
	(void)arg;
	usleep(20000);
	__atomic_store_n(&fed_at, gs_now(), __ATOMIC_RELAXED);
	CHECK_EQ(1, write(feed[1], "x", 1));
	return NULL;
}

static void *submitter(void *arg)
{
	(void)arg;
	usleep(20000);
	__atomic_store_n(&fed_at, gs_now(), __ATOMIC_RELAXED);
	go(tell_time, NULL);
	return NULL;
}

/* What another thread does, seen from when it does it. */
static int64_t from_outside(void *(*fn)(void *))
{
	int64_t begin, took;
	pthread_t thread;

	gs_yield();
	begin = gs_now();
	CHECK_EQ(0, pthread_create(&thread, NULL, fn, NULL));
	took = compute_until_told(begin) - (fed_at - begin);
	CHECK_EQ(0, pthread_join(thread, NULL));
	return took;
}

static int64_t descriptor(void)
{
	go(reader, NULL);
	return from_outside(feeder);
}

static int64_t submitted(void)
{
	return from_outside(submitter);
}

static const struct {
	const char *name;
	int64_t (*fn)(void);
} starved[] = {
	{ "run queue", run_queue },
	{ "timer", timer },
	{ "descriptor", descriptor },
	{ "submitted by a thread", submitted },
};

static void nobody_starves(void)
{
	int procs = gs_set_maxprocs(0), j;
	int64_t used[4];
	unsigned int i;

	CHECK_EQ(0, pipe2(feed, O_NONBLOCK));
	/* The other Ps have hogs of their own. */
	start_hogs(procs - 1, used);
	for (i = 0; i < sizeof(starved) / sizeof(*starved); i++) {
		int64_t worst = 0;

		for (j = 0; j < 10; j++) {
			int64_t t = starved[i].fn();

			worst = t > worst ? t : worst;
		}
		say("# %s: at most %lld us\n", starved[i].name, (long long)worst / 1000);
	}
	stop_hogs(procs - 1, used);
}

TEST_F_TIMEOUT(procs, nobody_starves, 60)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(variant->n, nobody_starves));
}

/* ------------------------------------------ loops that are in the library all the time */

static gs_mutex mutex;
static gs_chan *chan;
static gs_wg group;

static void call_mutex(void)
{
	gs_mutex_lock(&mutex);
	gs_mutex_unlock(&mutex);
}

static void call_len(void)
{
	gs_chan_len(chan);
}

static void call_send_recv(void)
{
	int v = 0;

	CHECK_EQ(0, gs_chan_send(chan, &v));
	CHECK_EQ(1, gs_chan_recv(chan, &v));
}

static void call_group(void)
{
	gs_wg_add(&group, 1);
	gs_wg_done(&group);
	gs_wg_wait(&group);
}

static void call_try(void)
{
	int v = 0;

	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(chan, &v, 0));
}

static const struct {
	const char *name;
	void (*fn)(void);
} calls[] = {
	{ "mutex", call_mutex },
	{ "channel length", call_len },
	{ "send and receive", call_send_recv },
	{ "wait group", call_group },
	{ "receive that fails", call_try },
};

static void (*call)(void);

static void caller(void *arg)
{
	int64_t *calls_made = arg;

	*calls_made = 0;
	while (!stopped()) {
		call();
		++*calls_made;
	}
	gs_wg_done(&hogs);
}

/* A loop of calls, a hog and the sleeper on one P. */
static void loop_of(const char *name)
{
	int64_t used = 0, calls_made = 0, end;
	int wakes = 0;

	set_stop(0);
	gs_wg_add(&hogs, 2);
	go(caller, &calls_made);
	go(hog, &used);
	for (end = gs_now() + 500 * MS; gs_now() < end; wakes++)
		gs_sleep(MS);
	set_stop(1);
	gs_wg_wait(&hogs);
	say("# %s: %lld calls, the hog had %lld ms, %d wake-ups in half a second\n", name,
	    (long long)calls_made, (long long)used / MS, wakes);
	CHECK(used > 20 * MS);
	CHECK(calls_made > 100);
	CHECK(wakes > 5);
}

static void loops(void)
{
	unsigned int i;

	chan = gs_chan_new(sizeof(int), 1);
	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		call = calls[i].fn;
		loop_of(calls[i].name);
	}
	gs_chan_unref(chan);
}

TEST(loops_of_calls_are_preempted)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(1, loops));
}

/* A goroutine that makes others ready all the time must let them run, too. */
static int small_ran;

static void small(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&small_ran, 1, __ATOMIC_RELAXED);
}

static void starter(void)
{
	int64_t begin = gs_now(), t;
	int n = 0;

	while (!__atomic_load_n(&small_ran, __ATOMIC_RELAXED)) {
		go(small, NULL);
		n++;
		/* Shorter than the minimum run. */
		for (t = gs_now(); gs_now() - t < MS / 2;)
			;
		CHECK(gs_now() - begin < SOON);
	}
	say("# after %lld us, %d started\n", (long long)(gs_now() - begin) / 1000, n);
	while (__atomic_load_n(&small_ran, __ATOMIC_RELAXED) < n)
		gs_yield();
}

TEST(who_starts_others_is_preempted)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(1, starter));
}

/* ---------------------------------------------- what the library does when it is asked */

static int order[8], nr_order;

static void note(void *arg)
{
	order[nr_order++] = (int)(intptr_t)arg;
}

/* As the kernel does when it finds the owner in a section. */
static void ask(uint32_t bits)
{
	__atomic_fetch_or(&rt.procs[0].attention, bits, __ATOMIC_SEQ_CST);
	gs_chan_len(chan);
	CHECK(!(__atomic_load_n(&rt.procs[0].attention, __ATOMIC_SEQ_CST) & bits));
}

static void compute_until(int64_t end)
{
	while (gs_now() < end)
		;
}

static void expect_order(const int *want, int n)
{
	int i;

	CHECK_EQ(n, nr_order);
	for (i = 0; i < n; i++)
		CHECK_EQ(want[i], order[i]);
	nr_order = 0;
}

static void asked(void)
{
	static const uint32_t bits[] = {
		GSCHED_ATTN_SLICE | GSCHED_ATTN_PREEMPT,
		GSCHED_ATTN_SLICE | GSCHED_ATTN_HELD,
		GSCHED_ATTN_SLICE | GSCHED_ATTN_PREEMPT | GSCHED_ATTN_HELD,
	};
	static const int want[] = { 3, 1, 2 };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		go(note, (void *)1);
		go(note, (void *)2);
		go(note, (void *)3);
		ask(bits[i]);
		expect_order(want, 3);
		/* Nobody else is there. */
		ask(bits[i]);
	}
	/* The slice is not over: it goes on before those that are queued. */
	for (i = 1; i <= 3; i++)
		go(note, (void *)(intptr_t)i);
	ask(GSCHED_ATTN_PREEMPT);
	CHECK_EQ(1, nr_order);
	gs_yield();
	expect_order(want, 3);
}

/* So far apart that no machine stands still for so long. */
static int64_t first_time, second_time;

/* Computes until something has woken, and is preempted for it. */
static void note_and_hog(void *arg)
{
	note(arg);
	compute_until(second_time + 1);
	ask(GSCHED_ATTN_PREEMPT);
}

static void nap_and_note(void *arg)
{
	gs_sleep_until(first_time);
	note(arg);
}

static void nap_and_hog(void *arg)
{
	gs_sleep_until(first_time);
	note_and_hog(arg);
}

static void long_nap_and_note(void *arg)
{
	gs_sleep_until(second_time);
	note(arg);
}

static void prefer(uint32_t bits, void (*first_nap)(void *), void (*old)(void *),
		   const int *want)
{
	first_time = gs_now() + 100 * MS;
	second_time = first_time + 400 * MS;
	go(long_nap_and_note, (void *)5);
	go(first_nap, (void *)2);
	gs_yield();
	go(old, (void *)3);
	go(note, (void *)4);
	go(note, (void *)1);		/* is next to run */
	compute_until(first_time + 1);
	/* TIMER alone is no reason to give way: it waits for a step. */
	__atomic_fetch_or(&rt.procs[0].attention, bits, __ATOMIC_SEQ_CST);
	gs_yield();
	while (nr_order < 5)
		gs_yield();
	expect_order(want, 5);
}

/* What has just woken comes before the queue, but then the queue moves. */
static void asked_for_timers(void)
{
	static const int first[] = { 1, 2, 3, 5, 4 }, second[] = { 1, 2, 3, 4, 5 };

	prefer(GSCHED_ATTN_PREEMPT, nap_and_note, note_and_hog, first);
	prefer(GSCHED_ATTN_PREEMPT, nap_and_hog, note, second);
	prefer(GSCHED_ATTN_TIMER, nap_and_note, note_and_hog, first);
	prefer(GSCHED_ATTN_TIMER, nap_and_hog, note, second);
}

static void with_channel(void (*fn)(void))
{
	chan = gs_chan_new(0, 0);
	fn();
	gs_chan_unref(chan);
}

static void all_asked(void)
{
	with_channel(asked);
	with_channel(asked_for_timers);
}

TEST(does_what_it_is_asked)
{
	setenv("GSCHED_DEBUG", "nohandoff,nopreempt", 1);
	EXPECT_EQ(0, run_on(1, all_asked));
}

/* -------------------------------------------------------------- without hand-off */

static pthread_mutex_t plain_lock = PTHREAD_MUTEX_INITIALIZER;

/* Computes for several slices with the lock. */
static void hog_locked(void *arg)
{
	for (int i = 0; i < 5; i++) {
		int64_t end;

		pthread_mutex_lock(&plain_lock);
		end = gs_now() + 30 * MS;
		while (gs_now() < end)
			;
		pthread_mutex_unlock(&plain_lock);
		gs_yield();
	}
	gs_wg_done(arg);
}

static void hogs_locked(void)
{
	static gs_wg done;

	for (int i = 0; i < 4; i++) {
		gs_wg_add(&done, 1);
		go(hog_locked, &done);
	}
	CHECK_EQ(0, gs_wg_wait(&done));
}

/* Who waits for the lock keeps its P: whoever has the lock must never have lost one. */
TEST_F_TIMEOUT(procs, locks_without_handoff, 60)
{
	setenv("GSCHED_DEBUG", "nohandoff", 1);
	EXPECT_EQ(0, run_on(variant->n, hogs_locked));
}

/* ------------------------------------------------------------ inside of libc's locks */

#define BLOCKS 16

static void use_malloc(unsigned int *r)
{
	unsigned char *b[BLOCKS];
	size_t size[BLOCKS];
	int i;

	for (i = 0; i < BLOCKS; i++) {
		size[i] = 1 + rnd(r) % 3000;
		b[i] = malloc(size[i]);
		CHECK(b[i]);
		memset(b[i], i + 1, size[i]);
	}
	for (i = 0; i < BLOCKS; i++) {
		CHECK_EQ(i + 1, b[i][0]);
		CHECK_EQ(i + 1, b[i][size[i] - 1]);
		free(b[i]);
	}
}

/* All to one stream, whose lock they fight for. */
static FILE *stream;
static long lines_written;

static void use_stdio(unsigned int *r)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %s\n", rnd(r) % 1000, "the same in all lines");
	CHECK(fputs(line, stream) >= 0);
	__atomic_add_fetch(&lines_written, 1, __ATOMIC_RELAXED);
}

static pthread_mutex_t libc_mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long counter, counted_by[8];

static void use_mutex(unsigned int *r)
{
	int i, who = rnd(r) % 8;

	CHECK_EQ(0, pthread_mutex_lock(&libc_mutex));
	for (i = 0; i < 50; i++)
		counter = counter + 1;
	counted_by[who] = counted_by[who] + 50;
	CHECK_EQ(0, pthread_mutex_unlock(&libc_mutex));
}

static void libc_user(void *arg)
{
	unsigned int r = (unsigned int)gs_id();
	pid_t tid = gettid();
	long rounds = 0;

	while (!stopped()) {
		use_malloc(&r);
		use_stdio(&r);
		use_mutex(&r);
		rounds++;
	}
	CHECK_EQ(tid, gettid());
	__atomic_add_fetch((long *)arg, rounds, __ATOMIC_RELAXED);
	CHECK(rounds > 0);
	gs_wg_done(&hogs);
}

static void check_stream(void)
{
	char line[100];
	long n = 0;

	rewind(stream);
	while (fgets(line, sizeof(line), stream)) {
		CHECK(strstr(line, " the same in all lines\n") - line <= 3);
		n++;
	}
	CHECK_EQ(lines_written, n);
	CHECK_EQ(0, fclose(stream));
}

static void inside_libc(void)
{
	int64_t end = gs_now() + 1500 * MS * scale();
	long rounds = 0, sum = 0;
	int i, wakes = 0;

	stream = tmpfile();
	CHECK(stream);
	set_stop(0);
	gs_wg_add(&hogs, 8);
	for (i = 0; i < 8; i++)
		go(libc_user, &rounds);
	for (; gs_now() < end; wakes++)
		gs_sleep(MS);
	set_stop(1);
	gs_wg_wait(&hogs);
	for (i = 0; i < 8; i++)
		sum += counted_by[i];
	say("# %ld rounds, %d wake-ups\n", rounds, wakes);
	CHECK_EQ(counter, sum);
	CHECK_EQ(counter, rounds * 50);
	check_stream();
	CHECK(wakes > 5);
}

TEST_F_TIMEOUT(procs, inside_libc, 200)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(variant->n, inside_libc));
}

/* ------------------------------------------------------------ held behind ping-pong */

static gs_chan *ping, *pong;
static long rallies;

static void player(void *arg)
{
	int v;

	while (gs_chan_recv(ping, &v) == 1) {
		rallies++;
		CHECK_EQ(0, gs_chan_send(pong, &v));
	}
	gs_wg_done(arg);
}

static void server(void *arg)
{
	int v = 0;

	while (!stopped()) {
		CHECK_EQ(0, gs_chan_send(ping, &v));
		CHECK_EQ(1, gs_chan_recv(pong, &v));
	}
	gs_chan_close(ping);
	gs_wg_done(arg);
}

static void held_out(void)
{
	int64_t begin = gs_now(), longest = 0, since = begin, now;
	gs_wg wg = GS_WG_INIT;
	int n = 0;

	ping = gs_chan_new(sizeof(int), 0);
	pong = gs_chan_new(sizeof(int), 0);
	set_stop(0);
	gs_wg_add(&wg, 2);
	go(player, &wg);
	go(server, &wg);
	gs_yield();
	for (; since - begin < 2000 * MS; n++) {
		sleep_ns(MS);
		now = gs_now();
		longest = now - since > longest ? now - since : longest;
		since = now;
	}
	set_stop(1);
	gs_wg_wait(&wg);
	say("# %d rounds, at most %lld us, %ld rallies\n", n, (long long)longest / 1000, rallies);
	CHECK(n > 100);
	CHECK(longest < SOON);
	CHECK(rallies > 1000);
	gs_chan_unref(ping);
	gs_chan_unref(pong);
}

TEST(ping_pong_does_not_hold_out)
{
	NEED(GS_FEAT_HANDOFF | GS_FEAT_HOLD);
	EXPECT_EQ(0, run_on(1, held_out));
}

/* -------------------------------------------------- behind who is in the kernel for long */

static void blocked(void)
{
	int64_t begin, at;
	int i;

	for (i = 0; i < 3; i++) {
		go(nap, NULL);
		gs_yield();
		begin = gs_now();
		sleep_ns(300 * MS);
		at = __atomic_exchange_n(&ran_at, 0, __ATOMIC_RELAXED);
		CHECK(at);
		say("# the timer's goroutine after %lld us\n", (long long)(at - begin) / 1000);
		CHECK(at - begin < 200 * MS);

		go(tell_time, NULL);
		begin = gs_now();
		sleep_ns(300 * MS);
		at = __atomic_exchange_n(&ran_at, 0, __ATOMIC_RELAXED);
		CHECK(at);
		say("# the queue's goroutine after %lld us\n", (long long)(at - begin) / 1000);
		CHECK(at - begin < 200 * MS);
	}
}

TEST(nobody_waits_behind_a_system_call)
{
	NEED(GS_FEAT_HANDOFF);
	EXPECT_EQ(0, run_on(1, blocked));
}

/* ------------------------------------------------- a P that is taken away from a hog */

static int away;

static void hog_and_nap(void *arg)
{
	go(nap, NULL);
	gs_yield();
	__atomic_store_n(&away, 1, __ATOMIC_RELAXED);
	hog(arg);
}

static void yield_until_stopped(void *arg)
{
	while (!stopped())
		gs_yield();
	gs_wg_done(arg);
}

/* The timer is on a P that is dead, and no M on the other ever runs out of work. */
static void taken_away(void)
{
	int64_t used, begin;
	int i;

	for (i = 0; i < 10; i++) {
		set_stop(0);
		away = 0;
		gs_set_maxprocs(2);
		gs_wg_add(&hogs, 3);
		go(hog_and_nap, &used);
		go(yield_until_stopped, &hogs);
		go(yield_until_stopped, &hogs);
		while (!__atomic_load_n(&away, __ATOMIC_RELAXED))
			gs_yield();
		CHECK_EQ(2, gs_set_maxprocs(1));
		for (begin = gs_now(); !__atomic_exchange_n(&ran_at, 0, __ATOMIC_ACQUIRE);) {
			CHECK(gs_now() - begin < SOON);
			gs_yield();
		}
		set_stop(1);
		gs_wg_wait(&hogs);
	}
}

TEST(a_hogs_p_dies)
{
	NEED(GS_FEAT_PREEMPT);
	EXPECT_EQ(0, run_on(2, taken_away));
}

TEST_HARNESS_MAIN

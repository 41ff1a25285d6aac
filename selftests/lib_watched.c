// SPDX-License-Identifier: GPL-2.0
/*
 * While a P is idle events and timers are seen at once, however long all those compute
 * who have come to run: the last M that waited for them must have had another one take
 * its place.
 */
#include "lib_check.h"

#include <pthread.h>
#include <sched.h>

#define PROCS		4
#define HOGS		(PROCS - 1)
#define PATIENCE	(10000 * MS)	/* for what is done at once */
#define SETTLE		(20 * MS)	/* for those who go to sleep behind what was done */

/* Who waits for a descriptor, and then computes until it is all over. */
struct hog {
	struct play *play;
	int pipe[2];
	int runs;
};

struct play {
	struct hog hogs[HOGS], last;
	gs_wg wg;
	int over, late;
};

static int load(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(int *word, int v)
{
	__atomic_store_n(word, v, __ATOMIC_RELEASE);
}

/* --------------------------------------------------------------- goroutines */

static void read_one(struct hog *h)
{
	char c;

	CHECK_EQ(1, gs_read(h->pipe[0], &c, 1));
	store(&h->runs, 1);
}

static void hog(void *arg)
{
	struct hog *h = arg;

	read_one(h);
	/* No call of the library. */
	while (!load(&h->play->over))
		sched_yield();
	gs_wg_done(&h->play->wg);
}

static void reader(void *arg)
{
	struct hog *h = arg;

	read_one(h);
	gs_wg_done(&h->play->wg);
}

/* ------------------------------------------------- the director, a thread that is no M */

static void pause_for(int64_t ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL);
}

/* Return: whether @word has become nonzero in time. */
static bool seen(const int *word)
{
	int64_t end = gs_now() + PATIENCE;

	while (!load(word) && gs_now() < end)
		pause_for(MS);
	return load(word);
}

/* Return: false: nobody has noticed that the descriptor is ready. */
static bool call(struct hog *h)
{
	CHECK_EQ(1, write(h->pipe[1], "", 1));
	if (!seen(&h->runs))
		return false;
	pause_for(SETTLE);
	return true;
}

/* Those that nobody has called, because one was late, end, too. */
static void finish(struct play *p, int hogs)
{
	store(&p->over, 1);
	for (int i = 0; i < hogs; i++)
		CHECK_EQ(1, write(p->hogs[i].pipe[1], "", 1));
}

static void *call_one_by_one(void *arg)
{
	struct play *p = arg;

	pause_for(SETTLE);
	for (int i = 0; i < HOGS && !p->late; i++)
		p->late = !call(&p->hogs[i]);
	p->late = p->late || !call(&p->last);
	finish(p, HOGS);
	return NULL;
}

/* ------------------------------------------------------------------ the play */

static void hog_init(struct play *p, struct hog *h, void (*fn)(void *))
{
	h->play = p;
	CHECK_EQ(0, pipe(h->pipe));
	gs_wg_add(&p->wg, 1);
	go(fn, h);
}

static void play_begin(struct play *p, int hogs)
{
	*p = (struct play){ .wg = GS_WG_INIT };
	for (int i = 0; i < hogs; i++)
		hog_init(p, &p->hogs[i], hog);
	hog_init(p, &p->last, reader);
}

static void hog_end(struct hog *h)
{
	close(h->pipe[0]);
	close(h->pipe[1]);
}

/* The director calls until it has ended. */
static void play_end(struct play *p, int hogs, pthread_t director)
{
	CHECK_EQ(0, gs_wg_wait(&p->wg));
	CHECK_EQ(0, pthread_join(director, NULL));
	for (int i = 0; i < hogs; i++)
		hog_end(&p->hogs[i]);
	hog_end(&p->last);
}

static void events(void)
{
	struct play p;
	pthread_t director;

	play_begin(&p, HOGS);
	CHECK_EQ(0, pthread_create(&director, NULL, call_one_by_one, &p));
	play_end(&p, HOGS, director);
	CHECK(!p.late);
}

/* As many compute as there are Ps but one. */
TEST(events_beside_hogs)
{
	EXPECT_EQ(0, run_on(PROCS, events));
}

/* ------------------------------------------------------------------- timers */

#define NAP	(300 * MS)	/* longer than it takes to call the hogs */

struct naps {
	struct play play;
	struct hog sleeper;
	int threads, awake;
};

/* Together they need as many Ms as there are Ps. */
static void meet(void *arg)
{
	struct naps *n = arg;

	__atomic_fetch_add(&n->threads, 1, __ATOMIC_ACQ_REL);
	while (load(&n->threads) < HOGS)
		sched_yield();
	gs_wg_done(&n->play.wg);
}

static void nap(void *arg)
{
	struct hog *h = arg;
	struct naps *n = (struct naps *)h->play;

	read_one(h);
	gs_sleep(NAP);
	store(&n->awake, 1);
	gs_wg_done(&n->play.wg);
}

/*
 * When the nap begins all other Ms sleep for ever. One or two of them learn of its end,
 * and are the ones that hear the hogs' calls.
 */
static void *call_during_nap(void *arg)
{
	struct naps *n = arg;
	struct play *p = &n->play;

	pause_for(SETTLE);
	p->late = !call(&n->sleeper);
	for (int i = 0; i < HOGS && !p->late; i++)
		p->late = !call(&p->hogs[i]);
	p->late = p->late || !seen(&n->awake);
	finish(p, HOGS);
	CHECK_EQ(1, write(p->last.pipe[1], "", 1));
	return NULL;
}

static void timers(void)
{
	struct naps n = { .threads = 0 };
	pthread_t director;

	play_begin(&n.play, 0);
	gs_wg_add(&n.play.wg, HOGS);
	for (int i = 0; i < HOGS - 1; i++)
		go(meet, &n);
	meet(&n);
	for (int i = 0; i < HOGS; i++)
		hog_init(&n.play, &n.play.hogs[i], hog);
	hog_init(&n.play, &n.sleeper, nap);
	CHECK_EQ(0, pthread_create(&director, NULL, call_during_nap, &n));
	play_end(&n.play, HOGS, director);
	hog_end(&n.sleeper);
	CHECK(!n.play.late);
}

TEST(timers_beside_hogs)
{
	EXPECT_EQ(0, run_on(PROCS, timers));
}

/* ------------------------------------------------------------------- a new P */

/* All Ps compute, and then there is one more. */
static void *give_a_p(void *arg)
{
	struct play *p = arg;

	pause_for(SETTLE);
	p->late = !call(&p->hogs[0]) || !call(&p->hogs[1]);
	CHECK_EQ(2, gs_set_maxprocs(3));
	pause_for(SETTLE);
	p->late = p->late || !call(&p->last);
	finish(p, 2);
	return NULL;
}

static void new_p(void)
{
	struct play p;
	pthread_t director;

	play_begin(&p, 2);
	CHECK_EQ(0, pthread_create(&director, NULL, give_a_p, &p));
	play_end(&p, 2, director);
	CHECK(!p.late);
}

TEST(events_of_a_new_p)
{
	EXPECT_EQ(0, run_on(2, new_p));
}

TEST_HARNESS_MAIN

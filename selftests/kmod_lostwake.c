// SPDX-License-Identifier: GPL-2.0
/*
 * Lost wake-ups. Every pair of a submitter and an M that goes to sleep is run many
 * times, with delays that move the two against each other. A token that nobody
 * takes for some seconds fails the test; so does one that is taken twice.
 *
 *   fds      producers write to pipes and eventfds, Gs park in their nodes
 *   enqueue  threads that are no Ms put Gs into inboxes
 *   owner    an M with a P pushes into its ring: the kernel executes its barrier
 *   outside  threads that are no Ms push onto the global queue, with a barrier
 *   release  an M leaves work in its queue and gives its P up
 *
 * Submitters hand over one token and wait until it was taken before they make the
 * next, so that a wake-up that is lost is not made good by the next one.
 */
#include "kmod.h"

#include <poll.h>
#include <sys/eventfd.h>

#define PATIENT(cond) do {							\
	int64_t end_ = now_ns() + PATIENCE_NS;					\
	while (!(cond)) {							\
		if (now_ns() > end_) {						\
			dump();							\
			must(!"lost: " #cond);					\
		}								\
		sched_yield();							\
	}									\
} while (0)

#define CONSUMERS	3

static struct gs gs;
static unsigned int seed_of_all;
static unsigned int taken;		/* all tokens */
static bool ending;

/* What the world looked like when a token was not taken. */
static void dump(void)
{
	char path[64], line[256];
	FILE *f;

	printf("# taken %u\n", load32(&taken));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", gs.fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		printf("# %s", line);
	fflush(stdout);
}

/* -------------------------------------------------------- queues and consumers */

/* A G's run: what its cookie stands for. */
static void (*run_cookie)(__u64 cookie);

static void got_cookie(void *arg, __u64 cookie)
{
	(void)arg;
	run_cookie(cookie);
}

/* Rings hold one mode only here: the head moves by compare-and-swap. */
static bool steal(__u32 p)
{
	struct gsched_proc *proc = &gs.procs[p];
	__u64 head = load64(&proc->head), cookie;

	do {
		if ((__u32)head == load32(&proc->tail))
			return false;
		cookie = load64(&proc->ring[head % GSCHED_RING_SIZE]);
	} while (!__atomic_compare_exchange_n(&proc->head, &head, head + 1, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	run_cookie(cookie);
	return true;
}

static bool take_runnext(__u32 p)
{
	__u64 cookie = load64(&gs.procs[p].runnext);

	if (!cookie || !__atomic_compare_exchange_n(&gs.procs[p].runnext, &cookie, 0, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	run_cookie(cookie);
	return true;
}

static bool take_global(void)
{
	__u32 n = load32(&gs.shared->global_len);

	while (n) {
		if (__atomic_compare_exchange_n(&gs.shared->global_len, &n, n - 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			run_cookie(GSCHED_COOKIE_MIN);
			return true;
		}
	}
	return false;
}

static unsigned int look_everywhere(void)
{
	unsigned int n = take_global() + inbox_take_all(&gs, got_cookie, NULL);

	for (__u32 p = 0; p < gs.nr_ever; p++)
		n += steal(p) + take_runnext(p);
	return n;
}

/*
 * Looks for work only after it has taken nr_spinning down, so that whoever saw it
 * up, and woke nobody, is seen.
 */
static void *consumer(void *arg)
{
	unsigned int seed = seed_of_all + (uintptr_t)arg;
	__u32 id, proc, reason;
	int64_t deadline;

	/* There are fewer Ps: its turn may not have come when all is over. */
	if (gs_register(&gs, &id) || gs_acquire(&gs, 0, &proc)) {
		must(__atomic_load_n(&ending, __ATOMIC_SEQ_CST));
		return NULL;
	}
	while (!__atomic_load_n(&ending, __ATOMIC_SEQ_CST)) {
		while (look_everywhere())
			;
		if (rnd(&seed, 4) == 0)
			rnd_delay(&seed);
		/* Short deadlines race with wake-ups; none is the common case. */
		deadline = rnd(&seed, 8) ? 0 : now_ns() + rnd(&seed, 200000);
		if (gs_idle(&gs, deadline, &reason, &proc))
			break;
		if (reason == GSCHED_IDLE_WORK)
			spinning_end(&gs);
	}
	return NULL;
}

static pthread_t consumers[CONSUMERS];

static void start_all(__u32 nr_procs, void (*run)(__u64 cookie))
{
	run_cookie = run;
	seed_of_all = test_seed();
	gs_start(&gs, nr_procs, nr_procs, 16, 256);
	for (uintptr_t i = 0; i < CONSUMERS; i++)
		must(pthread_create(&consumers[i], NULL, consumer, (void *)i) == 0);
}

static void end_all(void)
{
	__atomic_store_n(&ending, true, __ATOMIC_SEQ_CST);
	close(gs.fd);
	for (int i = 0; i < CONSUMERS; i++)
		must(pthread_join(consumers[i], NULL) == 0);
}

static void run_threads(unsigned int n, void *(*fn)(void *arg))
{
	pthread_t thread[8];

	for (uintptr_t i = 0; i < n; i++)
		must(pthread_create(&thread[i], NULL, fn, (void *)i) == 0);
	for (unsigned int i = 0; i < n; i++)
		must(pthread_join(thread[i], NULL) == 0);
}

/* One token of each submitter is on its way: which, and whether it was taken. */
#define SUBMITTERS	8

static __u32 wanted[SUBMITTERS], got[SUBMITTERS];

/* A cookie says whose token it is, and its number. */
static __u64 token(unsigned int who, __u32 nr)
{
	return (__u64)nr << 8 | (who + GSCHED_COOKIE_MIN);
}

static void take_token(__u64 cookie)
{
	unsigned int who = (cookie & 0xff) - GSCHED_COOKIE_MIN;
	__u32 nr = cookie >> 8;

	must(who < SUBMITTERS);
	must(nr == load32(&wanted[who]));
	must(__atomic_exchange_n(&got[who], nr, __ATOMIC_SEQ_CST) == nr - 1);
	__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
}

static __u64 make_token(unsigned int who)
{
	__u32 nr = wanted[who] + 1;

	__atomic_store_n(&wanted[who], nr, __ATOMIC_SEQ_CST);
	return token(who, nr);
}

static void await_token(unsigned int who)
{
	PATIENT(load32(&got[who]) == wanted[who]);
}

/* -------------------------------------------------------------------- enqueue */

static void *enqueuer(void *arg)
{
	unsigned int who = (uintptr_t)arg, seed = seed_of_all ^ who;

	for (unsigned int i = 0; i < scaled(2500); i++) {
		__u32 p = rnd(&seed, 3);

		must(gs_enqueue(&gs, p < 2 ? p : GSCHED_NONE, make_token(who)) == 0);
		await_token(who);
		rnd_delay(&seed);
	}
	return NULL;
}

FIXTURE(lost) {
};

FIXTURE_SETUP(lost)
{
}

FIXTURE_TEARDOWN(lost)
{
	end_all();
}

TEST_F_TIMEOUT(lost, enqueue, 100)
{
	start_all(2, take_token);
	run_threads(3, enqueuer);
	EXPECT_EQ(3 * scaled(2500), taken);
}

/* -------------------------------------------------------- an owner's own ring */

/* Wake as a submitter does; the barrier before is the caller's affair. */
static void wake_if_needed(void)
{
	if (__atomic_load_n(&gs.shared->nr_idle, __ATOMIC_RELAXED) &&
	    !__atomic_load_n(&gs.shared->nr_spinning, __ATOMIC_RELAXED))
		gs_wake(&gs);
}

static void push_ring(__u32 proc, __u64 cookie)
{
	struct gsched_proc *p = &gs.procs[proc];
	__u32 tail = p->tail;

	__atomic_store_n(&p->ring[tail % GSCHED_RING_SIZE], cookie, __ATOMIC_RELAXED);
	__atomic_store_n(&p->tail, tail + 1, __ATOMIC_RELEASE);
}

/*
 * The push is a plain store and the look at nr_idle a plain load, which the CPU may
 * exchange. Only the barrier that IDLE makes this CPU execute prevents that both
 * sides miss each other.
 */
static void *owner(void *arg)
{
	unsigned int who = (uintptr_t)arg, seed = seed_of_all ^ who;
	__u32 id, proc;

	must(gs_register(&gs, &id) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	for (unsigned int i = 0; i < scaled(2000); i++) {
		if (rnd(&seed, 2))
			push_ring(proc, make_token(who));
		else
			__atomic_store_n(&gs.procs[proc].runnext, make_token(who),
					 __ATOMIC_RELAXED);
		wake_if_needed();
		await_token(who);
		for (volatile unsigned int spin = rnd(&seed, 2000); spin; spin--)
			;
	}
	must(gs_release(&gs) == 0);
	return NULL;
}

/* Three Ps: two for the owners, who keep them, one for the consumers. */
TEST_F_TIMEOUT(lost, owner, 100)
{
	start_all(3, take_token);
	run_threads(2, owner);
	EXPECT_EQ(2 * scaled(2000), taken);
}

/* ------------------------------------------------------ no M, a global queue */

static __u32 global_done;

static void take_global_token(__u64 cookie)
{
	must(cookie == GSCHED_COOKIE_MIN);
	__atomic_fetch_add(&global_done, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
}

/* No M: the addition to global_len is the full barrier that it needs. */
static void *outsider(void *arg)
{
	unsigned int seed = seed_of_all ^ (uintptr_t)arg;

	for (unsigned int i = 0; i < scaled(4000); i++) {
		__u32 before = load32(&global_done);

		__atomic_fetch_add(&gs.shared->global_len, 1, __ATOMIC_SEQ_CST);
		wake_if_needed();
		PATIENT(load32(&global_done) > before);
		rnd_delay(&seed);
	}
	return NULL;
}

TEST_F_TIMEOUT(lost, outside, 100)
{
	start_all(2, take_global_token);
	run_threads(1, outsider);
	EXPECT_EQ(scaled(4000), taken);
}

/* -------------------------------------------------- work left behind a release */

static void *leaver(void *arg)
{
	unsigned int who = (uintptr_t)arg, seed = seed_of_all ^ who;
	__u32 id, proc;

	must(gs_register(&gs, &id) == 0);
	for (unsigned int i = 0; i < scaled(2000); i++) {
		must(gs_acquire(&gs, 0, &proc) == 0);
		if (rnd(&seed, 2))
			rnd_delay(&seed);
		push_ring(proc, make_token(who));
		must(gs_release(&gs) == 0);
		await_token(who);
	}
	return NULL;
}

TEST_F_TIMEOUT(lost, release, 100)
{
	start_all(2, take_token);
	run_threads(2, leaver);
	EXPECT_EQ(2 * scaled(2000), taken);
}

/* ------------------------------------------------------------------------- fds */

#define FDS	16

/* A G that reads its descriptor for ever. */
struct reader {
	int in, out;
	__u32 slot;
	unsigned int busy;	/* two Ms at once would be a G that runs twice */
	__u32 sent, seen;
};

static struct reader readers[FDS];

static __u32 read_tokens(struct reader *r)
{
	union {
		__u64 count;
		char bytes[512];
	} buf;
	ssize_t n = read(r->in, &buf, sizeof(buf));

	if (n < 0) {
		must(errno == EAGAIN);
		return 0;
	}
	return r->in == r->out ? buf.count : (__u64)n;
}

/* Run until it parks: reset, try, and only then wait. */
static void run_reader(__u64 cookie)
{
	struct reader *r = &readers[cookie - GSCHED_COOKIE_MIN];
	struct gsched_node *node = gs_node(&gs, r->slot, GSCHED_DIR_READ);
	__u32 n;

	do {
		must(__atomic_exchange_n(&r->busy, 1, __ATOMIC_SEQ_CST) == 0);
		node_reset(node);
		while ((n = read_tokens(r))) {
			__atomic_fetch_add(&r->seen, n, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&taken, n, __ATOMIC_SEQ_CST);
		}
		__atomic_store_n(&r->busy, 0, __ATOMIC_SEQ_CST);
	} while (!node_park(node, cookie));
}

static void send_token(struct reader *r)
{
	static const __u64 one = 1;

	__atomic_fetch_add(&r->sent, 1, __ATOMIC_SEQ_CST);
	if (r->in == r->out)
		must(write(r->out, &one, sizeof(one)) == sizeof(one));
	else
		must(write(r->out, "x", 1) == 1);
}

static void *producer(void *arg)
{
	unsigned int seed = seed_of_all ^ (uintptr_t)arg;

	for (unsigned int i = 0; i < scaled(2500); i++) {
		struct reader *r = &readers[rnd(&seed, FDS)];
		unsigned int burst = 1 + rnd(&seed, 3);

		while (burst--)
			send_token(r);
		if (rnd(&seed, 2))
			PATIENT(load32(&r->seen) == load32(&r->sent));
		else
			rnd_delay(&seed);
	}
	return NULL;
}

static void make_reader(struct reader *r, bool event)
{
	int p[2];

	if (event) {
		r->in = r->out = eventfd(0, EFD_NONBLOCK);
	} else {
		must(pipe2(p, O_NONBLOCK) == 0);
		r->in = p[0];
		r->out = p[1];
	}
	must(eventually(gs_fd_register(&gs, r->in, &r->slot) == 0));
}

TEST_F_TIMEOUT(lost, fds, 100)
{
	__u32 sent = 0;

	start_all(2, run_reader);
	for (int i = 0; i < FDS; i++) {
		make_reader(&readers[i], i % 2);
		run_reader(GSCHED_COOKIE_MIN + i);
	}
	run_threads(4, producer);
	for (int i = 0; i < FDS; i++) {
		PATIENT(load32(&readers[i].seen) == load32(&readers[i].sent));
		sent += readers[i].sent;
	}
	EXPECT_EQ(sent, load32(&taken));
}

/* ------------------------------------------------ one token around a ring of Ps */

/* The next hop is woken by the last one's ready(): ENQUEUE from within an M. */
static __u32 hops;

static void hop(__u64 cookie)
{
	__u32 n = __atomic_add_fetch(&hops, 1, __ATOMIC_SEQ_CST);

	if (n < scaled(4000))
		must(gs_enqueue(&gs, n % 2, cookie) == 0);
}

TEST_F_TIMEOUT(lost, relay, 100)
{
	start_all(2, hop);
	must(gs_enqueue(&gs, 0, GSCHED_COOKIE_MIN) == 0);
	PATIENT(load32(&hops) == scaled(4000));
}

KMOD_MAIN

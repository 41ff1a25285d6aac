// SPDX-License-Identifier: GPL-2.0
/*
 * A worker of the soak test that speaks to /dev/gsched by ioctl and shared memory.
 *
 *   worker_abi NR SEED
 *
 * It is one of three, by its seed: a scheduler, whose lanes are below; or a process
 * that uses a context at random, or spoils its memory, as in kmod_storm.c.
 *
 * The scheduler: Ms take cookies out of inboxes and sleep in IDLE. A lane hands over
 * one cookie, and the next one when that has been run, so that a wake-up that is lost
 * is not made good by the next one.
 */
#include "../kmod_storm.h"
#include "soak.h"

#define CONSUMERS	3
#define ENQUEUERS	2
#define PIPES		3

static struct worker *self;
static unsigned int seed_of_all;

static void on_signal(int sig)
{
	(void)sig;
}

static bool ending(void)
{
	return soak_load(&self->stop);
}

/* ------------------------------------------------------------------- cookies */

enum state { TOKEN_FREE, TOKEN_GIVEN, TOKEN_TAKEN };

static enum state tokens[ENQUEUERS];

struct pipe {
	int fd;
	__u32 slot;
	unsigned int got;
};

static struct pipe pipes[PIPES];

/* A token is run once. */
static void run_token(enum state *token)
{
	soak_must(__atomic_exchange_n(token, TOKEN_TAKEN, __ATOMIC_SEQ_CST) == TOKEN_GIVEN);
}

/* A G that reads an eventfd for ever. */
static void run_reader(struct pipe *p, __u64 cookie)
{
	struct gsched_node *node = gs_node(&gs, p->slot, GSCHED_DIR_READ);
	__u64 n;

	do {
		node_reset(node);
		while (read(p->fd, &n, sizeof(n)) == sizeof(n))
			__atomic_fetch_add(&p->got, n, __ATOMIC_SEQ_CST);
		soak_must(errno == EAGAIN);
	} while (!node_park(node, cookie));
}

static void run_cookie(void *arg, __u64 cookie)
{
	unsigned int i = cookie - GSCHED_COOKIE_MIN;

	(void)arg;
	soak_must(i < ENQUEUERS + PIPES);
	if (i < ENQUEUERS)
		run_token(&tokens[i]);
	else
		run_reader(&pipes[i - ENQUEUERS], cookie);
}

static __u64 cookie_of_pipe(unsigned int i)
{
	return GSCHED_COOKIE_MIN + ENQUEUERS + i;
}

/* ----------------------------------------------------------------- consumers */

/* Outside of a section: compute, or block. Then the M may have another P, or none. */
static void be_a_g(unsigned int *seed, __u32 id)
{
	section_leave(&gs, id);
	if (rnd(seed, 2))
		sleep_ns(rnd(seed, 3000000));
	else
		for (volatile unsigned int i = rnd(seed, 300000); i; i--)
			;
	section_enter(&gs, id);
}

/*
 * Looks for work only after it has taken nr_spinning down, so that whoever saw it
 * up, and woke nobody, is seen.
 */
static void *consumer(void *arg)
{
	unsigned int seed = seed_of_all + (uintptr_t)arg;
	__u32 id, proc, reason;
	int err;

	soak_must(gs_register(&gs, &id) == 0);
	gs_acquire(&gs, 0, &proc);
	for (;;) {
		while (inbox_take_all(&gs, run_cookie, NULL))
			;
		if (rnd(&seed, 4) == 0)
			be_a_g(&seed, id);
		err = gs_idle(&gs, rnd(&seed, 8) ? 0 : now_ns() + rnd(&seed, 200000), &reason,
			      &proc);
		soak_result(err, err == 0 || err == -EINTR);
		if (!err && reason == GSCHED_IDLE_WORK)
			spinning_end(&gs);
	}
	return NULL;
}

/* --------------------------------------------------------------------- lanes */

/* Wait until @cond; the driver sees that it does not come. */
#define WAIT(cond) do {						\
	while (!(cond) && !ending())				\
		sleep_ns(20000);				\
} while (0)

static void *enqueuer(void *arg)
{
	unsigned int i = (uintptr_t)arg, seed = seed_of_all ^ i;
	struct lane *lane = soak_lane(self, "enqueue");

	while (!ending()) {
		__u32 proc = rnd(&seed, 2) ? GSCHED_NONE : rnd(&seed, load32(&gs.nr_ever));
		int err;

		soak_store(&tokens[i], TOKEN_GIVEN);
		err = gs_enqueue(&gs, proc, GSCHED_COOKIE_MIN + i);
		if (err == -EINVAL)	/* the P is there no more */
			err = gs_enqueue(&gs, GSCHED_NONE, GSCHED_COOKIE_MIN + i);
		soak_result(err, err == 0);
		WAIT(soak_load(&tokens[i]) == TOKEN_TAKEN);
		soak_step(lane);
		rnd_delay(&seed);
	}
	return NULL;
}

static void *pipe_writer(void *arg)
{
	unsigned int i = (uintptr_t)arg, seed = seed_of_all ^ i, sent = 0;
	struct lane *lane = soak_lane(self, "readiness");
	struct pipe *p = &pipes[i];
	__u64 one = 1;

	while (!ending()) {
		soak_must(write(p->fd, &one, sizeof(one)) == sizeof(one));
		sent++;
		WAIT(soak_load(&p->got) == sent);
		soak_must(soak_load(&p->got) <= sent);
		soak_step(lane);
		rnd_delay(&seed);
	}
	return NULL;
}

/* An M that comes, waits for a P, and goes. */
static void *visitor(void *arg)
{
	struct lane *lane = soak_lane(self, "register");
	unsigned int seed = seed_of_all + 77;
	__u32 id, proc;
	int err;

	while (!ending()) {
		err = gs_register(&gs, &id);
		soak_result(err, err == 0 || err == -ENOMEM);
		if (!err) {
			err = gs_acquire(&gs, rnd(&seed, 2), &proc);
			soak_result(err, err == 0 || err == -EINTR);
			rnd_delay(&seed);
			soak_must(gs_unregister(&gs) == 0);
			soak_step(lane);
		}
		sleep_ns(rnd(&seed, 5000000));
	}
	return arg;
}

static void *set_procs(void *arg)
{
	struct lane *lane = soak_lane(self, "procs");
	unsigned int seed = seed_of_all + 99;
	int err;

	while (!ending()) {
		err = gs_set_procs(&gs, 1 + rnd(&seed, 4));
		soak_result(err, err == 0 || err == -ENOMEM);
		gs_times(&gs, GSCHED_MIN_TIME + rnd(&seed, 9000000), GSCHED_MIN_TIME);
		soak_step(lane);
		sleep_ns(rnd(&seed, 20000000));
	}
	return arg;
}

static void begin(void *(*fn)(void *arg), uintptr_t arg)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, fn, (void *)arg);

	if (err)
		_exit(SOAK_NO_MEMORY);
}

static void be_scheduler(unsigned int seed)
{
	gs_start_with(&gs, some_flags(&seed), 1 + rnd(&seed, 4), 4, 8, 64);
	for (unsigned int i = 0; i < CONSUMERS; i++)
		begin(consumer, i);
	/* There are Ms from now on, without which no descriptor can be watched. */
	while (gs_counter(&gs, "ms") < CONSUMERS)
		sleep_ns(NSEC_PER_MSEC);
	for (unsigned int i = 0; i < PIPES; i++) {
		pipes[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		must(gs_fd_register(&gs, pipes[i].fd, &pipes[i].slot) == 0);
		must(gs_enqueue(&gs, GSCHED_NONE, cookie_of_pipe(i)) == 0);
		begin(pipe_writer, i);
	}
	for (unsigned int i = 0; i < ENQUEUERS; i++)
		begin(enqueuer, i);
	begin(visitor, 0);
	begin(set_procs, 0);
	while (!ending())
		sleep_ns(20 * NSEC_PER_MSEC);
	_exit(0);
}

/* ------------------------------------------------------------------ the others */

static void *end_when_told(void *arg)
{
	while (!ending())
		sleep_ns(20 * NSEC_PER_MSEC);
	_exit(0);
	return arg;
}

/* It ends by itself, however its seed says. */
static void be_wild(unsigned int seed)
{
	soak_may_die(self, SIGKILL);
	soak_may_die(self, SIGALRM);
	begin(end_when_told, 0);
	if (rnd(&seed, 3))
		live_for(seed, 2000000000);
	else
		scribble_for(seed, rnd(&seed, 2000000000));
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	unsigned int nr;

	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	soak_must(argc == 3);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
	nr = strtoul(argv[1], NULL, 0);
	seed_of_all = strtoul(argv[2], NULL, 0);
	self = &soak_map(SOAK_FD)->workers[nr];
	soak_store(&self->nr_lanes, 0);
	if (seed_of_all / 3 % 3)
		be_scheduler(seed_of_all);
	else
		be_wild(seed_of_all);
}

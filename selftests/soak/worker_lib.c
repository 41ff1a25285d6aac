// SPDX-License-Identifier: GPL-2.0
/*
 * A worker of the soak test that uses the library.
 *
 *   worker_lib NR SEED
 *
 * It runs some of the lanes (lanes.h), chosen by its seed, on some Ps, until it is
 * told to end; or until it ends by itself, in one of several ways, in the middle of
 * everything.
 */
#include "lanes.h"

#include <pthread.h>
#include <signal.h>

static struct worker *self;
static unsigned int seed_of_all;
static unsigned int nr;
static gs_wg lanes_done;

bool lanes_end(void)
{
	return soak_load(&self->stop);
}

bool lanes_no_memory(long err)
{
	if (err != -ENOMEM && err != -ENOBUFS && err != -EAGAIN && err != -EMFILE &&
	    err != -ENFILE)
		return false;
	gs_sleep(10 * NSEC_PER_MSEC);
	return true;
}

void lanes_go(void (*fn)(void *), void *arg)
{
	int err;

	while (lanes_no_memory(err = gs_go(fn, arg)))
		;
	soak_result(err, err == 0);
}

static const struct {
	const char *name;
	void (*run)(struct lane *lane, unsigned int seed);
	unsigned int needs;	/* GS_FEAT_* */
} lanes[] = {
	{ .name = "echo", .run = lane_echo },
	{ .name = "pipe", .run = lane_pipe },
	{ .name = "dgram", .run = lane_dgram },
	{ .name = "chan", .run = lane_chan },
	{ .name = "select", .run = lane_select },
	{ .name = "locks", .run = lane_locks },
	{ .name = "cancel", .run = lane_cancel },
	{ .name = "thread", .run = lane_thread },
	{ .name = "sleep", .run = lane_sleep },
	{ .name = "ticker", .run = lane_ticker },
	{ .name = "timeout", .run = lane_timeout },
	/* Its reader keeps the P, and with it perhaps the writer, for as long as it is blocked. */
	{ .name = "block", .run = lane_block, .needs = GS_FEAT_HANDOFF },
	{ .name = "file", .run = lane_file },
	{ .name = "child", .run = lane_child },
	{ .name = "fork", .run = lane_fork },
	{ .name = "hog", .run = lane_hog },
	{ .name = "locked", .run = lane_locked },
	{ .name = "procs", .run = lane_procs },
	{ .name = "many", .run = lane_many },
	{ .name = "dump", .run = lane_dump },
};

#define NR_LANES	(sizeof(lanes) / sizeof(lanes[0]))

struct start {
	unsigned int lane;
	struct lane *words;
};

static void run_lane(void *arg)
{
	struct start *s = arg;

	gs_set_name(lanes[s->lane].name);
	lanes[s->lane].run(s->words, soak_seed(seed_of_all, s->lane));
	free(s);
	gs_wg_done(&lanes_done);
}

/* SOAK_LANES=NAME...: those lanes only. */
static bool chosen(unsigned int lane, unsigned int *seed)
{
	const char *only = getenv("SOAK_LANES");
	bool wanted = only ? strstr(only, lanes[lane].name) != NULL : rnd(seed, 2);

	return wanted && !(lanes[lane].needs & ~gs_features());
}

static void start_lanes(unsigned int *seed)
{
	for (unsigned int i = 0; i < NR_LANES; i++) {
		struct start *s;

		if (!chosen(i, seed))
			continue;
		s = malloc(sizeof(*s));
		*s = (struct start){ i, soak_lane(self, lanes[i].name) };
		gs_wg_add(&lanes_done, 1);
		lanes_go(run_lane, s);
	}
}

/* ------------------------------------------------------------------- endings */

static void exec_again(void)
{
	char nr_text[16], seed_text[16];

	snprintf(nr_text, sizeof(nr_text), "%u", nr);
	snprintf(seed_text, sizeof(seed_text), "%u", soak_seed(seed_of_all, 9));
	execl("/proc/self/exe", "worker_lib", nr_text, seed_text, NULL);
	soak_must(lanes_no_memory(-errno));
	_exit(0);
}

static void end_now(unsigned int how)
{
	switch (how) {
	case 0:
		exit(0);
	case 1:
		_exit(0);
	case 2:
		exec_again();
		break;
	default:
		soak_may_die(self, SIGKILL);
		raise(SIGKILL);
	}
}

static int main_goroutine(int argc, char **argv)
{
	unsigned int seed = soak_seed(seed_of_all, 1), life = rnd(&seed, 60);
	int64_t end = gs_now() + life * (NSEC_PER_SEC / 4);

	(void)argc;
	(void)argv;
	start_lanes(&seed);
	while (!lanes_end() && (life > 30 || gs_now() < end))
		gs_sleep(20 * NSEC_PER_MSEC);
	if (lanes_end())
		gs_wg_wait(&lanes_done);
	else if (rnd(&seed, 5))
		end_now(rnd(&seed, 4));
	/* One in five: with all its goroutines alive. */
	return 0;
}

/* The driver wants to know what does not go on. */
static void *dump_when_asked(void *arg)
{
	sigset_t *set = arg;
	int sig;

	for (;;)
		if (sigwait(set, &sig) == 0)
			gs_dump(STDERR_FILENO);
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void prepare_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };
	static sigset_t set;
	pthread_t thread;

	sigaction(SIGUSR1, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&thread, NULL, dump_when_asked, &set))
		exit(SOAK_NO_MEMORY);
}

static void prepare_runtime(unsigned int *seed)
{
	static const char *const debug[] = { "", "nohandoff", "nopreempt", "nohold", "leave=20" };
	char text[16];

	snprintf(text, sizeof(text), "%u", 1 + rnd(seed, 4));
	setenv("GSCHED_MAXPROCS", text, 1);
	setenv("GSCHED_BACKEND", "module", 0);
	setenv("GSCHED_DEBUG", rnd(seed, 2) ? "" : debug[rnd(seed, 5)], 1);
}

int main(int argc, char **argv)
{
	unsigned int seed;
	int err;

	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	soak_must(argc == 3);
	nr = strtoul(argv[1], NULL, 0);
	seed_of_all = strtoul(argv[2], NULL, 0);
	seed = seed_of_all;
	self = &soak_map(SOAK_FD)->workers[nr];
	soak_store(&self->nr_lanes, 0);
	prepare_signals();
	prepare_runtime(&seed);
	err = gs_main(main_goroutine, argc, argv);
	if (err)
		fprintf(stderr, "# gs_main: %s\n", strerror(-err));
	return err ? SOAK_NO_MEMORY : 0;
}

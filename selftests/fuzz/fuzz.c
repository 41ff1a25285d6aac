// SPDX-License-Identifier: GPL-2.0
/*
 * The fuzzer's main program: replays the corpus, then makes programs up until the time
 * is over.
 *
 *	fuzz [-t SECONDS] [-s SEED] [-j WORKERS] [-n TIMES] [-o DIR] [-v] [PROGRAM...]
 *
 *	-t SECONDS  of made up programs, default 15, 0: none
 *	-s SEED     default: the time. What is made up depends on what KCOV has seen, too,
 *	            and that on timing.
 *	-j WORKERS  that run programs at the same time, default 2
 *	-n TIMES    each program of the corpus runs, default 1
 *	-o DIR      programs that reached something new are kept there; and if the kernel
 *	            complains, those that ran before
 *	-v          print each program before it runs
 *	PROGRAM     the corpus; default: the files in corpus/ beside the program
 *
 * It ends early if the kernel log shows a splat (splat.patterns beside the program), or a
 * program's process cannot be killed.
 */
#include "fuzz.h"

#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest.h"

#define MAX_WORKERS	8
#define MAX_KEPT	4096
#define NR_RECENT	8

struct shared {
	unsigned int replayed;
	unsigned int made;
	unsigned int kept;
	bool stop;
	bool splat;
	bool stuck;
	bool kcov;
	unsigned int nr_recent[MAX_WORKERS];
	struct prog recent[MAX_WORKERS][NR_RECENT];
};

static struct shared *shared;
static struct prog kept[MAX_KEPT];
static unsigned int nr_kept;
static unsigned int times = 1;
static const char *out;
static bool verbose;
static int64_t end_ns;

/* ------------------------------------------------------------------ corpus */

static void corpus_add(const struct prog *p)
{
	kept[nr_kept < MAX_KEPT ? nr_kept++ : (unsigned int)now_ns() % MAX_KEPT] = *p;
}

static void corpus_read(const char *path)
{
	FILE *f = fopen(path, "re");
	struct prog p;

	if (!f || !prog_read(&p, f))
		ksft_exit_fail_msg("%s: not a program\n", path);
	fclose(f);
	corpus_add(&p);
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void corpus_read_dir(const char *dir)
{
	struct dirent **list;
	char path[PATH_MAX];
	int n = scandir(dir, &list, visible, alphasort);

	if (n <= 0)
		ksft_exit_fail_msg("no corpus in %s\n", dir);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		corpus_read(path);
		free(list[i]);
	}
	free(list);
}

/* ------------------------------------------------------------------ results */

static void save(const struct prog *p, const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", out, name);
	f = fopen(path, "we");
	if (!f)
		return;
	prog_write(p, f);
	fclose(f);
}

static void keep(const struct prog *p, unsigned int worker)
{
	char name[64];
	unsigned int n = __atomic_fetch_add(&shared->kept, 1, __ATOMIC_RELAXED);

	corpus_add(p);
	snprintf(name, sizeof(name), "kept-%05u-%u", n, worker);
	if (out)
		save(p, name);
}

/* What the workers ran last, the newest last. */
static void tell_recent(void)
{
	char name[64];

	for (unsigned int w = 0; w < MAX_WORKERS; w++) {
		unsigned int n = shared->nr_recent[w];

		for (unsigned int i = n > NR_RECENT ? n - NR_RECENT : 0; i < n; i++) {
			const struct prog *p = &shared->recent[w][i % NR_RECENT];

			printf("# worker %u ran:\n", w);
			prog_write(p, stdout);
			snprintf(name, sizeof(name), "recent-%u-%u", w, i);
			if (out)
				save(p, name);
		}
	}
	fflush(stdout);
}

/* ------------------------------------------------------------------ workers */

static void run_one(const struct prog *p, unsigned int worker)
{
	unsigned int n = shared->nr_recent[worker];

	shared->recent[worker][n % NR_RECENT] = *p;
	shared->nr_recent[worker] = n + 1;
	if (verbose) {
		printf("# %u.%u\n", worker, n);
		prog_write(p, stdout);
	}
	if (prog_run(p) == RUN_STUCK)
		shared->stuck = shared->stop = true;
	if (splat_seen())
		shared->splat = shared->stop = true;
}

static void replay(unsigned int worker, unsigned int workers)
{
	unsigned int n = nr_kept;

	for (unsigned int i = 0; i < n * times && !shared->stop; i++) {
		if (i % workers != worker)
			continue;
		run_one(&kept[i % n], worker);
		__atomic_fetch_add(&shared->replayed, 1, __ATOMIC_RELAXED);
	}
}

static const struct prog *choose(uint64_t *seed)
{
	unsigned int newest = nr_kept < 32 ? nr_kept : 32;

	if (rnd(seed, 3))
		return &kept[rnd(seed, nr_kept)];
	return &kept[nr_kept - 1 - rnd(seed, newest)];
}

static void make_up(unsigned int worker, uint64_t *seed)
{
	struct prog p;

	if (rnd(seed, 6)) {
		p = *choose(seed);
		prog_mutate(&p, choose(seed), seed);
	} else {
		prog_make(&p, seed);
	}
	cover_take_new();
	run_one(&p, worker);
	__atomic_fetch_add(&shared->made, 1, __ATOMIC_RELAXED);
	if (cover_take_new() && !shared->stop)
		keep(&p, worker);
}

static void work(unsigned int worker, unsigned int workers, uint64_t seed)
{
	splat_init("splat.patterns");
	if (cover_open())
		shared->kcov = true;
	world_open(worker);
	seed = seed * 0x9e3779b97f4a7c15ULL + worker + 1;
	replay(worker, workers);
	while (now_ns() < end_ns && !shared->stop)
		make_up(worker, &seed);
	_exit(0);
}

static void run_workers(unsigned int workers, uint64_t seed)
{
	fflush(NULL);
	for (unsigned int i = 0; i < workers; i++)
		if (!fork())
			work(i, workers, seed);
	while (wait(NULL) > 0)
		;
}

static void result(void)
{
	ksft_print_msg("%u programs replayed, %u made up, %u kept; %u notes%s\n",
		       shared->replayed, shared->made, shared->kept, cover_total(),
		       shared->kcov ? "" : ", no KCOV");
	if (shared->splat || shared->stuck)
		tell_recent();
	ksft_test_result(!shared->splat, "no splat\n");
	ksft_test_result(!shared->stuck, "each program ends\n");
	ksft_test_result(shared->replayed >= 1, "programs ran\n");
}

static void usage(void)
{
	fputs("usage: fuzz [-t SECONDS] [-s SEED] [-j WORKERS] [-n TIMES] [-o DIR] [-v] [PROGRAM...]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned int workers = 2, seconds = 15;
	uint64_t seed = now_ns();
	int opt;

	if (argc == 2 && !strcmp(argv[1], "--after-exec"))
		return after_exec();
	while ((opt = getopt(argc, argv, "t:s:j:n:o:v")) != -1) {
		switch (opt) {
		case 't':
			seconds = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			workers = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			times = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			out = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			usage();
		}
	}
	if (!workers || workers > MAX_WORKERS || !times)
		usage();
	if (access(GSCHED_DEVICE, F_OK))
		ksft_exit_skip("there is no %s\n", GSCHED_DEVICE);

	ops_init();
	for (int i = optind; i < argc; i++)
		corpus_read(argv[i]);
	if (chdir(dirname(argv[0])))
		return 1;
	if (optind == argc)
		corpus_read_dir("corpus");
	if (out)
		mkdir(out, 0755);
	ksft_print_header();
	ksft_set_plan(3);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	cover_share();
	end_ns = now_ns() + seconds * NSEC_PER_SEC;
	run_workers(workers, seed);
	result();
	if (shared->splat || shared->stuck)
		ksft_exit_fail();
	ksft_exit_pass();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * gdb attaches to a live program, prints backtraces of all threads, steps one thread
 * while the others run and while they stand still, continues, is interrupted, and
 * detaches. The program goes on and ends as if nothing had been.
 *
 * The gdb beside the test is taken before that of PATH.
 */
#include "lib_live.h"

#include <cpuid.h>
#include <sched.h>

/*
 * An emulator's race: QEMU invalidates what it has translated from a page before it
 * stores into that page. Another CPU that runs there just then translates it once more
 * as it was, and never comes to the breakpoint, although memory has it. gdb sets
 * breakpoints while other threads run, thus it and they share a CPU.
 */
static void avoid_stale_code(void)
{
	unsigned int eax, who[3];
	cpu_set_t one;

	__cpuid(0x40000000, eax, who[0], who[1], who[2]);
	if (memcmp(who, "TCGTCGTCGTCG", sizeof(who)))
		return;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_EQ(0, sched_setaffinity(0, sizeof(one), &one));
}

FIXTURE(live)
{
	pid_t gdb;
	int out;
	size_t len;
	char text[1 << 20];	/* all that gdb has said */
};

FIXTURE_VARIANT(live) { int procs; };
FIXTURE_VARIANT_ADD(live, 1) { .procs = 1 };
FIXTURE_VARIANT_ADD(live, 2) { .procs = 2 };

FIXTURE_SETUP(live)
{
	self->out = -1;
	avoid_stale_code();
	live_start(variant->procs);
}

FIXTURE_TEARDOWN(live)
{
	if (live->pid)
		live_kill();
}

static const char *const commands[] = {
	"set pagination off",
	"set confirm off",
	"echo --threads\\n",
	"info threads",
	"thread apply all backtrace 4",
	/* A thread that computes; the one that gdb looks at first sleeps. */
	"tbreak live_hog",
	"echo --to a hog\\n",
	"continue",
	"echo --step while others run\\n",
	"set $before = $pc",
	"next",
	"echo --moved:",
	"output $pc != $before",
	"backtrace 1",
	"echo --to the next hog\\n",
	"tbreak live_hog",
	"continue",
	"set scheduler-locking on",
	"echo --step while others stand\\n",
	"stepi 20",
	"backtrace 1",
	"finish",
	"next",
	"echo --deeper no more\\n",
	"backtrace 3",
	"set scheduler-locking off",
	"echo --first run\\n",
	"continue",
	"thread apply all backtrace 2",
	"echo --second run\\n",
	"continue",
	"echo --leave\\n",
	"detach",
	"quit",
};

#define NR_COMMANDS	((int)(sizeof(commands) / sizeof(*commands)))

static void gdb_exec(pid_t pid, int out)
{
	char arg[16], *argv[2 * NR_COMMANDS + 8];
	int n = 0;

	snprintf(arg, sizeof(arg), "%d", pid);
	argv[n++] = "gdb";
	argv[n++] = "-nx";
	argv[n++] = "-batch";
	argv[n++] = "-p";
	argv[n++] = arg;
	for (int i = 0; i < NR_COMMANDS; i++) {
		argv[n++] = "-ex";
		argv[n++] = (char *)commands[i];
	}
	argv[n] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("DEBUGINFOD_URLS", "", 1);
	dup2(out, 1);
	dup2(out, 2);
	execv("./gdb", argv);
	execvp("gdb", argv);
	_exit(127);
}

static bool gdb_exists(void)
{
	return !access("./gdb", X_OK) || !system("command -v gdb >/dev/null");
}

static pid_t gdb_start(int *out)
{
	int fds[2];
	pid_t pid;

	CHECK_EQ(0, pipe2(fds, O_CLOEXEC));
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		gdb_exec(live->pid, fds[1]);
	close(fds[1]);
	*out = fds[0];
	return pid;
}

/* What gdb has said so far, as comments. */
static void gdb_complain(const char *text, const char *what)
{
	char *copy = strdup(text), *line, *at = copy;

	while ((line = strsep(&at, "\n")))
		fprintf(stderr, "#  %s\n", line);
	fprintf(stderr, "# gdb has not said: %s\n", what);
	free(copy);
	_exit(1);
}

/* Read on until gdb has said @what; "" reads to the end. Return: what follows @what. */
static const char *gdb_says(char *text, size_t size, size_t *len, int out, size_t from,
			    const char *what)
{
	struct pollfd pfd = { .fd = out, .events = POLLIN };
	int64_t end = gs_now() + PATIENCE;
	char *found;
	ssize_t n;

	while (!*what || !(found = strstr(text + from, what))) {
		n = gs_now() < end && poll(&pfd, 1, PATIENCE / MS) == 1 && *len < size - 1 ?
			read(out, text + *len, size - 1 - *len) : -1;
		if (n == 0 && !*what)
			return text + *len;
		if (n <= 0)
			gdb_complain(text, what);
		*len += n;
		text[*len] = 0;
	}
	return found + strlen(what);
}

static int count(const char *text, const char *end, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what)) && text < end) {
		n++;
		text += strlen(what);
	}
	return n;
}

#define SAYS(what) ({								\
	said = gdb_says(self->text, sizeof(self->text), &self->len, self->out,	\
			said - self->text, what);				\
})

TEST_F_TIMEOUT(live, debugged, 100)
{
	const char *said = self->text, *threads;
	int64_t begin = gs_now();
	int status;

	if (!gdb_exists())
		SKIP(return, "there is no gdb");
	self->gdb = gdb_start(&self->out);
	threads = SAYS("--threads\n");
	SAYS("--to a hog\n");
	/* Each thread of the table has a backtrace. */
	EXPECT_LE(2, count(threads, said, "\n#0 "));
	EXPECT_EQ(count(threads, said, "\nThread "), count(threads, said, "\n#0 "));
	SAYS("live_hog (");
	SAYS("--step while others run\n");
	SAYS("--moved:1");
	SAYS("live_hog (");
	SAYS("--to the next hog\n");
	SAYS("live_hog (");
	SAYS("--step while others stand\n");
	SAYS("live_compute (");
	SAYS("--deeper no more\n");
	SAYS("#0 ");
	SAYS("live_g (");
	SAYS(" in g_start ");
	printf("# %.1f s until both kinds of steps are made\n", (gs_now() - begin) / 1e9);
	SAYS("--first run\n");
	EXPECT_LE(0, live_goes_on());
	ASSERT_EQ(0, kill(live->pid, SIGINT));
	SAYS("received signal SIGINT");
	SAYS("#0 ");
	SAYS("--second run\n");
	EXPECT_LE(0, live_goes_on());
	ASSERT_EQ(0, kill(live->pid, SIGINT));
	SAYS("received signal SIGINT");
	SAYS("--leave\n");
	SAYS("detached]");
	SAYS("");
	ASSERT_EQ(self->gdb, waitpid(self->gdb, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LE(0, live_goes_on());
	EXPECT_EQ(LIVE_STATUS, live_end());
	printf("# %.1f s in all\n", (gs_now() - begin) / 1e9);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (SANITIZED)
		ksft_exit_skip("gdb sees too much of a sanitizer\n");
	return test_harness_run(argc, argv);
}

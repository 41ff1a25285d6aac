// SPDX-License-Identifier: GPL-2.0
/*
 * What gs_dump, deadlocks, SIGQUIT, gs_fatal, overflows and leaks say, and that dumping
 * is harmless while everything moves.
 */
#include "lib_check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "../userlib/dump.h"

#define NOINLINE __attribute__((noinline, noclone))
/* Behind a call: so that it is none at the function's end, a jump. */
#define STAY() asm volatile("" ::: "memory")

static char text[1 << 20];

/* ----------------------------------------------------------------------- children */

struct child {
	pid_t pid;
	int err;		/* read end of its standard error */
	int status;
};

/* @quit: what SIGQUIT does in the program, before the library comes. */
static void child_start(struct child *c, void (*body)(void), int procs, const char *debug,
			void (*quit)(int))
{
	int fd[2];

	CHECK_EQ(0, pipe(fd));
	fflush(NULL);
	c->err = fd[0];
	c->pid = fork();
	if (c->pid)
		return (void)close(fd[1]);
	alarm(50 * slowness());
	signal(SIGQUIT, quit);
	setenv("GSCHED_DEBUG", debug, 1);
	dup2(fd[1], STDERR_FILENO);
	close(fd[0]);
	close(fd[1]);
	_exit(-run_on(procs, body));
}

static void child_end(struct child *c)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(c->err, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	close(c->err);
	CHECK_EQ(c->pid, waitpid(c->pid, &c->status, 0));
}

static int run_child(void (*body)(void), int procs, const char *debug)
{
	struct child c;

	child_start(&c, body, procs, debug, SIG_DFL);
	child_end(&c);
	return c.status;
}

#define EXPECT_SIGNAL(sig, status)						\
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == (sig))		\
		TH_LOG("status %x: %s", status, text)
#define EXPECT_TEXT(s)		EXPECT_TRUE(strstr(text, s)) TH_LOG("no '%s':\n%s", s, text)
#define EXPECT_NO_TEXT(s)	EXPECT_FALSE(strstr(text, s)) TH_LOG("'%s':\n%s", s, text)

static bool begins(const char *s)
{
	return !strncmp(text, s, strlen(s));
}

/* ------------------------------------------------------- one goroutine's part of it */

/* The lines from "goroutine .. NAME .." to the next blank one. NULL: none. */
static const char *block(const char *name)
{
	static char part[1 << 16];
	char quoted[32], *at, *end;

	snprintf(quoted, sizeof(quoted), "\"%s\" [", name);
	at = strstr(text, quoted);
	if (!at)
		return NULL;
	while (at > text && at[-1] != '\n')
		at--;
	end = strstr(at, "\n\n");
	snprintf(part, sizeof(part), "%.*s", end ? (int)(end + 1 - at) : (int)strlen(at), at);
	return part;
}

/* @what, and frames of @functions, "inner outer ..", in this order. */
static bool tells(const char *name, const char *what, const char *functions)
{
	const char *at = block(name);
	char list[128], frame[64], *f, *save;

	if (!at || !strstr(at, what))
		return false;
	snprintf(list, sizeof(list), "%s", functions);
	for (f = strtok_r(list, " ", &save); f; f = strtok_r(NULL, " ", &save)) {
		snprintf(frame, sizeof(frame), "\n    %s+0x", f);
		at = strstr(at, frame);
		if (!at)
			return false;
		at++;
	}
	return !strstr(block(name), "    ?");
}

#define CHECK_TELLS(...) do {							\
	if (!tells(__VA_ARGS__)) {						\
		fprintf(stderr, "%s", text);					\
		CHECK(!#__VA_ARGS__);						\
	}									\
} while (0)

/* What gs_dump writes comes into @text. */
static int dump_fd(void)
{
	FILE *f = tmpfile();
	int fd;

	CHECK(f);
	fd = dup(fileno(f));
	fclose(f);
	return fd;
}

static void take_text(int fd)
{
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	CHECK(n >= 0);
	text[n] = '\0';
	close(fd);
}

static void dump(void)
{
	int fd = dump_fd();

	CHECK_EQ(0, gs_dump(fd));
	take_text(fd);
}

/* ------------------------------------------------------------ all kinds of waiting */

static gs_chan *full, *empty;
static gs_mutex mutex;
static gs_wg wg, ended;
static int pipe_fd[2];

static NOINLINE void send_one(void)
{
	CHECK_EQ(-EPIPE, gs_chan_send(full, NULL));
}

static NOINLINE void recv_one(void)
{
	CHECK_EQ(0, gs_chan_recv(empty, NULL));
}

static NOINLINE void lock_one(void)
{
	gs_mutex_lock(&mutex);
	gs_mutex_unlock(&mutex);
}

static NOINLINE void wait_one(void)
{
	gs_wg_wait(&wg);
	STAY();
}

static NOINLINE void read_one(void)
{
	char c;

	CHECK_EQ(1, gs_read(pipe_fd[0], &c, 1));
}

static NOINLINE void sleep_one(void)
{
	gs_sleep(10000 * MS);
	STAY();
}

static const struct kind {
	const char *name, *why;
	void (*fn)(void);
	const char *functions;
} kinds[] = {
	{ "sender", "[chan send]:", send_one, "park gs_chan_send_until send_one starter" },
	{ "receiver", "[chan receive]:", recv_one, "park gs_chan_recv_until recv_one starter" },
	{ "locker", "[mutex]:", lock_one, "park lock_one starter" },
	{ "waiter", "[wait group]:", wait_one, "park wait_one starter" },
	{ "reader", "[fd read]:", read_one, "park read_one starter" },
	{ "sleeper", "[sleep]:", sleep_one, "park sleep_one starter" },
};

#define KINDS ((int)(sizeof(kinds) / sizeof(*kinds)))

static NOINLINE void starter(void *arg)
{
	const struct kind *k = arg;

	gs_set_name(k->name);
	k->fn();
	gs_wg_done(&ended);
}

static void start_kinds(void)
{
	full = gs_chan_new(0, 0);
	empty = gs_chan_new(0, 0);
	mutex = (gs_mutex)GS_MUTEX_INIT;
	wg = (gs_wg)GS_WG_INIT;
	ended = (gs_wg)GS_WG_INIT;
	CHECK_EQ(0, pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC));
	gs_mutex_lock(&mutex);
	gs_wg_add(&wg, 1);
	gs_wg_add(&ended, KINDS - 1);
	for (int i = 0; i < KINDS; i++)
		go(starter, (void *)(kinds + i));
}

/* But for the sleeper. */
static void end_kinds(void)
{
	gs_chan_close(full);
	gs_chan_close(empty);
	gs_mutex_unlock(&mutex);
	gs_wg_done(&wg);
	CHECK_EQ(1, gs_write(pipe_fd[1], "x", 1));
	gs_wg_wait(&ended);
	gs_close(pipe_fd[0]);
	gs_close(pipe_fd[1]);
}

static bool all_wait(void)
{
	for (int i = 0; i < KINDS; i++)
		if (!tells(kinds[i].name, kinds[i].why, kinds[i].functions))
			return false;
	return true;
}

static void wait_for_kinds(void)
{
	int64_t end = gs_now() + 10000 * MS;

	do {
		gs_sleep(MS);
		dump();
	} while (!all_wait() && gs_now() < end);
	for (int i = 0; i < KINDS; i++)
		CHECK_TELLS(kinds[i].name, kinds[i].why, kinds[i].functions);
}

static NOINLINE void dumper(void)
{
	wait_for_kinds();
	STAY();
}

/* Its functions are static: their names are in the file only. */
TEST_GO(all_kinds)
{
	gs_set_name("dumper");
	start_kinds();
	dumper();
	CHECK(begins("goroutine 1 \"dumper\" [executing]:\n    gs_dump+0x"));
	CHECK_TELLS("dumper", "[executing]", "gs_dump dump wait_for_kinds dumper main_g");
	CHECK_EQ(KINDS + 1, g_count());
	end_kinds();
}

static void *dump_in_thread(void *arg)
{
	wait_for_kinds();
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
	return NULL;
}

TEST_GO(from_a_thread)
{
	pthread_t thread;

	bool done = false;

	start_kinds();
	CHECK_EQ(0, pthread_create(&thread, NULL, dump_in_thread, &done));
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		gs_sleep(MS);
	CHECK_EQ(0, pthread_join(thread, NULL));
	end_kinds();
}

static bool enough;

static void hog(void *arg)
{
	gs_set_name("hog");
	gs_wg_done(arg);
	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
		;
}

/* It runs on another thread meanwhile: no backtrace. */
static void beside_a_hog(void)
{
	gs_wg running = GS_WG_INIT;

	enough = false;
	gs_wg_add(&running, 1);
	go(hog, &running);
	gs_wg_wait(&running);
	dump();
	CHECK(strstr(block("hog"), "\"hog\" [executing]:\n"));
	CHECK(!strstr(block("hog"), "    "));
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
}

TEST(running_elsewhere)
{
	EXPECT_EQ(0, run_on(2, beside_a_hog));
}

TEST(without_a_runtime)
{
	EXPECT_EQ(-EINVAL, gs_dump(STDERR_FILENO));
}

static void cannot_write(void)
{
	int fd = open("/dev/null", O_RDONLY);

	CHECK_EQ(-EBADF, gs_dump(-1));
	CHECK_EQ(-EBADF, gs_dump(fd));
	close(fd);
	fd = open("/dev/full", O_WRONLY);
	CHECK_EQ(-ENOSPC, gs_dump(fd));
	close(fd);
}

TEST(write_fails)
{
	EXPECT_EQ(0, run_on(1, cannot_write));
}

static void unnamed(void *arg)
{
	gs_chan_recv(arg, NULL);
	STAY();
}

/* On one P it has not begun, but if the kernel has let this M wait, for a page say. */
static bool dump_one_that_has_not_begun(gs_chan *c)
{
	for (int i = 0; i < 100; i++) {
		go(unnamed, c);
		dump();
		if (strstr(text, "\"\" [runnable]:\n    unnamed+0x0 (lib_dump) ["))
			return true;
	}
	return false;
}

static void dump_new(void)
{
	char name[] = "a\nb\t\x7f";
	gs_chan *c = gs_chan_new(0, 0);

	gs_set_name(name);
	CHECK(dump_one_that_has_not_begun(c));
	/* A name cannot break a line. */
	CHECK(strstr(text, "goroutine 1 \"a?b?\x7f\" [executing]"));
	gs_chan_close(c);
}

static NOINLINE int in_a_group(void *arg)
{
	int ret = gs_chan_recv(arg, NULL);

	STAY();
	return ret;
}

/* Its frames begin lower; the function is the one that the program has named. */
static void dump_member(void)
{
	gs_group grp = GS_GROUP_INIT;
	gs_chan *c = gs_chan_new(0, 0);

	CHECK_EQ(0, gs_group_go(&grp, in_a_group, c));
	dump();
	CHECK(strstr(text, "[runnable]:\n    in_a_group+0x0 (lib_dump) ["));
	gs_yield();
	dump();
	CHECK(strstr(text, "[chan receive]:\n    "));
	CHECK(strstr(text, "    in_a_group+0x"));
	CHECK(!strstr(text, "    ?\n"));
	CHECK_EQ(0, gs_chan_close(c));
	CHECK_EQ(0, gs_group_wait(&grp));
	gs_chan_unref(c);
}

TEST(member_of_a_group)
{
	EXPECT_EQ(0, run_on(1, dump_member));
}

TEST(before_it_begins)
{
	EXPECT_EQ(0, run_on(1, dump_new));
}

/* Seconds from 1 on; a coarse clock: 17 ms, and a few of them for a slow machine. */
static void how_long(void)
{
	gs_chan *c = gs_chan_new(0, 0);
	int64_t begin = gs_now(), took;
	int seconds;

	go(unnamed, c);
	gs_sleep(1100 * MS);
	dump();
	took = gs_now() - begin;
	CHECK(strstr(text, "[chan receive, "));
	CHECK_EQ(1, sscanf(strstr(text, "[chan receive, "), "[chan receive, %d s]:", &seconds));
	CHECK(seconds >= 1 && seconds <= took / (1000 * MS));
	/* A wait that begins now is a new one. */
	gs_chan_send(c, NULL);
	go(unnamed, c);
	gs_sleep(MS);
	dump();
	CHECK(took > 1900 * MS || strstr(text, "[chan receive]:"));
	gs_chan_close(c);
}

TEST(how_long_it_waits)
{
	EXPECT_EQ(0, run_on(1, how_long));
}

/* -------------------------------------------------------------------- how many exist */

/* To what has been said to end it takes a moment. */
static bool count_becomes(uint64_t n)
{
	int64_t end = gs_now() + 10000 * MS;

	while (g_count() != n && gs_now() < end)
		gs_yield();
	return g_count() == n;
}

static gs_wg counted;

static void be_counted(void *arg)
{
	gs_chan_recv(arg, NULL);
	gs_wg_done(&counted);
}

static void count(void)
{
	CHECK_EQ(1, g_count());
	for (int n = 300; n; n -= 100) {
		gs_chan *c = gs_chan_new(0, 0);

		gs_wg_add(&counted, n);
		for (int i = 0; i < n; i++)
			go(be_counted, c);
		CHECK_EQ(n + 1, g_count());
		gs_sleep(MS);
		CHECK_EQ(n + 1, g_count());
		gs_chan_close(c);
		CHECK(count_becomes(1));
		gs_wg_wait(&counted);
		gs_chan_unref(c);
	}
}

TEST(how_many)
{
	EXPECT_EQ(0, run_on(2, count));
}

/* ------------------------------------------------------------------------- deadlock */

static NOINLINE void stuck(void *arg)
{
	gs_set_name("stuck");
	gs_chan_send(arg, NULL);
	STAY();
}

static NOINLINE void deadlock(void)
{
	go(stuck, gs_chan_new(0, 0));
	gs_sleep(MS);
	gs_chan_recv(gs_chan_new(0, 0), NULL);
	STAY();
}

TEST_F(procs, deadlock)
{
#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan has a thread of its own, which might wake somebody");
#endif
	EXPECT_SIGNAL(SIGABRT, run_child(deadlock, variant->n, ""));
	EXPECT_TRUE(begins("gsched: fatal: all goroutines are asleep - deadlock!\n\n"));
	EXPECT_TRUE(tells("stuck", "[chan send]:", "park gs_chan_send_until stuck"))
		TH_LOG("%s", text);
	EXPECT_TRUE(tells("", "goroutine 1 \"\" [chan receive]:",
			  "park gs_chan_recv_until deadlock lib_check_main"))
		TH_LOG("%s", text);
}

/* -------------------------------------------------------------------------- SIGQUIT */

static NOINLINE void until_killed(void)
{
	go(stuck, gs_chan_new(0, 0));
	/* Ready: the parent reads this. */
	gs_sleep(20 * MS);
	CHECK_EQ(1, write(STDERR_FILENO, ">", 1));
	gs_sleep(60000 * MS);
	STAY();
}

static void wait_until_ready(struct child *c)
{
	char ready;

	CHECK_EQ(1, read(c->err, &ready, 1));
	CHECK_EQ('>', ready);
	usleep(20000);
}

static int quit_child(void (*body)(void), const char *debug, void (*quit)(int))
{
	struct child c;

	child_start(&c, body, 2, debug, quit);
	wait_until_ready(&c);
	CHECK_EQ(0, kill(c.pid, SIGQUIT));
	child_end(&c);
	return c.status;
}

TEST(sigquit)
{
	EXPECT_SIGNAL(SIGQUIT, quit_child(until_killed, "sigquit=1", SIG_DFL));
	EXPECT_TRUE(begins("gsched: SIGQUIT\n\n")) TH_LOG("%s", text);
	EXPECT_TRUE(tells("stuck", "[chan send]:", "park gs_chan_send_until stuck"))
		TH_LOG("%s", text);
	EXPECT_TRUE(tells("", "[sleep]:", "park until_killed lib_check_main"))
		TH_LOG("%s", text);
}

TEST(sigquit_not_asked_for)
{
	EXPECT_SIGNAL(SIGQUIT, quit_child(until_killed, "sigquit=0", SIG_DFL));
	EXPECT_STREQ("", text);
	EXPECT_SIGNAL(SIGQUIT, quit_child(until_killed, "", SIG_DFL));
	EXPECT_STREQ("", text);
}

static void own_handler(int sig)
{
	_exit(sig == SIGQUIT ? 42 : 1);
}

/* The program's own handler comes afterwards. */
TEST(sigquit_is_passed_on)
{
	int status = quit_child(until_killed, "sigquit=1", own_handler);
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) TH_LOG("%x", status);
	EXPECT_TEXT("gsched: SIGQUIT\n");
	EXPECT_TEXT("\"stuck\" [chan send]");
}

static void until_signalled(void)
{
	go(stuck, gs_chan_new(0, 0));
	gs_sleep(20 * MS);
	CHECK_EQ(1, write(STDERR_FILENO, ">", 1));
	gs_sleep(1000 * MS);
}

TEST(sigquit_is_ignored)
{
	EXPECT_EQ(0, quit_child(until_signalled, "sigquit=1", SIG_IGN));
	EXPECT_TEXT("\"stuck\" [chan send]");
}

/* The one that is interrupted is shown as it was. */
static NOINLINE void raises(void *arg)
{
	(void)arg;
	gs_set_name("raiser");
	raise(SIGQUIT);
	STAY();
}

static void raise_soon(void)
{
	go(raises, NULL);
	gs_sleep(10000 * MS);
}

TEST(sigquit_in_a_goroutine)
{
	EXPECT_SIGNAL(SIGQUIT, run_child(raise_soon, 2, "sigquit=1"));
	if (!SANITIZED)
		EXPECT_TRUE(tells("raiser", "[executing]:", "raises")) TH_LOG("%s", text);
	EXPECT_TEXT("\n\ngoroutine 1 \"\" [sleep]:\n");
}

/* --------------------------------------------------------------------------- fatal */

static NOINLINE void fails(void *arg)
{
	gs_set_name("failing");
	gs_fatal("no %s for %d", (char *)arg, 7);
}

static NOINLINE void *fails_outside(void *arg)
{
	gs_fatal("outside of %s", (char *)arg);
}

static void fail_soon(void)
{
	go(fails, "reason");
	gs_sleep(10000 * MS);
}

static void fail_in_thread(void)
{
	pthread_t thread;

	CHECK_EQ(0, pthread_create(&thread, NULL, fails_outside, "it"));
	gs_sleep(10000 * MS);
}

TEST(fatal)
{
	EXPECT_SIGNAL(SIGABRT, run_child(fail_soon, 1, ""));
	EXPECT_TRUE(begins("fatal: no reason for 7 (goroutine ")) TH_LOG("%s", text);
	EXPECT_TEXT(" \"failing\")\n    gs_fatal+0x");
	EXPECT_TEXT("\n    fails+0x");
	EXPECT_NO_TEXT("    ?");
}

TEST(fatal_in_a_thread)
{
	EXPECT_SIGNAL(SIGABRT, run_child(fail_in_thread, 1, ""));
	EXPECT_TRUE(begins("fatal: outside of it\n    gs_fatal+0x")) TH_LOG("%s", text);
	EXPECT_TEXT("\n    fails_outside+0x");
	EXPECT_NO_TEXT("    ?");
}

/* The library's own. */
static NOINLINE void misuses(void)
{
	gs_wg w = GS_WG_INIT;

	gs_wg_done(&w);
	STAY();
}

TEST(fatal_inside)
{
	EXPECT_SIGNAL(SIGABRT, run_child(misuses, 1, ""));
	EXPECT_TEXT("gsched: fatal: ");
	EXPECT_TEXT(" (goroutine 1 \"\")\n    fatal+0x");
	EXPECT_TEXT("\n    misuses+0x");
	EXPECT_NO_TEXT("    ?");
}

/* ------------------------------------------------------------------------- overflow */

static NOINLINE int dig(int n)
{
	volatile char room[3000];

	room[n % 3000] = 1;
	return n < 0 ? 0 : dig(n + 1) + room[0];
}

static NOINLINE void digs(void *arg)
{
	gs_set_name("digger");
	dig(*(int *)arg);
	STAY();
}

static void dig_soon(void)
{
	static int from;

	go(digs, &from);
	gs_sleep(10000 * MS);
}

TEST(overflow)
{
	EXPECT_SIGNAL(SIGABRT, run_child(dig_soon, 1, ""));
	EXPECT_TEXT("\"digger\" used all of its 192 KiB\n    dig+0x");
	EXPECT_TEXT(" more ...\n    dig+0x");
	EXPECT_TEXT("\n    digs+0x");
	EXPECT_NO_TEXT("    ?");
}

/* ---------------------------------------------------------------------------- leaks */

/* It has said that it is done, but is not yet at its end. */
static void lingers(void *arg)
{
	gs_wg_done(arg);
	for (int i = 0; i < 50; i++)
		gs_yield();
}

static void leak(void)
{
	gs_wg w = GS_WG_INIT;

	go(stuck, gs_chan_new(0, 0));
	gs_wg_add(&w, 20);
	for (int i = 0; i < 20; i++)
		go(lingers, &w);
	gs_wg_wait(&w);
}

static void leak_nothing(void)
{
	gs_wg w = GS_WG_INIT;

	gs_wg_add(&w, 20);
	for (int i = 0; i < 20; i++)
		go(lingers, &w);
	gs_wg_wait(&w);
}

TEST_F(procs, leaks)
{
	EXPECT_EQ(0, run_child(leak, variant->n, "leaks=1"));
	EXPECT_TRUE(begins("gsched: leaks: 1 goroutine has not ended\n\ngoroutine "))
		TH_LOG("%s", text);
	EXPECT_TRUE(tells("stuck", "[chan send]:", "park stuck")) TH_LOG("%s", text);
	EXPECT_NO_TEXT("goroutine 1 ");
	EXPECT_EQ(0, run_child(leak_nothing, variant->n, "leaks=1"));
	EXPECT_STREQ("", text);
	EXPECT_EQ(0, run_child(leak, variant->n, "leaks=0"));
	EXPECT_STREQ("", text);
}

/* ------------------------------------------------------------------------ under load */

#define MOVERS	64

static NOINLINE void step(unsigned int *seed, gs_chan *c)
{
	switch (rnd(seed) % 4) {
	case 0:
		gs_yield();
		break;
	case 1:
		gs_sleep(rnd(seed) % 100000);
		break;
	case 2:
		gs_chan_try_send(c, NULL);
		break;
	default:
		gs_chan_recv_until(c, NULL, gs_now() + rnd(seed) % 100000);
	}
	STAY();
}

static NOINLINE void climb(unsigned int *seed, gs_chan *c, int depth)
{
	volatile char room[64];

	room[depth] = 1;
	if (depth)
		climb(seed, c, depth - 1);
	else
		step(seed, c);
	room[depth] = room[0];
}

struct mover {
	unsigned int seed;
	gs_chan *c;
	gs_wg *wg;
};

static NOINLINE void mover(void *arg)
{
	struct mover *m = arg;

	gs_set_name("mover");
	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
		climb(&m->seed, m->c, rnd(&m->seed) % 16);
	gs_wg_done(m->wg);
}

static void short_lived(void *arg)
{
	gs_wg_done(arg);
}

/* Every line is of a known kind; the backtraces that are whole end where they must. */
static void check_lines(int *whole)
{
	char *save, *line, *last = NULL;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end = line + strlen(line) - 1;

		if (!strncmp(line, "    ", 4)) {
			CHECK(*end == ']' || !strcmp(line, "    ?") || strstr(line, "more"));
			last = line;
			continue;
		}
		CHECK(!strncmp(line, "goroutine ", 10) && end[-1] == ']' && *end == ':');
		if (last && !strcmp(last, "    ?"))
			last = NULL;
		if (last) {
			CHECK(!strncmp(last + 4, "mover+", 6) || !strncmp(last + 4, "main_g+", 7) ||
			      !strncmp(last + 4, "short_lived+", 12));
			++*whole;
		}
		last = NULL;
	}
}

TEST_GO(under_load)
{
	unsigned int seed = test_seed();
	struct mover movers[MOVERS];
	gs_chan *c = gs_chan_new(0, 4);
	gs_wg w = GS_WG_INIT, short_ones = GS_WG_INIT;
	int64_t end = gs_now() + 3000 * MS;
	int whole = 0, fd, i;

	enough = false;
	gs_wg_add(&w, MOVERS);
	for (i = 0; i < MOVERS; i++) {
		movers[i] = (struct mover){ rnd(&seed), c, &w };
		go(mover, movers + i);
	}
	/* A thousand in all, on a fast machine. */
	for (i = 0; i < 10 || (i < 400 && gs_now() < end); i++) {
		gs_wg_add(&short_ones, 1);
		go(short_lived, &short_ones);
		fd = dump_fd();
		CHECK_EQ(0, gs_dump(fd));
		take_text(fd);
		check_lines(&whole);
		gs_yield();
	}
	/* Most stand still most of the time. */
	CHECK(whole > i * MOVERS / 2);
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	gs_wg_wait(&w);
	gs_wg_wait(&short_ones);
	gs_chan_unref(c);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * stdio on pipes: a reader sits in fgets() while its writer sleeps between lines.
 * Both are goroutines, and both block: the one in read(2), the other in nanosleep(2).
 */
#include "lib_blocking.h"

#define LINES	5
#define PAUSE	(40 * MS)

static FILE *from[CROWD_MODULE / 2], *to[CROWD_MODULE / 2];

static void write_lines(int pair)
{
	struct timespec pause = { .tv_nsec = PAUSE };
	int i;

	for (i = 0; i < LINES; i++) {
		CHECK_EQ(0, nanosleep(&pause, NULL));
		CHECK(fprintf(to[pair], "pair %d, line %d\n", pair, i) > 0);
		CHECK_EQ(0, fflush(to[pair]));
	}
	CHECK_EQ(0, fclose(to[pair]));
}

static void read_lines(int pair)
{
	char line[64], want[64];
	int i;

	for (i = 0; i < LINES; i++) {
		CHECK(fgets(line, sizeof(line), from[pair]));
		snprintf(want, sizeof(want), "pair %d, line %d\n", pair, i);
		CHECK(strcmp(line, want) == 0);
	}
	CHECK(!fgets(line, sizeof(line), from[pair]));
	CHECK(feof(from[pair]) && !ferror(from[pair]));
	CHECK_EQ(0, fclose(from[pair]));
}

/* Readers come first, and have to wait. */
static void one(int i)
{
	if (i < CROWD_MODULE / 2)
		read_lines(i);
	else
		write_lines(i - CROWD_MODULE / 2);
}

static void pipes(void)
{
	int fd[2], i;

	for (i = 0; i < CROWD_MODULE / 2; i++) {
		CHECK_EQ(0, pipe(fd));
		from[i] = fdopen(fd[0], "r");
		to[i] = fdopen(fd[1], "w");
		CHECK(from[i] && to[i]);
	}
	crowd_run("fgets on pipes", CROWD_MODULE, one, CROWD_MODULE * LINES * PAUSE);
}

TEST(stdio_on_pipes)
{
	RUN_ON_MODULE(1, pipes);
}

/* One stream of all: its lock is held by who blocks in it, and the others wait for that. */
static FILE *shared;

static void read_shared(int i)
{
	char line[64];
	unsigned int n;
	int pos;

	(void)i;
	CHECK(fgets(line, sizeof(line), shared));
	CHECK(sscanf(line, "line %u of the shared pipe%n", &n, &pos) == 1);
	CHECK_EQ('\n', line[pos]);
}

static void feed(void *arg)
{
	struct timespec pause = { .tv_nsec = 2 * MS };
	FILE *f = arg;
	int i;

	for (i = 0; i < CROWD_MODULE; i++) {
		nanosleep(&pause, NULL);
		fprintf(f, "line %d of the shared pipe\n", i);
		fflush(f);
	}
	fclose(f);
	gs_wg_done(&crowd.done);
}

static void shared_stream(void)
{
	int fd[2];
	FILE *to_shared;

	CHECK_EQ(0, pipe(fd));
	shared = fdopen(fd[0], "r");
	to_shared = fdopen(fd[1], "w");
	CHECK(shared && to_shared);
	gs_wg_add(&crowd.done, 1);
	go(feed, to_shared);
	crowd_run("fgets on one stream", CROWD_MODULE, read_shared, 0);
	CHECK_EQ(EOF, fgetc(shared));
	CHECK_EQ(0, fclose(shared));
}

TEST(stdio_on_one_stream)
{
	RUN_ON_MODULE(1, shared_stream);
}

TEST_HARNESS_MAIN

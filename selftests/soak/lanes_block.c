// SPDX-License-Identifier: GPL-2.0
/* Lanes: calls that block the thread, so that its P is handed to others; children. */
#include "lanes.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

/* ------------------------------------------------------------ blocking pipes */

struct blocker {
	int fd;
	unsigned int n;
	gs_wg done;
};

/* Plain write(2) after sleeping in the kernel, not in the library. */
static void block_writer(void *arg)
{
	struct blocker *b = arg;

	for (unsigned int i = 0; i < b->n; i++) {
		sleep_ns(i * 10000);
		soak_must(write(b->fd, &i, sizeof(i)) == sizeof(i));
	}
	close(b->fd);
	gs_wg_done(&b->done);
}

void lane_block(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		struct blocker b = { .n = rnd(&seed, 30), .done = GS_WG_INIT };
		unsigned int got, expected = 0;
		int fd[2];

		if (pipe2(fd, O_CLOEXEC)) {
			soak_must(lanes_no_memory(-errno));
			continue;
		}
		b.fd = fd[1];
		gs_wg_add(&b.done, 1);
		lanes_go(block_writer, &b);
		while (read(fd[0], &got, sizeof(got)) == sizeof(got))
			soak_result(got, got == expected++);
		soak_must(expected == b.n);
		close(fd[0]);
		gs_wg_wait(&b.done);
		soak_step(lane);
	}
}

/* --------------------------------------------------------------------- files */

/* A file without a name, gone with the process. */
void lane_file(struct lane *lane, unsigned int seed)
{
	unsigned int words[256], seen[256];
	int fd;

	while ((fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)) < 0)
		soak_must(lanes_no_memory(-errno));
	while (!lanes_end()) {
		off_t at = rnd(&seed, 64) * sizeof(words);
		ssize_t n;

		for (unsigned int i = 0; i < 256; i++)
			words[i] = seed + i;
		n = gs_pwrite(fd, words, sizeof(words), at);
		if (lanes_no_memory(n))
			continue;
		soak_result(n, n == sizeof(words) && fsync(fd) == 0);
		soak_must(gs_pread(fd, seen, sizeof(seen), at) == sizeof(seen));
		soak_must(memcmp(words, seen, sizeof(seen)) == 0);
		soak_step(lane);
		gs_yield();
	}
	close(fd);
}

/* ------------------------------------------------------------------ children */

extern char **environ;

/* The parent's group may be squeezed, and its signals are its group's: any end will do. */
static void wait_for(pid_t pid, int expected)
{
	int status;
	pid_t seen;

	while (lanes_no_memory(seen = gs_waitpid(pid, &status, 0)))
		;
	soak_result(seen, seen == pid);
	soak_must(WIFSIGNALED(status) || WEXITSTATUS(status) == expected ||
		  WEXITSTATUS(status) == 127);
}

void lane_child(struct lane *lane, unsigned int seed)
{
	char *argv[] = { "worker", "--nothing", NULL };
	pid_t pid;
	int err;

	while (!lanes_end()) {
		err = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
		soak_result(err, err == 0 || lanes_no_memory(-err));
		if (!err)
			wait_for(pid, 0);
		soak_step(lane);
		gs_sleep(rnd(&seed, 100000000));
	}
}

/* The child has its parent's stacks, and no part in its context. */
void lane_fork(struct lane *lane, unsigned int seed)
{
	volatile unsigned int local = seed;
	pid_t pid;

	while (!lanes_end()) {
		pid = fork();
		soak_must(pid >= 0 || lanes_no_memory(-errno));
		if (pid == 0) {
			local++;
			_exit(local == seed + 1 ? 7 : 1);
		}
		if (pid > 0)
			wait_for(pid, 7);
		soak_must(local == seed);
		soak_step(lane);
		gs_sleep(100 * NSEC_PER_MSEC);
	}
}

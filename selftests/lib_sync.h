/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_sync.h: for the tests of locks and the like: the same work done by goroutines, by
 * threads, and by both; who waits for a lock; how a program ends that misuses it.
 */
#ifndef LIB_SYNC_H
#define LIB_SYNC_H

#include "lib_check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "../userlib/waitq.h"

/* Only bounds how long a failure takes. */
#define PATIENCE	(20000 * MS)

/* ------------------------------------------------------------------------- crowd */

#define GOROUTINES	1
#define THREADS		2
#define BOTH		(GOROUTINES | THREADS)

#define CROWD_MOST	16

struct crowd {
	void (*fn)(void *arg);
	void *arg;
	gs_wg wg;
	int nr_threads;
	pthread_t threads[CROWD_MOST];
};

static inline void crowd_member(void *arg)
{
	struct crowd *c = arg;

	c->fn(c->arg);
	gs_wg_done(&c->wg);
}

static inline void *crowd_thread(void *arg)
{
	crowd_member(arg);
	return NULL;
}

/* @n members at most CROWD_MOST; of both kinds every second is a thread. */
static inline void crowd_start(struct crowd *c, int kinds, int n, void (*fn)(void *), void *arg)
{
	memset(c, 0, sizeof(*c));
	c->fn = fn;
	c->arg = arg;
	gs_wg_add(&c->wg, n);
	for (int i = 0; i < n; i++) {
		if (kinds == GOROUTINES || (kinds == BOTH && i % 2))
			go(crowd_member, c);
		else
			CHECK_EQ(0, pthread_create(&c->threads[c->nr_threads++], NULL,
						   crowd_thread, c));
	}
}

/* Threads are joined when they are as good as gone: this may block the only P. */
static inline void crowd_wait(struct crowd *c)
{
	CHECK_EQ(0, gs_wg_wait_until(&c->wg, gs_now() + PATIENCE));
	for (int i = 0; i < c->nr_threads; i++)
		CHECK_EQ(0, pthread_join(c->threads[i], NULL));
}

static inline void crowd_run(int kinds, int n, void (*fn)(void *), void *arg)
{
	struct crowd c;

	crowd_start(&c, kinds, n, fn, arg);
	crowd_wait(&c);
}

/* How often: threads cost much, in an emulated machine more, under sanitizers no more. */
#define ROUNDS(kinds, goroutines, threads)	\
	((kinds) == GOROUTINES ? TIMES(goroutines) : (threads))

/* TEST_CROWD(name) { body }: a test with @kinds of members; threads without a runtime. */
#define TEST_CROWD(name)						\
	static void crowd_##name(int kinds);				\
	TEST_GO(name##_goroutines) { crowd_##name(GOROUTINES); }	\
	TEST_GO(name##_both) { crowd_##name(BOTH); }			\
	TEST(name##_threads) { crowd_##name(THREADS); }			\
	static void crowd_##name(int kinds)

/* ------------------------------------------------------------------- who waits */

static inline int nr_waiting(uint32_t *lock, void **queue)
{
	struct m *m = sec_enter();
	struct waiter *w;
	int n = 0;

	rt_lock((struct rt_lock *)lock);
	w = *queue;
	if (w) {
		do {
			n++;
			w = w->next;
		} while (w != *queue);
	}
	rt_unlock((struct rt_lock *)lock);
	sec_leave(m);
	return n;
}

/* Until @n wait in @queue of an object that has @lock. */
static inline void await_waiting(uint32_t *lock, void **queue, int n)
{
	int64_t end = gs_now() + PATIENCE;

	while (nr_waiting(lock, queue) != n) {
		CHECK(gs_now() < end);
		gs_yield();
	}
}

/* ---------------------------------------------------------------------- misuse */

/*
 * @fn, the first goroutine of a program of its own, ends it with a message that has @text
 * in it. (The harness takes SIGABRT for a failed assertion, so not TEST_SIGNAL.)
 */
static inline void dies_saying(int (*fn)(int, char **), const char *text)
{
	char said[1024];
	int fds[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	CHECK(!pipe(fds));
	child = fork();
	if (!child) {
		dup2(fds[1], STDERR_FILENO);
		_exit(gs_main(fn, 0, NULL));
	}
	close(fds[1]);
	while (n < sizeof(said) - 1 && (got = read(fds[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += got;
	said[n] = '\0';
	close(fds[0]);
	CHECK_EQ(child, waitpid(child, &status, 0));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(SIGABRT, WTERMSIG(status));
	if (!strstr(said, text)) {
		fprintf(stderr, "# not \"%s\" but: %s", text, said);
		_exit(1);
	}
}

/* DIES(name, "text") { body }: the body, in a goroutine, is the program's end. */
#define DIES(name, text)							\
	static void dies_##name(void);						\
	static int main_##name(int argc, char **argv)				\
	{									\
		(void)argc;							\
		(void)argv;							\
		dies_##name();							\
		return 0;							\
	}									\
	TEST(name) { dies_saying(main_##name, text); }				\
	static void dies_##name(void)

#endif /* LIB_SYNC_H */

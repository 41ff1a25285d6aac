// SPDX-License-Identifier: GPL-2.0
/* Computing and talking: pairs of threads with futexes, otherwise as gsched.c. */
#include "futex.h"

#define ROUNDS	50000L
#define PAIRS	16

struct pair {
	uint32_t asked, answered;
	long question, answer;
};

static long each;

static void *answer(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < each; i++) {
		futex_wait_for(&p->asked);
		work_unit();
		p->answer = -p->question;
		futex_send(&p->answered);
	}
	return NULL;
}

static void *ask(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < each; i++) {
		work_unit();
		p->question = i;
		futex_send(&p->asked);
		futex_wait_for(&p->answered);
		need(p->answer == -i);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct pair pairs[PAIRS];
	int procs = arg_procs(argc, argv);
	pthread_t t[2 * PAIRS];
	int64_t begin;

	pin_to_some(procs);
	each = arg_count(argc, argv, ROUNDS) / PAIRS;
	begin = now_ns();
	for (int i = 0; i < PAIRS; i++) {
		t[2 * i] = thread_start(ask, &pairs[i]);
		t[2 * i + 1] = thread_start(answer, &pairs[i]);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		thread_join(t[i]);
	report("scaling", "threads", procs, each * PAIRS, now_ns() - begin, NULL);
	return 0;
}

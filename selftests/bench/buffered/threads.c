// SPDX-License-Identifier: GPL-2.0
/* A ring of 128 with a mutex and conditions: from one thread to one, and from eight to eight. */
#include "measure.h"

#define MESSAGES	1000000L
#define CAPACITY	128

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static long ring[CAPACITY];
static unsigned long head, tail;
static bool closed;
static long each, sum, received;

static void put(long v)
{
	pthread_mutex_lock(&mutex);
	while (tail - head == CAPACITY)
		pthread_cond_wait(&not_full, &mutex);
	ring[tail++ % CAPACITY] = v;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&mutex);
}

static bool take(long *v)
{
	bool is_there;

	pthread_mutex_lock(&mutex);
	while (tail == head && !closed)
		pthread_cond_wait(&not_empty, &mutex);
	is_there = tail != head;
	if (is_there) {
		*v = ring[head++ % CAPACITY];
		pthread_cond_signal(&not_full);
	}
	pthread_mutex_unlock(&mutex);
	return is_there;
}

static void close_ring(bool is_closed)
{
	pthread_mutex_lock(&mutex);
	closed = is_closed;
	pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&mutex);
}

static void *send_many(void *arg)
{
	for (long i = 0; i < each; i++)
		put(i);
	return arg;
}

static void *recv_many(void *arg)
{
	long v, mine = 0, n = 0;

	for (; take(&v); n++)
		mine += v;
	__atomic_add_fetch(&sum, mine, __ATOMIC_RELAXED);
	__atomic_add_fetch(&received, n, __ATOMIC_RELAXED);
	return arg;
}

static void measure(const char *name, int procs, long messages, int ends)
{
	pthread_t senders[8], receivers[8];
	int64_t begin = now_ns();

	each = messages / ends;
	sum = received = 0;
	close_ring(false);
	for (int i = 0; i < ends; i++) {
		senders[i] = thread_start(send_many, NULL);
		receivers[i] = thread_start(recv_many, NULL);
	}
	for (int i = 0; i < ends; i++)
		thread_join(senders[i]);
	close_ring(true);
	for (int i = 0; i < ends; i++)
		thread_join(receivers[i]);
	need(received == each * ends && sum == ends * (each * (each - 1) / 2));
	report(name, "threads", procs, received, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long messages = arg_count(argc, argv, MESSAGES);

	pin_to_some(procs);
	measure("buffered_1to1", procs, messages, 1);
	measure("buffered_8to8", procs, messages, 8);
	return 0;
}

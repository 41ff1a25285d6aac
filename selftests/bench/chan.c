// SPDX-License-Identifier: GPL-2.0
/* Channels: ping-pong between two goroutines, and many through one buffer. */
#include <stdio.h>

#include <gsched.h>

#define ROUNDS	1000000
#define ENDS	8

static gs_chan *ping, *pong;

static void echo(void *arg)
{
	int v;

	(void)arg;
	while (gs_chan_recv(ping, &v) == 1)
		gs_chan_send(pong, &v);
}

static void report(const char *name, int procs, long ops, int64_t begin)
{
	printf("bench=%s impl=gsched procs=%d ops=%ld ns_per_op=%.1f backend=%s\n", name, procs,
	       ops, (double)(gs_now() - begin) / ops, gs_backend());
	fflush(stdout);
}

/* An operation is a send and its receive. */
static void ping_pong(int procs)
{
	int64_t begin;
	int i, v = 0;

	ping = gs_chan_new(sizeof(int), 0);
	pong = gs_chan_new(sizeof(int), 0);
	gs_go(echo, NULL);
	begin = gs_now();
	for (i = 0; i < ROUNDS; i++) {
		gs_chan_send(ping, &i);
		gs_chan_recv(pong, &v);
	}
	report("chan_pingpong", procs, 2L * ROUNDS, begin);
	gs_chan_close(ping);
}

static gs_chan *shared;
static gs_wg senders, receivers;

static void send_many(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS / ENDS; i++)
		gs_chan_send(shared, &i);
	gs_wg_done(&senders);
}

static void recv_many(void *arg)
{
	int v;

	(void)arg;
	while (gs_chan_recv(shared, &v) == 1)
		;
	gs_wg_done(&receivers);
}

static void crowd(int procs)
{
	int64_t begin = gs_now();
	int i;

	shared = gs_chan_new(sizeof(int), 100);
	gs_wg_add(&senders, ENDS);
	gs_wg_add(&receivers, ENDS);
	for (i = 0; i < ENDS; i++) {
		gs_go(send_many, NULL);
		gs_go(recv_many, NULL);
	}
	gs_wg_wait(&senders);
	gs_chan_close(shared);
	gs_wg_wait(&receivers);
	report("chan_8to8_buffered", procs, ROUNDS, begin);
	gs_chan_unref(shared);
}

static int bench(int argc, char **argv)
{
	int procs;

	(void)argc;
	(void)argv;
	for (procs = 1; procs <= 2; procs++) {
		gs_set_maxprocs(procs);
		ping_pong(procs);
		crowd(procs);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(bench, argc, argv);
}

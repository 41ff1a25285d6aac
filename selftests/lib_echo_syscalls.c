// SPDX-License-Identifier: GPL-2.0
/*
 * How many system calls does a message cost an echo server with 64 connections, one
 * message under way on each? All threads of the server and all system calls count,
 * /dev/gsched's ioctls too. The kernel counts, by a histogram of
 * raw_syscalls:sys_enter; the client, another process, reads it before and after.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gsched.h>

#include "kselftest.h"

#define NR_BARS		(sizeof(bars) / sizeof(bars[0]))
#define TRACING		"/sys/kernel/tracing"
#define CONNECTIONS	64
#define WARM_UP		(CONNECTIONS * 50)
#define MESSAGES	(CONNECTIONS * 500)
#define MESSAGE_BYTES	64
/*
 * With the module. On one P a message costs a read and a write, and going idle when it
 * was the only one. On two, a message that finds one P at work on another may be taken
 * by the second P: when the machine is so busy with others that all are taken so, that is
 * a wake-up more for two messages.
 */
static void serve(void *arg);
static void serve_vec(void *arg);
static void serve_msg(void *arg);

static const struct {
	int procs;
	double most;
	void (*serve)(void *arg);
	const char *calls;
} bars[] = {
	{ 1, 3.05, serve, "read" },
	{ 2, 3.55, serve, "read" },
	{ 1, 3.05, serve_vec, "readv" },
	{ 1, 3.05, serve_msg, "recvmsg" },
};

static char instance[128];
static int listener, report[2];

/* ------------------------------------------------------------------ the histogram */

static bool put_file(const char *name, const char *text)
{
	char path[256];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", instance, name);
	f = fopen(path, "w");
	if (!f)
		return false;
	ok = fputs(text, f) >= 0;
	return fclose(f) == 0 && ok;
}

static bool trace_begin(void)
{
	if (access(TRACING "/instances", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	snprintf(instance, sizeof(instance), TRACING "/instances/gsched-%d", getpid());
	if (mkdir(instance, 0700))
		return false;
	if (put_file("events/raw_syscalls/sys_enter/trigger", "hist:keys=common_pid\n"))
		return true;
	rmdir(instance);
	return false;
}

static void trace_end(void)
{
	put_file("events/raw_syscalls/sys_enter/trigger", "!hist:keys=common_pid\n");
	rmdir(instance);
}

/* The system calls so far of the threads that @process has. */
static long count_syscalls(pid_t process)
{
	long sum = 0, pid, hits;
	char line[256], path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/events/raw_syscalls/sys_enter/hist", instance);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "{ common_pid: %ld } hitcount: %ld", &pid, &hits) != 2)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%ld", process, pid);
		if (!access(path, F_OK))
			sum += hits;
	}
	fclose(f);
	return sum;
}

/* ----------------------------------------------------------------------- the client */

static void client_connect(struct pollfd *p)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int i;

	if (getsockname(listener, (struct sockaddr *)&a, &len))
		exit(1);
	for (i = 0; i < CONNECTIONS; i++) {
		p[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		p[i].events = POLLIN;
		if (connect(p[i].fd, (struct sockaddr *)&a, sizeof(a)))
			exit(1);
	}
}

static void client_send(int fd)
{
	static char message[MESSAGE_BYTES];

	if (write(fd, message, sizeof(message)) != sizeof(message))
		exit(1);
}

static void client_recv(int fd)
{
	char message[MESSAGE_BYTES];

	if (recv(fd, message, sizeof(message), MSG_WAITALL) != sizeof(message))
		exit(1);
}

/* @n messages; there is one under way on each connection before and after. */
static void client_exchange(struct pollfd *p, int n)
{
	int i;

	while (n > 0) {
		if (poll(p, CONNECTIONS, 20000) <= 0)
			exit(1);
		for (i = 0; i < CONNECTIONS; i++) {
			if (!p[i].revents)
				continue;
			client_recv(p[i].fd);
			client_send(p[i].fd);
			n--;
		}
	}
}

static void client(pid_t server)
{
	struct pollfd p[CONNECTIONS];
	long before, after;
	double each;
	int i;

	client_connect(p);
	for (i = 0; i < CONNECTIONS; i++)
		client_send(p[i].fd);
	client_exchange(p, WARM_UP);
	before = count_syscalls(server);
	client_exchange(p, MESSAGES);
	after = count_syscalls(server);
	if (before < 0 || after <= before)
		exit(1);
	each = (double)(after - before) / MESSAGES;
	if (write(report[1], &each, sizeof(each)) != sizeof(each))
		exit(1);
	exit(0);
}

/* ----------------------------------------------------------------------- the server */

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	ssize_t n;

	while ((n = gs_read(fd, buf, sizeof(buf))) > 0)
		gs_write(fd, buf, n);
	gs_close(fd);
}

static void serve_vec(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	struct iovec iov[2] = { { buf, 16 }, { buf + 16, sizeof(buf) - 16 } };

	while (gs_readv(fd, iov, 2) == MESSAGE_BYTES) {
		iov[1].iov_len = MESSAGE_BYTES - 16;
		gs_writev(fd, iov, 2);
		iov[1].iov_len = sizeof(buf) - 16;
	}
	gs_close(fd);
}

static void serve_msg(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	while ((n = gs_recvmsg(fd, &m, 0)) > 0) {
		iov.iov_len = n;
		gs_sendmsg(fd, &m, 0);
		iov.iov_len = sizeof(buf);
	}
	gs_close(fd);
}

static void accept_all(void *arg)
{
	void (*fn)(void *) = *(void (*const *)(void *))arg;
	int i, fd;

	for (i = 0; i < CONNECTIONS; i++) {
		fd = gs_accept(listener, NULL, NULL);
		if (fd < 0 || gs_go(fn, (void *)(intptr_t)fd))
			exit(1);
	}
}

/* Until the client has said its figure, or ended. */
static int server(int argc, char **argv)
{
	int procs = bars[argc].procs;
	double each = 0;

	(void)argv;
	gs_set_maxprocs(procs);
	if (gs_go(accept_all, (void *)&bars[argc].serve))
		return 1;
	if (gs_read(report[0], &each, sizeof(each)) != sizeof(each))
		return 1;
	ksft_print_msg("%.3f system calls per message, %s, P: %d, backend %s\n", each,
		       bars[argc].calls, procs, gs_backend());
	return !strcmp(gs_backend(), "module") && each > bars[argc].most;
}

static int measure(int bar)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	pid_t me = getpid(), child;
	int ret;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(listener, CONNECTIONS) || pipe(report))
		return 1;
	child = fork();
	if (!child)
		client(me);
	close(report[1]);
	ret = gs_main(server, bar, NULL);
	waitpid(child, NULL, 0);
	close(report[0]);
	close(listener);
	return ret;
}

/* A process for each, since a runtime leaves threads behind that count. */
static bool holds(int bar)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (!child) {
		status = measure(bar);
		fflush(stdout);
		_exit(status);
	}
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

int main(void)
{
	unsigned int i;

	ksft_print_header();
	ksft_set_plan(NR_BARS);
	if (!trace_begin()) {
		for (i = 0; i < NR_BARS; i++)
			ksft_test_result_skip("no histograms of raw_syscalls in tracefs\n");
		ksft_finished();
	}
	for (i = 0; i < NR_BARS; i++)
		ksft_test_result(holds(i), "echo by %s, P: %d, at most %.2f system calls per message\n",
				 bars[i].calls, bars[i].procs, bars[i].most);
	trace_end();
	ksft_finished();
}

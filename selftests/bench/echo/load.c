// SPDX-License-Identifier: GPL-2.0
/*
 * Load for an echo server, which it starts: connections that each have one message
 * under way. What comes back must be what was sent, and is answered with another one.
 *
 *   load [-c] [-i US] [-t MS] CONNECTIONS PROCS SERVER
 *
 *   -c      count the server's system calls. A tracepoint does, which costs time: so
 *           figures of such runs are named differently
 *   -i US   the server is idle for that long before each message (one connection)
 *   -t MS   how long to measure; default 500
 *
 * A server that has one CPU has the first one, and this program the second.
 *
 * ns_per_op is the time of all by the number of messages, p50 and p99 are a message's
 * (ns). cpu_ns is the server's CPU time for a message: near ns_per_op (times PROCS) it is
 * the server that is measured, and not this program. user is the share of that which was
 * not in the kernel, switches are context switches a message; both include the start.
 */
#include "measure.h"
#include "echo.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define EVENTS		256
#define WARM_UP		(100 * MS)
#define TRACING		"/sys/kernel/tracing"

struct message {
	uint32_t conn, number;
	char rest[MESSAGE_BYTES - 8];
};

struct conn {
	int fd;
	size_t got;
	int64_t sent;
	struct message out, in;
};

static bool counts;
static int64_t idle, duration = 500 * MS;
static int nr_conns, procs;
static struct conn *conns;

/* ------------------------------------------------------------------ the server */

static const char *program;
static pid_t server;
static int to_server, port, counter = -1;
static char details[128];

/* Of all threads that the server will have. */
static int count_syscalls(pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.inherit = 1,
	};
	FILE *f;
	int fd;

	if (access(TRACING "/events", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	f = fopen(TRACING "/events/raw_syscalls/sys_enter/id", "r");
	need(f && fscanf(f, "%llu", &attr.config) == 1);
	fclose(f);
	fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	need(fd >= 0);
	return fd;
}

static uint64_t syscalls(void)
{
	uint64_t n = 0;

	if (counts)
		need(read(counter, &n, sizeof(n)) == sizeof(n));
	return n;
}

static int64_t server_cpu(void)
{
	struct timespec ts;
	clockid_t clock;

	need(!clock_getcpuclockid(server, &clock) && !clock_gettime(clock, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Goes on as the server when it has been told so. */
static void server_main(int in, int out)
{
	char number[16], c;

	if (procs == 1)
		pin(0);
	snprintf(number, sizeof(number), "%d", procs);
	need(read(in, &c, 1) == 1);
	need(dup2(in, 0) == 0 && dup2(out, 1) == 1);
	execl(program, program, number, NULL);
	perror(program);
	exit(1);
}

static void server_start(void)
{
	int in[2], out[2];
	FILE *f;

	need(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
	server = fork();
	need(server >= 0);
	if (!server)
		server_main(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	to_server = in[1];
	if (counts)
		counter = count_syscalls(server);
	need(write(to_server, "", 1) == 1);
	f = fdopen(out[0], "r");
	need(f && fscanf(f, "%d", &port) == 1 && fgets(details, sizeof(details), f));
	details[strcspn(details, "\n")] = 0;
	fclose(f);
}

static void server_end(struct rusage *usage)
{
	int status;

	close(to_server);
	need(wait4(server, &status, 0, usage) == server && !status);
}

/* ------------------------------------------------------------- the connections */

static void raise_limit(void)
{
	rlim_t n = nr_conns + 100;
	struct rlimit limit = { n, n }, old;

	need(!getrlimit(RLIMIT_NOFILE, &old));
	if (old.rlim_max > n)
		limit.rlim_max = old.rlim_max;
	if (old.rlim_cur >= n || !setrlimit(RLIMIT_NOFILE, &limit))
		return;
	fprintf(stderr, "load: %d connections: this machine allows %llu descriptors\n", nr_conns,
		(unsigned long long)old.rlim_max);
	exit(SKIP);
}

static void conn_send(struct conn *c)
{
	c->got = 0;
	c->out.number++;
	need(send(c->fd, &c->out, sizeof(c->out), 0) == sizeof(c->out));
}

/* Return: whether the message is complete; it is right then. */
static bool conn_recv(struct conn *c)
{
	ssize_t n = recv(c->fd, (char *)&c->in + c->got, sizeof(c->in) - c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	need(n > 0);
	c->got += n;
	if (c->got < sizeof(c->in))
		return false;
	need(!memcmp(&c->in, &c->out, sizeof(c->in)));
	return true;
}

/* With a message there and back, so that it has been accepted. */
static void conn_open(struct conn *c)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct linger reset = { 1, 0 };		/* leaves nothing in TIME_WAIT */

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	need(c->fd >= 0 && !connect(c->fd, (struct sockaddr *)&a, sizeof(a)));
	need(!setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	conn_send(c);
	while (!conn_recv(c))
		;
	need(!fcntl(c->fd, F_SETFL, O_NONBLOCK));
}

static int open_all(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int i, epoll = epoll_create1(EPOLL_CLOEXEC);

	conns = calloc(nr_conns, sizeof(*conns));
	need(conns && epoll >= 0);
	for (i = 0; i < nr_conns; i++) {
		conns[i].out.conn = i;
		conn_open(&conns[i]);
		e.data.ptr = &conns[i];
		need(!epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &e));
	}
	return epoll;
}

/* ----------------------------------------------------------------- measurement */

static struct samples latency;
static long messages;

static void next_message(struct conn *c)
{
	if (idle) {
		nap(idle);
		c->sent = now_ns();
	}
	conn_send(c);
}

static void ready(struct conn *c)
{
	int64_t now;

	if (!conn_recv(c))
		return;
	now = now_ns();
	samples_add(&latency, now - c->sent);
	messages++;
	c->sent = now;
	next_message(c);
}

/* For @ns, and until there have been @least more messages. */
static void exchange(int epoll, int64_t ns, long least)
{
	struct epoll_event e[EVENTS];
	int64_t end = now_ns() + ns;
	int i, n;

	for (least += messages; now_ns() < end || messages < least;) {
		n = epoll_wait(epoll, e, EVENTS, 10000);
		need(n > 0);
		for (i = 0; i < n; i++)
			ready(e[i].data.ptr);
	}
}

static void begin(void)
{
	int i;

	for (i = 0; i < nr_conns; i++) {
		conns[i].sent = now_ns();
		conn_send(&conns[i]);
	}
}

static double share_of_user(struct rusage *u)
{
	double user = u->ru_utime.tv_sec + u->ru_utime.tv_usec / 1e6;
	double sys = u->ru_stime.tv_sec + u->ru_stime.tv_usec / 1e6;

	return user / (user + sys);
}

static void measure(int epoll)
{
	int64_t start, cpu, wall;
	struct rusage usage;
	uint64_t calls;
	long all, n;

	begin();
	exchange(epoll, WARM_UP, 0);
	all = messages;
	latency.n = 0;
	start = now_ns();
	cpu = server_cpu();
	calls = syscalls();
	exchange(epoll, duration, nr_conns);
	calls = syscalls() - calls;
	cpu = server_cpu() - cpu;
	wall = now_ns() - start;
	n = messages - all;
	server_end(&usage);
	printf("bench=echo%s_", counts ? "_syscalls" : "");
	if (idle)
		printf("idle");
	else
		printf("%d", nr_conns);
	printf(" impl=%s procs=%d ops=%ld ns_per_op=%.1f p50=%.0f p99=%.0f cpu_ns=%.1f",
	       basename((char *)program), procs, n, (double)wall / n, samples_median(&latency),
	       samples_quantile(&latency, 0.99), (double)cpu / n);
	printf(" user=%.2f switches=%.3f", share_of_user(&usage),
	       (double)(usage.ru_nvcsw + usage.ru_nivcsw) / (messages + nr_conns));
	if (counts)
		printf(" syscalls=%.3f", (double)calls / n);
	printf("%s\n", details);
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "ci:t:")) > 0) {
		if (c == 'c')
			counts = true;
		else if (c == 'i')
			idle = atoi(optarg) * 1000LL;
		else if (c == 't')
			duration = atoi(optarg) * MS;
		else
			return 2;
	}
	need(argc == optind + 3);
	nr_conns = atoi(argv[optind]);
	procs = atoi(argv[optind + 1]);
	program = argv[optind + 2];
	need(nr_conns > 0 && procs > 0);
	raise_limit();
	server_start();
	/* Beside a server that shares it on a machine that has one only. */
	pin(1 % sysconf(_SC_NPROCESSORS_ONLN));
	measure(open_all());
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Run a benchmark on some CPUs, and see what else ran on the machine meanwhile.
 *
 *   beside FIRST-LAST PROGRAM [ARG]...
 *
 * The program's lines come with "foreign=X tries=N" at their end: the share of all CPUs' time
 * that others had, or the hypervisor. (Of all CPUs: what runs on one takes caches, power and
 * perhaps half a core from another.) When that is more than LIMIT the program is run again,
 * up to TRIES times in all; its lines are those of the run that was disturbed least. If it
 * fails there are none, and its status is what this ends with.
 *
 * What others had is what the CPUs were busy (/proc/stat, which counts in ticks) without what
 * the program and its children had; less than a tick for each CPU is nothing.
 */
#include "measure.h"

#include <sys/wait.h>

#define LIMIT	0.03
#define TRIES	3
#define BYTES	65536

struct times {
	int64_t wall, busy, ours;
};

static int64_t tick_ns(void)
{
	return 1000000000 / sysconf(_SC_CLK_TCK);
}

/* The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. */
static int64_t busy_ns(void)
{
	long user, nice, system, irq, softirq, steal;
	FILE *f = fopen("/proc/stat", "re");

	need(f && fscanf(f, "cpu %ld %ld %ld %*d %*d %ld %ld %ld", &user, &nice, &system, &irq,
			 &softirq, &steal) == 6);
	fclose(f);
	return (user + nice + system + irq + softirq + steal) * tick_ns();
}

static struct times times_now(void)
{
	struct rusage usage;

	need(!getrusage(RUSAGE_CHILDREN, &usage));
	return (struct times) {
		now_ns(), busy_ns(), timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime),
	};
}

static double foreign_share(const struct times *a, const struct times *b)
{
	int64_t foreign = (b->busy - a->busy) - (b->ours - a->ours);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return foreign > tick_ns() * cpus ? foreign / (double)(b->wall - a->wall) / cpus : 0;
}

static void read_all(int fd, char *to)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, to + n, BYTES - 1 - n)) > 0)
		n += got;
	need(!got && n < BYTES - 1);
	to[n] = '\0';
}

/* Ends the process if the program fails. Return: the share of others. */
static double run(char **argv, char *lines)
{
	struct times before = times_now(), after;
	int fd[2], status;
	pid_t pid;

	need(!pipe(fd));
	pid = fork();
	need(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execvp(*argv, argv);
		perror(*argv);
		_exit(127);
	}
	close(fd[1]);
	read_all(fd[0], lines);
	close(fd[0]);
	need(waitpid(pid, &status, 0) == pid);
	if (status)
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	after = times_now();
	return foreign_share(&before, &after);
}

static void keep_to_cpus(int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set));
}

int main(int argc, char **argv)
{
	static char lines[BYTES], least_lines[BYTES];
	double share, least = 2;
	int first, last, tries = 0;

	need(argc > 2 && sscanf(argv[1], "%d-%d", &first, &last) == 2 && first <= last);
	keep_to_cpus(first, last);
	do {
		share = run(argv + 2, lines);
		if (share < least) {
			least = share;
			memcpy(least_lines, lines, sizeof(lines));
		}
	} while (++tries < TRIES && share > LIMIT);
	for (char *line = strtok(least_lines, "\n"); line; line = strtok(NULL, "\n"))
		printf("%s foreign=%.3f tries=%d\n", line, least, tries);
	return 0;
}

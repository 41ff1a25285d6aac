/* SPDX-License-Identifier: GPL-2.0 */
/*
 * faults.h: make the kernel fail: the Nth thing that can fail in a call, see
 * Documentation/fault-injection in the kernel's sources. It needs a kernel with
 * CONFIG_FAULT_INJECTION, such as vm.sh's "debug", and root.
 *
 * What was failed is read from the kernel log, where each fault leaves a stack.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULTS_DEBUGFS	"/sys/kernel/debug/"
#define FAULTS_RECORD	8192

/* A fault that happened: what failed, and where in the module, if there. */
struct fault {
	char kind[32];		/* "failslab", "fail_page_alloc", "fail_usercopy" */
	char site[96];		/* "gs_ctx_open+0x31/0x2f0", "": not in the module */
};

static struct {
	int nth;		/* the calling thread's fail-nth */
	int starve;		/* its make-it-fail */
	int log;		/* /dev/kmsg */
} faults_fd = { -1, -1, -1 };

static inline bool faults_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static inline bool faults_set(const char *kind, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAULTS_DEBUGFS "%s/%s", kind, name);
	return faults_write(path, value);
}

/* False: this kernel cannot. By the thread that will arm: each has a counter. */
static inline bool faults_init(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	bool ok = true;

	/* The stacks are for us; a console takes longer for each than the test. */
	faults_write("/proc/sys/kernel/printk", "4");
	faults_fd.nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	faults_fd.starve = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);
	faults_fd.log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (faults_fd.nth < 0 || faults_fd.starve < 0 || faults_fd.log < 0)
		return false;
	for (int i = 0; i < 3; i++)
		ok = ok && faults_set(kinds[i], "verbose", "2") &&
		     faults_set(kinds[i], "verbose_ratelimit_interval_ms", "0");
	/* By default only what cannot wait fails, and no highmem. */
	return ok && faults_set("failslab", "ignore-gfp-wait", "N") &&
	       faults_set("fail_page_alloc", "ignore-gfp-wait", "N") &&
	       faults_set("fail_page_alloc", "ignore-gfp-highmem", "N") &&
	       faults_set("fail_page_alloc", "min-order", "0");
}

static inline void faults_end(void)
{
	faults_write("/proc/sys/kernel/printk", "8");
}

/* The @nth thing from now on that can fail, in this thread, fails. */
static inline bool faults_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	lseek(faults_fd.log, 0, SEEK_END);
	return pwrite(faults_fd.nth, text, len, 0) == len;
}

/*
 * No more. Return: how many were missing to the fault; 0: it happened. To read the
 * count takes copies that can fail themselves, if it is down to one.
 */
static inline unsigned int faults_disarm(void)
{
	char text[16] = "";
	unsigned int left = 1;

	if (pread(faults_fd.nth, text, sizeof(text) - 1, 0) > 0)
		left = strtoul(text, NULL, 10);
	while (pwrite(faults_fd.nth, "0", 1, 0) != 1)
		;
	return left;
}

/*
 * This thread gets @space bytes more of slab memory, and then none. A table that fails to
 * get a node at once and then fails to wait for one needs two faults in a row. No page
 * fault must be among what follows: it would be tried for ever.
 */
static inline bool faults_starve(unsigned int space)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", space);
	lseek(faults_fd.log, 0, SEEK_END);
	return faults_set("failslab", "task-filter", "Y") &&
	       faults_set("failslab", "times", "-1") && faults_set("failslab", "space", text) &&
	       faults_set("failslab", "probability", "100") &&
	       pwrite(faults_fd.starve, "1", 1, 0) == 1;
}

static inline bool faults_feed(void)
{
	return pwrite(faults_fd.starve, "0", 1, 0) == 1 &&
	       faults_set("failslab", "probability", "0");
}

/* A line of the log, without what stands before and behind. False: there is none. */
static inline bool faults_log_line(char *text, size_t size)
{
	char record[FAULTS_RECORD], *at;
	ssize_t n = read(faults_fd.log, record, sizeof(record) - 1);

	if (n <= 0)
		return false;
	record[n] = '\0';
	at = strchr(record, ';');
	snprintf(text, size, "%.*s", at ? (int)strcspn(at + 1, "\n") : 0, at ? at + 1 : "");
	return true;
}

/* "FAULT_INJECTION: forcing a failure.\x0aname failslab, interval 1, ..." */
static inline void faults_take_kind(struct fault *f, const char *line)
{
	const char *name = strstr(line, "name fail");

	if (name)
		snprintf(f->kind, sizeof(f->kind), "%.*s", (int)strcspn(name + 5, ","), name + 5);
}

/* " gs_ctx_open+0x31/0x2f0 [gsched]"; the first is the one that counts. */
static inline void faults_take_site(struct fault *f, const char *line)
{
	const char *module = strstr(line, " [gsched]");

	line += strspn(line, " ");
	if (module && !f->site[0] && *line != '?')
		snprintf(f->site, sizeof(f->site), "%.*s", (int)(module - line), line);
}

/* What failed since faults_arm(). */
static inline struct fault faults_last(void)
{
	struct fault f = { "", "" };
	char line[1024];

	while (faults_log_line(line, sizeof(line))) {
		faults_take_kind(&f, line);
		faults_take_site(&f, line);
	}
	return f;
}

#endif /* FAULTS_H */

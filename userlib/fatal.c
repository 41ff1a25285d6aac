// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* fatal.c: the program cannot go on. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dump.h"
#include "regs_x86_64.h"
#include "sched.h"

/* The message, and whose it is, in one write. */
static void say(const char *prefix, const char *fmt, va_list ap)
{
	struct g *g = g_self();
	char line[512];
	int n;

	n = snprintf(line, sizeof(line), "%s", prefix);
	n += vsnprintf(line + n, sizeof(line) - 64 - n, fmt, ap);
	if (n > (int)sizeof(line) - 64)
		n = sizeof(line) - 64;
	if (g)
		n += snprintf(line + n, sizeof(line) - n, " (goroutine %llu \"%s\")",
			      (unsigned long long)g->id, g->name);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) != n)
		_exit(127);
}

void fatal(const char *fmt, ...)
{
	struct regs regs;
	va_list ap;

	va_start(ap, fmt);
	say("gsched: fatal: ", fmt, ap);
	va_end(ap);
	regs_here(&regs);
	dump_here(STDERR_FILENO, &regs);
	abort();
}

void gs_fatal(const char *fmt, ...)
{
	struct regs regs;
	va_list ap;

	va_start(ap, fmt);
	say("fatal: ", fmt, ap);
	va_end(ap);
	regs_here(&regs);
	dump_here(STDERR_FILENO, &regs);
	abort();
}

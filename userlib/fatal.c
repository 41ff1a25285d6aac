// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* fatal.c: the program cannot go on. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sched.h"

void fatal(const char *fmt, ...)
{
	struct g *g = g_self();
	char line[512];
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "gsched: fatal: ");
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - 64 - n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 64)
		n = sizeof(line) - 64;
	if (g)
		n += snprintf(line + n, sizeof(line) - n, " (goroutine %llu \"%s\")",
			      (unsigned long long)g->id, g->name);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) != n)
		_exit(127);
	abort();
}

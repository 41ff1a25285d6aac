// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * signal.c: SIGSEGV in a guard is a stack overflow; any other goes to the handler
 * that was there before.
 *
 * The handler runs on a stack of its own, one per M: the goroutine's is full.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "altstack.h"
#include "stack.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* For handlers of the program's that run on it, after the kernel's frame. */
#define ALTSTACK_ROOM	(32 * 1024)

static struct sigaction previous;

void stack_overflow(struct g *g)
{
	char line[160];
	int n;

	n = snprintf(line, sizeof(line),
		     "gsched: fatal: stack overflow: goroutine %llu \"%s\" used all of its %zu KiB\n",
		     (unsigned long long)g->id, g->name, STACK_USABLE / 1024);
	if (write(STDERR_FILENO, line, n) != n)
		_exit(127);
	abort();
}

/* What would have happened without us. */
static void give_to_kernel(int sig, siginfo_t *info)
{
	if (info->si_code <= 0 && previous.sa_handler == SIG_IGN)
		return;
	/* The instruction faults again, and now ends the process. */
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void chain(int sig, siginfo_t *info, void *ctx)
{
	if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(sig, info, ctx);
	else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
		previous.sa_handler(sig);
	else
		give_to_kernel(sig, info);
}

static void on_segv(int sig, siginfo_t *info, void *ctx)
{
	struct g *g = NULL;

	/* Sent by a process: no address. */
	if (info->si_code > 0)
		g = stack_guard_owner(info->si_addr);
	if (g)
		stack_overflow(g);
	chain(sig, info, ctx);
}

/** overflow_handler_install - once in a process. Return: 0 or -errno. */
int overflow_handler_install(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_segv,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGSEGV, &sa, &previous) ? -errno : 0;
}

/** altstack_enter - give the calling thread a signal stack. Return: 0 or -errno. */
int altstack_enter(struct altstack *s)
{
	stack_t ss = { 0 };
	int err;

	s->size = getauxval(AT_MINSIGSTKSZ) + ALTSTACK_ROOM;
	s->memory = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (s->memory == MAP_FAILED)
		return -errno;
	ss.ss_sp = s->memory;
	ss.ss_size = s->size;
	if (!sigaltstack(&ss, &s->old))
		return 0;
	err = -errno;
	munmap(s->memory, s->size);
	return err;
}

/** altstack_leave - back to what it had. */
void altstack_leave(struct altstack *s)
{
	sigaltstack(&s->old, NULL);
	munmap(s->memory, s->size);
}

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * signal.c: SIGSEGV in a guard is a stack overflow; any other goes to the handler
 * that was there before. SIGQUIT, where GSCHED_DEBUG asks for it, dumps all goroutines,
 * and then goes to the handler that was there before, too.
 *
 * The handlers run on a stack of their own, one per M: the goroutine's may be full.
 * What they call is async-signal-safe.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "altstack.h"
#include "debug.h"
#include "dump.h"
#include "regs_x86_64.h"
#include "runtime.h"
#include "stack.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* For handlers of the program's that run on it, after the kernel's frame. */
#define ALTSTACK_ROOM	(32 * 1024)

static struct sigaction previous_segv, previous_quit;

static __attribute__((noreturn)) void overflow(struct g *g, struct regs *regs)
{
	char line[160];
	int n;

	n = snprintf(line, sizeof(line),
		     "gsched: fatal: stack overflow: goroutine %llu \"%s\" used all of its %zu KiB\n",
		     (unsigned long long)g->id, g->name, STACK_USABLE / 1024);
	if (write(STDERR_FILENO, line, n) != n)
		_exit(127);
	dump_here(STDERR_FILENO, regs);
	abort();
}

void stack_overflow(struct g *g)
{
	struct regs regs;

	regs_here(&regs);
	overflow(g, &regs);
}

/* What would have happened without us. */
static void give_to_kernel(int sig, siginfo_t *info)
{
	/* The instruction that faulted does so again, and now ends the process. */
	signal(sig, SIG_DFL);
	if (info->si_code <= 0 || sig != SIGSEGV)
		raise(sig);
}

static bool ignored(const struct sigaction *previous, int sig, siginfo_t *info)
{
	return previous->sa_handler == SIG_IGN && (info->si_code <= 0 || sig != SIGSEGV);
}

static void chain(const struct sigaction *previous, int sig, siginfo_t *info, void *ctx)
{
	if (previous->sa_flags & SA_SIGINFO)
		previous->sa_sigaction(sig, info, ctx);
	else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN)
		previous->sa_handler(sig);
	else if (!ignored(previous, sig, info))
		give_to_kernel(sig, info);
}

static void on_segv(int sig, siginfo_t *info, void *ctx)
{
	struct g *g = NULL;
	struct regs regs;

	/* Sent by a process: no address. */
	if (info->si_code > 0)
		g = stack_guard_owner(info->si_addr);
	if (g) {
		regs_of_signal(&regs, ctx);
		overflow(g, &regs);
	}
	chain(&previous_segv, sig, info, ctx);
}

static void on_quit(int sig, siginfo_t *info, void *ctx)
{
	static const char text[] = "gsched: SIGQUIT\n\n";
	int err = errno;
	struct regs regs;

	if (settings.sigquit && runtime_enter()) {
		regs_of_signal(&regs, ctx);
		if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
			dump_all(STDERR_FILENO, &regs);
		runtime_leave();
	}
	errno = err;
	chain(&previous_quit, sig, info, ctx);
}

static int install(int sig, void (*handler)(int, siginfo_t *, void *), struct sigaction *previous)
{
	struct sigaction sa = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigemptyset(&sa.sa_mask);
	return sigaction(sig, &sa, previous) ? -errno : 0;
}

/** overflow_handler_install - once in a process. Return: 0 or -errno. */
int overflow_handler_install(void)
{
	return install(SIGSEGV, on_segv, &previous_segv);
}

/** quit_handler_install - if the settings ask for it. Return: 0 or -errno. */
int quit_handler_install(void)
{
	static bool done;
	int err = 0;

	if (settings.sigquit && !done) {
		err = install(SIGQUIT, on_quit, &previous_quit);
		done = !err;
	}
	return err;
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

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * switch.h: two contexts that switch to one another. Who includes it defines struct context,
 * context_switch() and context_init(), which makes a context that starts in a function on a
 * stack.
 */
#ifndef SWITCH_H
#define SWITCH_H

#include "measure.h"

#define SWITCHES	50000000L

static struct context here, there;
static long switched;

static void __attribute__((noreturn)) other(void)
{
	for (;;) {
		switched++;
		context_switch(&there, &here);
	}
}

static void __attribute__((noinline)) switches(long n)
{
	for (long i = 0; i < n; i++)
		context_switch(&here, &there);
}

/* Return: how long @n switches took, of which half go there, and half come back. */
static int64_t measure(long n)
{
	static char stack[65536] __attribute__((aligned(16)));
	int64_t begin;

	/* As after a call: the stack pointer is not a multiple of 16. */
	context_init(&there, other, stack + sizeof(stack) - 8);
	begin = now_ns();
	switches(n / 2);
	begin = now_ns() - begin;
	need(switched == n / 2);
	return begin;
}

#endif /* SWITCH_H */

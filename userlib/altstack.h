/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* altstack.h: handlers of signals, and the stacks that they run on. */
#ifndef GS_ALTSTACK_H
#define GS_ALTSTACK_H

#include <signal.h>
#include <stddef.h>

/* A thread's alternate stack, and what it had before. */
struct altstack {
	void *memory;
	size_t size;
	stack_t old;
};

int overflow_handler_install(void);
int quit_handler_install(void);
int altstack_enter(struct altstack *s);
void altstack_leave(struct altstack *s);

#endif /* GS_ALTSTACK_H */

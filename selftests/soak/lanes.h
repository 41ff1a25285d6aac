/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lanes of the soak test's library worker. Each is a function that runs in a
 * goroutine, does one kind of thing for ever, checks it, and counts its steps. A
 * check that fails aborts the program. When the worker shall end, it returns, with
 * everything that it has begun at an end.
 */
#ifndef SOAK_LANES_H
#define SOAK_LANES_H

#include "soak.h"

#include <gsched.h>

/* Shall the worker end? */
bool lanes_end(void);

/* Nothing that can be awaited: in a squeezed group there is no memory for it. */
bool lanes_no_memory(long err);

/* Start a goroutine, waiting for memory if need be. */
void lanes_go(void (*fn)(void *), void *arg);

void lane_echo(struct lane *lane, unsigned int seed);
void lane_pipe(struct lane *lane, unsigned int seed);
void lane_dgram(struct lane *lane, unsigned int seed);

void lane_chan(struct lane *lane, unsigned int seed);
void lane_select(struct lane *lane, unsigned int seed);
void lane_locks(struct lane *lane, unsigned int seed);
void lane_cancel(struct lane *lane, unsigned int seed);
void lane_thread(struct lane *lane, unsigned int seed);

void lane_sleep(struct lane *lane, unsigned int seed);
void lane_ticker(struct lane *lane, unsigned int seed);
void lane_timeout(struct lane *lane, unsigned int seed);

void lane_block(struct lane *lane, unsigned int seed);
void lane_file(struct lane *lane, unsigned int seed);
void lane_child(struct lane *lane, unsigned int seed);
void lane_fork(struct lane *lane, unsigned int seed);

void lane_hog(struct lane *lane, unsigned int seed);
void lane_locked(struct lane *lane, unsigned int seed);
void lane_procs(struct lane *lane, unsigned int seed);
void lane_many(struct lane *lane, unsigned int seed);
void lane_dump(struct lane *lane, unsigned int seed);

#endif /* SOAK_LANES_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer for /dev/gsched.
 *
 * program  a list of calls, each made by one of some threads; a text file has one
 *          call per line (prog.c). It runs in a process of its own (run.c), so all
 *          that it leaves behind is closed, unmapped and killed by its end.
 * call     an operation and its numbers. There is nothing that they must not be: a
 *          number that says which context, descriptor or slot is meant is taken
 *          modulo the size of that table, so that most of them mean something.
 * world    what the calls of one program share: contexts, descriptors, slots.
 * cover    what the kernel's KCOV has seen so far, in any program (cover.c). A
 *          program that adds to it is kept, and mutated (mutate.c). Without KCOV
 *          none is kept: then the corpus alone is mutated.
 *
 * KCOV sees a thread's own system calls, scheduler callbacks and task works. It does not
 * see interrupts (the tick, descriptors that become ready in a softirq) and work items.
 */
#ifndef FUZZ_H
#define FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <linux/gsched.h>

#include "../clock.h"

#define NR_ELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		4096UL

#define MAX_THREADS	4
#define MAX_CALLS	48
#define MAX_ARGS	7
#define MAX_OPS	96
#define NR_CTXS		3
#define NR_FDS		24
#define NR_SLOTS	16
#define NR_REGIONS	4	/* the shared ones; GSCHED_OFF_* */

/* What a call's number means: how to make one up. */
enum arg_kind {
	ARG_NONE,
	ARG_INDEX,		/* of a table with @limit entries */
	ARG_FLAGS,		/* zero as a rule */
	ARG_COUNT,		/* 1 .. @limit as a rule */
	ARG_USEC,		/* up to @limit microseconds */
	ARG_CHOICE,		/* one of @limit, 0 more often than the others */
	ARG_VALUE,		/* any 64 bits */
};

struct arg {
	const char *name;
	enum arg_kind kind;
	uint32_t limit;
};

/**
 * struct op - an operation
 * @name:	in a program's text
 * @weight:	how often it is chosen
 * @arg:	its numbers
 * @fn:		does it. What it returns is of no interest.
 */
struct op {
	const char *name;
	unsigned int weight;
	struct arg arg[MAX_ARGS];
	void (*fn)(const uint64_t *arg);
};

struct call {
	uint8_t thread;
	uint8_t op;
	uint64_t arg[MAX_ARGS];
};

/**
 * struct prog - a program
 * @free:	the threads run as they like; else a call begins when the one before it
 *		has ended, or seems to sleep
 * @nr:		how many calls
 * @call:	them
 */
struct prog {
	bool free;
	unsigned int nr;
	struct call call[MAX_CALLS];
};

/**
 * struct fuzz_ctx - a context
 * @fd:		its descriptor, -1: none
 * @max_procs:	what SETUP was asked for
 * @max_ms:	the same
 * @max_slots:	the same
 * @map:	where its regions are mapped, NULL: nowhere
 * @len:	for how many bytes
 * @stacks:	the stack mapping, NULL: none
 * @stacks_len:	its size
 */
struct fuzz_ctx {
	int fd;
	uint32_t max_procs;
	uint32_t max_ms;
	uint32_t max_slots;
	char *map[NR_REGIONS];
	size_t len[NR_REGIONS];
	char *stacks;
	size_t stacks_len;
};

struct world {
	struct fuzz_ctx ctx[NR_CTXS];
	int fd[NR_FDS];
	uint32_t slot[NR_SLOTS];
	unsigned int nr_slots;
	pid_t tid[MAX_THREADS];
	char *scratch;		/* a page, then one that is not there */
	char *read_only;	/* the page again, not to be written */
	char cgroup[64];	/* of this program alone, or "" */
};

extern struct world world;

/* ----------------------------------------------------------------- numbers */

static inline uint64_t rnd64(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* Below @n; 0 if that is 0. */
static inline uint32_t rnd(uint64_t *state, uint32_t n)
{
	return (rnd64(state) >> 32) * n >> 32;
}

/* A signal ends it: how the runner makes a slow call go on. */
static inline void doze_ns(int64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	nanosleep(&ts, NULL);
}

/* ops.c */
extern struct op ops[MAX_OPS];
extern unsigned int nr_ops;

void ops_init(void);

/* ops_gsched.c, ops_mem.c, ops_fd.c, ops_task.c: what it consists of */
extern const struct op gsched_ops[], mem_ops[], fd_ops[], task_ops[];
extern const unsigned int nr_gsched_ops, nr_mem_ops, nr_fd_ops, nr_task_ops;

/* fault.c */
void fault_init(void);
bool fault_guard(void (*fn)(void *arg), void *arg);
bool guarded_copy(void *to, const void *from, size_t n);

/* ops_gsched.c */
struct fuzz_ctx *ctx_of(uint64_t arg);
void any_ioctls(int fd);

/* ops_fd.c */
int *fd_of(uint64_t arg);
int fd_get(uint64_t arg);
void fd_set_new(uint64_t arg, int fd);

/* ops_task.c */
int after_exec(void);

/* prog.c */
bool prog_read(struct prog *p, FILE *f);
void prog_write(const struct prog *p, FILE *f);

/* mutate.c */
void prog_make(struct prog *p, uint64_t *seed);
void prog_mutate(struct prog *p, const struct prog *other, uint64_t *seed);

/* run.c */
enum run_result {
	RUN_OK,
	RUN_STUCK,		/* it could not be killed */
};

void world_open(unsigned int worker);
enum run_result prog_run(const struct prog *p);

/* cover.c */
bool cover_open(void);
void cover_share(void);
void cover_thread(unsigned int thread);
void cover_begin(void);
void cover_end(unsigned int op);
unsigned int cover_total(void);
unsigned int cover_take_new(void);

/* splat.c */
void splat_init(const char *patterns);
bool splat_seen(void);

#endif /* FUZZ_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Making programs up, and making others of those that are there.
 */
#include "fuzz.h"

static const uint64_t odd_values[] = {
	0, 1, 2, 3, 0x7f, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe,
	0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffffe,
	0xffffffffffffffff,
};

static uint64_t value_make(uint64_t *seed)
{
	switch (rnd(seed, 4)) {
	case 0:
		return rnd64(seed);
	case 1:
		return rnd(seed, 64);
	case 2:
		return 1ULL << rnd(seed, 64);
	default:
		return odd_values[rnd(seed, NR_ELEMS(odd_values))];
	}
}

static uint64_t arg_make(const struct arg *arg, uint64_t *seed)
{
	switch (arg->kind) {
	case ARG_INDEX:
		return rnd(seed, 2) ? 0 : rnd(seed, arg->limit);
	case ARG_FLAGS:
		if (rnd(seed, 8))
			return rnd(seed, 2) ? 0 : rnd(seed, arg->limit);
		return value_make(seed);
	case ARG_COUNT:
		if (rnd(seed, 12))
			return 1 + rnd(seed, arg->limit);
		return value_make(seed);
	case ARG_USEC:
		return rnd(seed, 4) ? rnd(seed, arg->limit) : rnd(seed, 1 + arg->limit / 16);
	case ARG_CHOICE:
		return rnd(seed, 3) ? 0 : rnd(seed, arg->limit);
	default:
		return value_make(seed);
	}
}

static unsigned int op_make(uint64_t *seed)
{
	unsigned int i, at, sum = 0;

	for (i = 0; i < nr_ops; i++)
		sum += ops[i].weight;
	at = rnd(seed, sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return i;
}

static void call_make(struct call *c, uint64_t *seed)
{
	memset(c, 0, sizeof(*c));
	c->thread = rnd(seed, MAX_THREADS);
	c->op = op_make(seed);
	for (unsigned int i = 0; i < MAX_ARGS; i++)
		c->arg[i] = arg_make(&ops[c->op].arg[i], seed);
}

/* ---------------------------------------------------------------- programs */

static void call_insert(struct prog *p, unsigned int at, const struct call *c)
{
	if (p->nr == MAX_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->nr - at) * sizeof(*c));
	p->call[at] = *c;
	p->nr++;
}

static void call_remove(struct prog *p, unsigned int at)
{
	p->nr--;
	memmove(&p->call[at], &p->call[at + 1], (p->nr - at) * sizeof(p->call[0]));
}

static void prog_add(struct prog *p, unsigned int n, uint64_t *seed)
{
	struct call c;

	while (n--) {
		call_make(&c, seed);
		call_insert(p, p->nr, &c);
	}
}

static void prog_begin(struct prog *p, const char *text)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");

	if (!f || !prog_read(p, f))
		abort();
	fclose(f);
}

/**
 * prog_make - make a program up
 * @p:    the program
 * @seed: random state
 *
 * It begins with what is needed to come anywhere, as a rule.
 */
void prog_make(struct prog *p, uint64_t *seed)
{
	static const char *const begin[] = {
		"0: open\n0: setup procs=2 max_procs=4 max_ms=8 max_slots=16\n0: map\n"
		"0: register\n0: acquire\n1: register\n1: acquire\n2: register\n",
		"0: open\n0: setup procs=1 max_procs=4 max_ms=8 max_slots=16\n0: map\n"
		"0: register\n0: acquire\n0: fd_new kind=1\n0: fd_register\n1: register\n1: idle\n",
		"0: open\n0: setup procs=1 max_procs=2 max_ms=4 max_slots=2\n0: map\n"
		"0: times slice=500000 min_run=250000\n0: register\n0: acquire\n1: register\n"
		"1: acquire\n2: register\n2: idle\n3: spawner\n",
		"0: open\n0: open ctx=1\n0: setup procs=2 max_procs=4 max_ms=8 max_slots=16\n",
	};

	prog_begin(p, begin[rnd(seed, NR_ELEMS(begin))]);
	prog_add(p, 4 + rnd(seed, 20), seed);
	p->free = !rnd(seed, 4);
}

static void mutate_arg(struct prog *p, unsigned int at, uint64_t *seed)
{
	struct call *c = &p->call[at];
	unsigned int n = 0;

	while (n < MAX_ARGS && ops[c->op].arg[n].kind != ARG_NONE)
		n++;
	if (!n)
		return;
	n = rnd(seed, n);
	c->arg[n] = arg_make(&ops[c->op].arg[n], seed);
}

/* The end of @other behind the beginning of @p. */
static void mutate_splice(struct prog *p, const struct prog *other, unsigned int at,
			  uint64_t *seed)
{
	unsigned int from = other->nr ? rnd(seed, other->nr) : 0;

	if (rnd(seed, 2))
		p->nr = at + 1;
	while (from < other->nr)
		call_insert(p, p->nr, &other->call[from++]);
}

static void mutate_once(struct prog *p, const struct prog *other, uint64_t *seed)
{
	unsigned int at = rnd(seed, p->nr);
	struct call c;

	switch (rnd(seed, 10)) {
	case 0:
	case 1:
	case 2:
		call_make(&c, seed);
		call_insert(p, at + 1, &c);
		break;
	case 3:
	case 4:
	case 5:
		mutate_arg(p, at, seed);
		break;
	case 6:
		if (p->nr > 2)
			call_remove(p, at);
		break;
	case 7:
		p->call[at].thread = rnd(seed, MAX_THREADS);
		break;
	case 8:
		c = p->call[at];
		call_insert(p, rnd(seed, p->nr + 1), &c);
		break;
	default:
		if (rnd(seed, 4))
			mutate_splice(p, other, at, seed);
		else
			p->free = !p->free;
		break;
	}
}

/**
 * prog_mutate - change a program a bit
 * @p:     the program
 * @other: one to take parts of
 * @seed:  random state
 */
void prog_mutate(struct prog *p, const struct prog *other, uint64_t *seed)
{
	do
		mutate_once(p, other, seed);
	while (rnd(seed, 3));
}

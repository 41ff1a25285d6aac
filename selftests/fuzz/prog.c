// SPDX-License-Identifier: GPL-2.0
/*
 * Programs as text:
 *
 *	# a comment
 *	free
 *	0: setup ctx=0 procs=2 max_procs=4 max_ms=8 max_slots=16
 *	1: register ctx=0
 *
 * A line is a thread's number, an operation, and its numbers by their names; those that
 * are 0 are left out. "free" stands alone, see struct prog.
 */
#include "fuzz.h"

static int op_find(const char *name)
{
	for (unsigned int i = 0; i < nr_ops; i++)
		if (!strcmp(ops[i].name, name))
			return (int)i;
	return -1;
}

static bool arg_read(struct call *c, char *word)
{
	const struct arg *arg = ops[c->op].arg;
	char *value = strchr(word, '=');

	if (!value)
		return false;
	*value++ = '\0';
	for (unsigned int i = 0; i < MAX_ARGS && arg[i].kind != ARG_NONE; i++) {
		if (!strcmp(arg[i].name, word)) {
			c->arg[i] = strtoull(value, NULL, 0);
			return true;
		}
	}
	return false;
}

static bool call_read(struct call *c, char *line)
{
	char *at, *word = strtok_r(line, ": \t\n", &at);
	int op;

	memset(c, 0, sizeof(*c));
	c->thread = strtoul(word, NULL, 10) % MAX_THREADS;
	word = strtok_r(NULL, " \t\n", &at);
	op = word ? op_find(word) : -1;
	if (op < 0)
		return false;
	c->op = op;
	while ((word = strtok_r(NULL, " \t\n", &at)))
		if (!arg_read(c, word))
			return false;
	return true;
}

/** prog_read - read a program. Return: false: not a program. */
bool prog_read(struct prog *p, FILE *f)
{
	char line[512], copy[sizeof(line)];

	memset(p, 0, sizeof(*p));
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		memcpy(copy, line, sizeof(copy));
		if (!strcmp(line, "free\n")) {
			p->free = true;
		} else if (p->nr == MAX_CALLS || !call_read(&p->call[p->nr], line)) {
			fprintf(stderr, "no call, or one too many: %s", copy);
			return false;
		} else {
			p->nr++;
		}
	}
	return p->nr > 0;
}

static void call_write(const struct call *c, FILE *f)
{
	const struct op *op = &ops[c->op];

	fprintf(f, "%u: %s", c->thread, op->name);
	for (unsigned int i = 0; i < MAX_ARGS && op->arg[i].kind != ARG_NONE; i++) {
		if (!c->arg[i])
			continue;
		fprintf(f, c->arg[i] < 10000000 ? " %s=%llu" : " %s=0x%llx", op->arg[i].name,
			(unsigned long long)c->arg[i]);
	}
	fputc('\n', f);
}

/** prog_write - the reverse. */
void prog_write(const struct prog *p, FILE *f)
{
	if (p->free)
		fputs("free\n", f);
	for (unsigned int i = 0; i < p->nr; i++)
		call_write(&p->call[i], f);
}

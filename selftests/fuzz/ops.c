// SPDX-License-Identifier: GPL-2.0
/*
 * The table of all operations.
 */
#include "fuzz.h"

struct op ops[MAX_OPS];
unsigned int nr_ops;

static void ops_add(const struct op *op, unsigned int nr)
{
	memcpy(&ops[nr_ops], op, nr * sizeof(*op));
	nr_ops += nr;
}

/** ops_init - fill the table. */
void ops_init(void)
{
	ops_add(gsched_ops, nr_gsched_ops);
	ops_add(mem_ops, nr_mem_ops);
	ops_add(fd_ops, nr_fd_ops);
	ops_add(task_ops, nr_task_ops);
}

// SPDX-License-Identifier: GPL-2.0
/* The library's switch between two stacks by itself, without scheduler. */
#include "measure.h"

#include "../../../userlib/arch_x86_64.h"

#define context		arch_ctx
#define context_switch	arch_switch

static void context_init(struct arch_ctx *c, void (*fn)(void), void *sp)
{
	*c = (struct arch_ctx){ .sp = sp, .pc = (void *)fn };
}

#include "switch.h"

int main(int argc, char **argv)
{
	long n = arg_count(argc, argv, SWITCHES);

	arg_only_one(argc, argv);
	report("switch", "gsched", 1, n, measure(n), "backend=none");
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The floor below every switch between two stacks: the six registers that a callee must keep
 * are pushed, the stack pointer is exchanged, six are popped. It ends in a return, which the
 * CPU predicts to go to the caller and which goes elsewhere; or in a jump to the address
 * that it has popped. And a call and return that switch nothing, for the scale.
 */
struct context {
	void *sp;
};

asm("	.text\n"
    "	.macro	exchange\n"
    "	push	%rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    "	mov	%rsp, (%rdi)\n"
    "	mov	(%rsi), %rsp\n"
    "	pop	%r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
    "	.endm\n"
    "switch_ret:\n"
    "	exchange\n"
    "	ret\n"
    "switch_jmp:\n"
    "	exchange\n"
    "	pop	%rcx\n"
    "	jmp	*%rcx\n"
    "switch_not:\n"
    "	ret\n");

typedef void switch_fn(struct context *from, struct context *to);

switch_fn switch_ret, switch_jmp, switch_not;

static switch_fn *context_switch;

/* Six registers and where to go. */
static void context_init(struct context *c, void (*fn)(void), void *sp)
{
	void **frame = (void **)sp - 7;

	frame[6] = (void *)fn;
	c->sp = frame;
}

#include "switch.h"

static void measure_call(long n)
{
	int64_t begin = now_ns();

	for (long i = 0; i < n; i++)
		switch_not(&here, &there);
	report("switch_call", "asm", 1, n, now_ns() - begin, NULL);
}

static void measure_switch(const char *name, switch_fn *fn, long n)
{
	context_switch = fn;
	switched = 0;
	report(name, "asm", 1, n, measure(n), NULL);
}

int main(int argc, char **argv)
{
	long n = arg_count(argc, argv, SWITCHES);

	arg_only_one(argc, argv);
	measure_call(n);
	measure_switch("switch_ret", switch_ret, n);
	measure_switch("switch", switch_jmp, n);
	return 0;
}

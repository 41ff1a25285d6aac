// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * cfi.c: from a function's registers to its caller's, by the call frame information
 * that compilers leave for exceptions (.eh_frame).
 *
 * libgcc can do it, too, but reads whatever its arithmetic leads to. Here it may lead
 * astray: a goroutine whose stack is read can begin to run meanwhile, an overflowed
 * stack ends in a guard, and a crash may have been caused by a broken stack. So each
 * word of a stack is read by the caller's function, which knows what may be read; the
 * information itself belongs to loaded objects and is believed. Thereby nobody must be
 * stopped, and nothing locks, allocates or faults: all of it may run in a signal
 * handler.
 *
 * A "row" says of one instruction how to find the CFA (the caller's stack pointer after
 * the call) and each register of the caller's. Rows are made by running the small
 * programs of the CIE (for many functions) and the FDE (of this function) up to the
 * instruction.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "cfi.h"

/* How a register, or the CFA, is found. */
enum how {
	SAME,			/* it has not changed */
	UNDEFINED,
	AT_OFFSET,		/* in the memory at CFA + n */
	VAL_OFFSET,		/* CFA + n */
	IN_REGISTER,		/* register + n */
	AT_EXPRESSION,		/* in the memory that .. */
	VAL_EXPRESSION,
};

struct rule {
	enum how how;
	uint32_t reg;
	int64_t n;
	const uint8_t *expression;	/* its length, then itself */
};

struct row {
	struct rule cfa;
	struct rule reg[REGS];
};

/* What the CIE and the FDE of one function say. */
struct function {
	uintptr_t start, size;
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;		/* of code addresses */
	bool has_data;			/* length and data stand before the FDE's program */
	bool signal;			/* the kernel's frame of a signal */
	const uint8_t *cie_program, *cie_end;
	const uint8_t *program, *end;
};

/* --------------------------------------------------------------------- reading */

typedef uint16_t __attribute__((aligned(1), may_alias)) u16_any;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32_any;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64_any;

static uint64_t get_fixed(const uint8_t **p, size_t size)
{
	const uint8_t *at = *p;

	*p += size;
	switch (size) {
	case 1:
		return *at;
	case 2:
		return *(const u16_any *)at;
	case 4:
		return *(const u32_any *)at;
	default:
		return *(const u64_any *)at;
	}
}

static int64_t get_signed(const uint8_t **p, size_t size)
{
	uint32_t unused = 64 - size * 8;

	return (int64_t)(get_fixed(p, size) << unused) >> unused;
}

/* Seven bits a byte, the last one without the eighth. @shift: how many those were. */
static uint64_t get_leb(const uint8_t **p, uint32_t *shift)
{
	uint64_t value = 0;
	uint8_t byte;

	*shift = 0;
	do {
		byte = *(*p)++;
		if (*shift < 64)
			value |= (uint64_t)(byte & 0x7f) << *shift;
		*shift += 7;
	} while (byte & 0x80);
	return value;
}

static uint64_t get_uleb(const uint8_t **p)
{
	uint32_t shift;

	return get_leb(p, &shift);
}

static int64_t get_sleb(const uint8_t **p)
{
	uint32_t shift;
	uint64_t value = get_leb(p, &shift);

	if (shift <= 63 && value >> (shift - 1) & 1)
		value |= ~0ULL << shift;
	return value;
}

#define ENC_FORMAT	0x0f
#define ENC_RELATION	0x70
#define ENC_PCREL	0x10

static bool get_encoded(const uint8_t **p, uint8_t encoding, uintptr_t *value)
{
	uintptr_t base = (uintptr_t)*p;

	if ((encoding & ENC_RELATION) == 0)
		base = 0;
	else if ((encoding & ENC_RELATION) != ENC_PCREL)
		return false;
	switch (encoding & ENC_FORMAT) {
	case 0x00:
	case 0x04:
	case 0x0c:
		*value = base + get_fixed(p, 8);
		return true;
	case 0x03:
		*value = base + get_fixed(p, 4);
		return true;
	case 0x0b:
		*value = base + get_signed(p, 4);
		return true;
	default:
		return false;
	}
}

/* ------------------------------------------------------------ finding the function */

/* .eh_frame_hdr as all linkers write it: a table, sorted by address, relative to itself. */
struct table {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame;
	uint32_t count;
	struct {
		int32_t start, fde;
	} entry[];
};

static const uint8_t *find_fde(uintptr_t pc)
{
	struct dl_find_object object;
	const struct table *t;
	uint32_t lo = 0, hi, mid;

	if (_dl_find_object((void *)pc, &object) || !object.dlfo_eh_frame)
		return NULL;
	t = object.dlfo_eh_frame;
	if (t->version != 1 || t->frame_encoding != 0x1b || t->count_encoding != 0x03 ||
	    t->table_encoding != 0x3b || !t->count)
		return NULL;
	/* The last one that begins at or before pc. */
	for (hi = t->count; hi - lo > 1;) {
		mid = lo + (hi - lo) / 2;
		if ((uintptr_t)t + t->entry[mid].start <= pc)
			lo = mid;
		else
			hi = mid;
	}
	return (const uint8_t *)t + t->entry[lo].fde;
}

static bool parse_augmentation(struct function *f, const char *letters, const uint8_t *p)
{
	uintptr_t personality;
	uint8_t encoding;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			f->encoding = *p++;
			break;
		case 'P':
			encoding = *p++;
			if (!get_encoded(&p, encoding, &personality))
				return false;
			break;
		case 'L':
			p++;
			break;
		case 'S':
			f->signal = true;
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool parse_cie(struct function *f, const uint8_t *p)
{
	uint32_t length = get_fixed(&p, 4);
	const char *letters;
	uint8_t version;
	uint64_t size;

	f->cie_end = p + length;
	p += 4;
	version = *p++;
	letters = (const char *)p;
	p += strlen(letters) + 1;
	f->code_align = get_uleb(&p);
	f->data_align = get_sleb(&p);
	if ((version == 1 ? *p++ : get_uleb(&p)) != REG_NR_PC)
		return false;
	f->cie_program = p;
	f->has_data = *letters == 'z';
	if (!f->has_data)
		return !*letters;
	size = get_uleb(&p);
	f->cie_program = p + size;
	return parse_augmentation(f, letters + 1, p);
}

static bool parse_fde(struct function *f, const uint8_t *p)
{
	uint32_t length = get_fixed(&p, 4);
	const uint8_t *cie = p;

	f->end = p + length;
	cie -= get_fixed(&p, 4);
	if (length == UINT32_MAX || !parse_cie(f, cie) ||
	    !get_encoded(&p, f->encoding, &f->start) ||
	    !get_encoded(&p, f->encoding & ENC_FORMAT, &f->size))
		return false;
	f->program = p;
	if (f->has_data) {
		uint64_t size = get_uleb(&p);

		f->program = p + size;
	}
	return true;
}

static bool find_function(struct function *f, uintptr_t pc)
{
	const uint8_t *fde = find_fde(pc);

	memset(f, 0, sizeof(*f));
	return fde && parse_fde(f, fde) && pc - f->start < f->size;
}

/* ------------------------------------------------------------- running the programs */

#define REMEMBERED_MOST	4

struct run {
	const struct function *f;
	const uint8_t *p;
	uintptr_t at;			/* the address that the row is good for */
	uint32_t nr_remembered;
	bool bad;
	struct row row, first;		/* now; after the CIE's program */
	struct row remembered[REMEMBERED_MOST];
};

static void set_rule(struct run *run, uint64_t reg, enum how how, int64_t n)
{
	/* Others are of no interest: vector registers. */
	if (reg < REGS)
		run->row.reg[reg] = (struct rule){ .how = how, .n = n };
}

static const uint8_t *get_expression(struct run *run)
{
	const uint8_t *expression = run->p;
	uint64_t length = get_uleb(&run->p);

	run->p += length;
	return expression;
}

static void set_expression(struct run *run, enum how how)
{
	uint64_t reg = get_uleb(&run->p);
	const uint8_t *expression = get_expression(run);

	if (reg < REGS)
		run->row.reg[reg] = (struct rule){ .how = how, .expression = expression };
}

static void restore_rule(struct run *run, uint64_t reg)
{
	if (reg < REGS)
		run->row.reg[reg] = run->first.reg[reg];
}

static void set_cfa(struct run *run, uint64_t reg, int64_t n)
{
	run->row.cfa = (struct rule){ .how = IN_REGISTER, .reg = reg, .n = n };
	run->bad |= reg >= REGS;
}

static void remember(struct run *run)
{
	if (run->nr_remembered == REMEMBERED_MOST)
		run->bad = true;
	else
		run->remembered[run->nr_remembered++] = run->row;
}

static void recall(struct run *run)
{
	if (!run->nr_remembered)
		run->bad = true;
	else
		run->row = run->remembered[--run->nr_remembered];
}

static void advance(struct run *run, uint64_t delta)
{
	run->at += delta * run->f->code_align;
}

/* Evaluation order: an operand is read before what follows it. */
static void set_rule_scaled(struct run *run, enum how how, bool sign)
{
	uint64_t reg = get_uleb(&run->p);
	int64_t n = sign ? get_sleb(&run->p) : (int64_t)get_uleb(&run->p);

	set_rule(run, reg, how, n * run->f->data_align);
}

static void cfa_instruction(struct run *run, uint8_t op)
{
	uint64_t reg = run->row.cfa.reg;

	switch (op) {
	case 0x0c:	/* def_cfa */
		reg = get_uleb(&run->p);
		set_cfa(run, reg, get_uleb(&run->p));
		break;
	case 0x0d:	/* def_cfa_register */
		set_cfa(run, get_uleb(&run->p), run->row.cfa.n);
		break;
	case 0x0e:	/* def_cfa_offset */
		set_cfa(run, reg, get_uleb(&run->p));
		break;
	case 0x0f:	/* def_cfa_expression */
		run->row.cfa = (struct rule){ .how = VAL_EXPRESSION,
					      .expression = get_expression(run) };
		break;
	case 0x12:	/* def_cfa_sf */
		reg = get_uleb(&run->p);
		set_cfa(run, reg, get_sleb(&run->p) * run->f->data_align);
		break;
	case 0x13:	/* def_cfa_offset_sf */
		set_cfa(run, reg, get_sleb(&run->p) * run->f->data_align);
		break;
	default:
		run->bad = true;
	}
}

static void register_instruction(struct run *run, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case 0x05:	/* offset_extended */
		set_rule_scaled(run, AT_OFFSET, false);
		break;
	case 0x06:	/* restore_extended */
		restore_rule(run, get_uleb(&run->p));
		break;
	case 0x07:	/* undefined */
		set_rule(run, get_uleb(&run->p), UNDEFINED, 0);
		break;
	case 0x08:	/* same_value */
		set_rule(run, get_uleb(&run->p), SAME, 0);
		break;
	case 0x09:	/* register */
		reg = get_uleb(&run->p);
		set_rule(run, reg, IN_REGISTER, 0);
		if (reg < REGS)
			run->row.reg[reg].reg = get_uleb(&run->p);
		break;
	case 0x10:	/* expression */
		set_expression(run, AT_EXPRESSION);
		break;
	case 0x11:	/* offset_extended_sf */
		set_rule_scaled(run, AT_OFFSET, true);
		break;
	case 0x14:	/* val_offset */
		set_rule_scaled(run, VAL_OFFSET, false);
		break;
	case 0x15:	/* val_offset_sf */
		set_rule_scaled(run, VAL_OFFSET, true);
		break;
	case 0x16:	/* val_expression */
		set_expression(run, VAL_EXPRESSION);
		break;
	default:
		cfa_instruction(run, op);
	}
}

static void instruction(struct run *run)
{
	uint8_t op = *run->p++, low = op & 0x3f;

	switch (op & 0xc0 ? op & 0xc0 : op) {
	case 0x40:	/* advance_loc */
		advance(run, low);
		break;
	case 0x80:	/* offset */
		set_rule(run, low, AT_OFFSET, get_uleb(&run->p) * run->f->data_align);
		break;
	case 0xc0:	/* restore */
		restore_rule(run, low);
		break;
	case 0x00:	/* nop */
		break;
	case 0x01:	/* set_loc */
		run->bad |= !get_encoded(&run->p, run->f->encoding, &run->at);
		break;
	case 0x02:	/* advance_loc1 .. */
	case 0x03:
	case 0x04:
		advance(run, get_fixed(&run->p, 1U << (op - 2)));
		break;
	case 0x0a:
		remember(run);
		break;
	case 0x0b:
		recall(run);
		break;
	case 0x2e:	/* GNU_args_size */
		get_uleb(&run->p);
		break;
	default:
		register_instruction(run, op);
	}
}

/* The row for @pc. */
static bool find_row(struct run *run, const struct function *f, uintptr_t pc)
{
	memset(run, 0, offsetof(struct run, remembered));
	run->f = f;
	run->p = f->cie_program;
	while (run->p < f->cie_end && !run->bad)
		instruction(run);
	run->first = run->row;
	run->p = f->program;
	run->at = f->start;
	while (run->p < f->end && !run->bad && run->at <= pc)
		instruction(run);
	return !run->bad;
}

/* --------------------------------------------------------------------- expressions */

#define OPERANDS_MOST	8

struct eval {
	const struct regs *regs;
	const struct cfi_memory *memory;
	const uint8_t *p;
	uint32_t nr;
	bool bad;
	uintptr_t stack[OPERANDS_MOST];
};

static void push(struct eval *e, uintptr_t value)
{
	if (e->nr == OPERANDS_MOST)
		e->bad = true;
	else
		e->stack[e->nr++] = value;
}

static uintptr_t pop(struct eval *e)
{
	if (e->nr)
		return e->stack[--e->nr];
	e->bad = true;
	return 0;
}

static void push_register(struct eval *e, uint32_t reg, int64_t n)
{
	if (reg >= REGS || !(e->regs->known & 1U << reg))
		e->bad = true;
	else
		push(e, e->regs->r[reg] + n);
}

static void dereference(struct eval *e)
{
	uintptr_t value = 0;

	e->bad = e->bad || !e->memory->read(e->memory, pop(e), &value);
	push(e, value);
}

static void arithmetic(struct eval *e, uint8_t op)
{
	uintptr_t b = pop(e), a = pop(e);

	switch (op) {
	case 0x1a:
		push(e, a & b);
		break;
	case 0x1c:
		push(e, a - b);
		break;
	case 0x21:
		push(e, a | b);
		break;
	case 0x22:
		push(e, a + b);
		break;
	case 0x24:
		push(e, b < 64 ? a << b : 0);
		break;
	case 0x2a:
		push(e, (intptr_t)a >= (intptr_t)b);
		break;
	default:
		e->bad = true;
	}
}

/* As much as compilers, linkers (for the PLT) and the C library make use of. */
static void operation(struct eval *e)
{
	uint8_t op = *e->p++;

	if (op >= 0x30 && op <= 0x4f) {
		push(e, op - 0x30);		/* lit0 .. */
		return;
	}
	if (op >= 0x70 && op <= 0x8f) {		/* breg0 .. */
		push_register(e, op - 0x70, get_sleb(&e->p));
		return;
	}
	switch (op) {
	case 0x06:
		dereference(e);
		break;
	case 0x08:	/* const1u, const1s, const2u .. const8s */
	case 0x0a:
	case 0x0c:
	case 0x0e:
		push(e, get_fixed(&e->p, 1U << (op - 0x08) / 2));
		break;
	case 0x09:
	case 0x0b:
	case 0x0d:
	case 0x0f:
		push(e, get_signed(&e->p, 1U << (op - 0x09) / 2));
		break;
	case 0x10:
		push(e, get_uleb(&e->p));
		break;
	case 0x11:
		push(e, get_sleb(&e->p));
		break;
	case 0x23:	/* plus_uconst */
		push(e, pop(e) + get_uleb(&e->p));
		break;
	default:
		arithmetic(e, op);
	}
}

struct frame {
	const struct regs *regs;		/* the callee's */
	const struct cfi_memory *memory;
	uintptr_t cfa;
};

static bool evaluate(const struct frame *frame, const uint8_t *expression, bool with_cfa,
		     uintptr_t *value)
{
	struct eval e = { .regs = frame->regs, .memory = frame->memory, .p = expression };
	uint64_t length = get_uleb(&e.p);
	const uint8_t *end = e.p + length;

	if (with_cfa)
		push(&e, frame->cfa);
	while (e.p < end && !e.bad)
		operation(&e);
	*value = pop(&e);
	return !e.bad;
}

/* ------------------------------------------------------------------------ the step */

static bool in_register(const struct frame *frame, const struct rule *rule, uintptr_t *value)
{
	if (rule->reg >= REGS || !(frame->regs->known & 1U << rule->reg))
		return false;
	*value = frame->regs->r[rule->reg] + rule->n;
	return true;
}

static bool find_cfa(struct frame *frame, const struct rule *rule)
{
	if (rule->how == VAL_EXPRESSION)
		return evaluate(frame, rule->expression, false, &frame->cfa);
	return rule->how == IN_REGISTER && in_register(frame, rule, &frame->cfa);
}

static bool find_register(const struct frame *frame, const struct rule *rule,
			  uintptr_t *value)
{
	const struct cfi_memory *memory = frame->memory;
	uintptr_t at;

	switch (rule->how) {
	case AT_OFFSET:
		return memory->read(memory, frame->cfa + rule->n, value);
	case VAL_OFFSET:
		*value = frame->cfa + rule->n;
		return true;
	case IN_REGISTER:
		return in_register(frame, rule, value);
	case AT_EXPRESSION:
		return evaluate(frame, rule->expression, true, &at) &&
		       memory->read(memory, at, value);
	case VAL_EXPRESSION:
		return evaluate(frame, rule->expression, true, value);
	default:
		return false;
	}
}

/* What cannot be found is unknown; whether that matters shows when it is asked for. */
static void find_registers(struct regs *caller, const struct frame *frame,
			   const struct row *row)
{
	*caller = *frame->regs;
	regs_set(caller, REG_NR_SP, frame->cfa);
	for (uint32_t i = 0; i < REGS; i++) {
		if (row->reg[i].how == SAME)
			continue;
		if (find_register(frame, row->reg + i, caller->r + i))
			caller->known |= 1U << i;
		else
			caller->known &= ~(1U << i);
	}
}

/**
 * cfi_step - from a function's registers to its caller's
 * @regs:   the function's on entry, its caller's on return (CFI_CALL, CFI_SIGNAL)
 * @exact:  the pc is where the function is, not a return address: that points behind
 *          a call, perhaps behind the function's end
 * @memory: where its stack may be read
 *
 * Async-signal-safe. Return: what has been found.
 */
enum cfi_result cfi_step(struct regs *regs, bool exact, const struct cfi_memory *memory)
{
	struct frame frame = { .regs = regs, .memory = memory };
	uintptr_t pc = regs->r[REG_NR_PC] - !exact;
	struct function f;
	struct regs caller;
	struct run run;

	if (!find_function(&f, pc) || !find_row(&run, &f, pc))
		return CFI_UNKNOWN;
	if (run.row.reg[REG_NR_PC].how == UNDEFINED)
		return CFI_END;
	if (run.row.reg[REG_NR_PC].how == SAME || !find_cfa(&frame, &run.row.cfa))
		return CFI_UNKNOWN;
	find_registers(&caller, &frame, &run.row);
	if (!(caller.known & 1U << REG_NR_PC))
		return CFI_UNKNOWN;
	*regs = caller;
	return f.signal ? CFI_SIGNAL : CFI_CALL;
}

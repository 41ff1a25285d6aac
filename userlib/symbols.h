/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* symbols.h: names of functions. */
#ifndef GS_SYMBOLS_H
#define GS_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "out.h"

struct symbol {
	uintptr_t pc;
	const char *name;		/* NULL: only the module is known, or nothing */
	uintptr_t offset;		/* in the function, or else in the module */
	const char *module;		/* the file's base name, NULL: nothing is known */
};

/* What has been found for a while: the same callers come again and again. */
#define SYMBOL_CACHE	64

struct symbol_cache {
	struct symbol entry[SYMBOL_CACHE];
};

void symbol_find(struct symbol *s, uintptr_t pc);
const struct symbol *symbol_cached(struct symbol_cache *cache, uintptr_t pc);
void symbol_print(struct out *o, const struct symbol *s);
const char *symbol_name(uintptr_t pc, char *buf, size_t len);

#endif /* GS_SYMBOLS_H */

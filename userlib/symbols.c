// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * symbols.c: names of functions, static ones included: from the symbol table of the
 * file, which is not part of what is loaded.
 *
 * Async-signal-safe: files are mapped, not read by stdio, and stay mapped (the names
 * that are given out lie there). A module that is unloaded and another that is loaded
 * to just its place can be mistaken for one another; names are for people.
 *
 * A file is believed as little as any: it may have been replaced since it was loaded.
 * Nothing outside of it is touched, whatever it says.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbols.h"

#define MODULES_MOST	64
#define MODULE_NAME_LEN	48

struct module {
	const struct link_map *map;	/* stored last (release): the entry is complete */
	const void *start;		/* where it is loaded */
	char name[MODULE_NAME_LEN];
	const ElfW(Sym) *symbols;
	size_t nr_symbols;
	const char *strings;
	size_t strings_size;
};

static struct module modules[MODULES_MOST];
static uint32_t nr_modules;		/* entries taken, complete or not */

/* Cut where there is no room. Return: the place behind it. */
static size_t append(char *buf, size_t at, size_t len, const char *s)
{
	while (*s && at < len - 1)
		buf[at++] = *s++;
	buf[at] = '\0';
	return at;
}

/* ---------------------------------------------------------------------- the file */

struct file {
	const char *data;
	size_t size;
};

/* The numbers of descriptors that the program holds may matter: it is closed at once. */
static bool file_map(struct file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data = MAP_FAILED;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(ElfW(Ehdr)))
		data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*f = (struct file){ data, st.st_size };
	return data != MAP_FAILED;
}

/* @n things of @size bytes at @offset; NULL: they are not all inside. */
static const void *file_at(const struct file *f, uint64_t offset, uint64_t n, uint64_t size)
{
	if (offset > f->size || offset % 8 || n > (f->size - offset) / size)
		return NULL;
	return f->data + offset;
}

static bool take_table(struct module *m, const struct file *f, const ElfW(Shdr) *section,
		       const ElfW(Shdr) *strings)
{
	m->nr_symbols = section->sh_size / sizeof(ElfW(Sym));
	m->symbols = file_at(f, section->sh_offset, m->nr_symbols, sizeof(ElfW(Sym)));
	m->strings_size = strings->sh_size;
	if (strings->sh_offset > f->size || strings->sh_size > f->size - strings->sh_offset ||
	    !strings->sh_size)
		return false;
	m->strings = f->data + strings->sh_offset;
	/* Names end by a zero; so does the table. */
	return m->symbols && !m->strings[m->strings_size - 1];
}

static bool find_table(struct module *m, const struct file *f, uint32_t type)
{
	const ElfW(Ehdr) *header = (const void *)f->data;
	const ElfW(Shdr) *section = file_at(f, header->e_shoff, header->e_shnum,
					    sizeof(*section));

	for (uint32_t i = 0; section && i < header->e_shnum; i++)
		if (section[i].sh_type == type && section[i].sh_link < header->e_shnum &&
		    take_table(m, f, section + i, section + section[i].sh_link))
			return true;
	return false;
}

static bool is_elf(const struct file *f)
{
	return !memcmp(f->data, ELFMAG, SELFMAG) && f->data[EI_CLASS] == ELFCLASS64;
}

/* A file without a table is a module without names. */
static void module_read(struct module *m, const char *path)
{
	struct file f;

	if (!file_map(&f, path))
		return;
	if (is_elf(&f) && (find_table(m, &f, SHT_SYMTAB) || find_table(m, &f, SHT_DYNSYM)))
		return;
	m->symbols = NULL;
	munmap((void *)f.data, f.size);
}

/* -------------------------------------------------------------------- the modules */

static void module_set_name(struct module *m, const char *path)
{
	const char *slash = strrchr(path, '/');

	append(m->name, 0, MODULE_NAME_LEN, slash ? slash + 1 : path);
}

/* The program's own name is not in its link_map. */
static void program_set_name(struct module *m)
{
	char path[1024];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n < 0 ? 0 : n] = '\0';
	module_set_name(m, n < 0 ? "program" : path);
}

static void module_init(struct module *m, const struct dl_find_object *object)
{
	const char *path = object->dlfo_link_map->l_name;

	m->start = object->dlfo_map_start;
	if (*path)
		module_set_name(m, path);
	else
		program_set_name(m);
	module_read(m, *path ? path : "/proc/self/exe");
}

static struct module *module_known(const struct dl_find_object *object)
{
	uint32_t n = __atomic_load_n(&nr_modules, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < n && i < MODULES_MOST; i++)
		if (__atomic_load_n(&modules[i].map, __ATOMIC_ACQUIRE) == object->dlfo_link_map &&
		    modules[i].start == object->dlfo_map_start)
			return modules + i;
	return NULL;
}

/*
 * No lock: a signal could come while its holder is interrupted. Two who miss a module
 * at the same time both read it. When there is no entry left modules have no names.
 */
static struct module *module_find(const struct dl_find_object *object)
{
	struct module *m = module_known(object);
	uint32_t n;

	if (m)
		return m;
	n = __atomic_load_n(&nr_modules, __ATOMIC_RELAXED);
	do {
		if (n >= MODULES_MOST)
			return NULL;
	} while (!__atomic_compare_exchange_n(&nr_modules, &n, n + 1, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	m = modules + n;
	module_init(m, object);
	__atomic_store_n(&m->map, object->dlfo_link_map, __ATOMIC_RELEASE);
	return m;
}

/* Functions of assembly may have no size. */
static bool covers(const ElfW(Sym) *symbol, uintptr_t addr)
{
	uint32_t type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC))
		return false;
	return addr - symbol->st_value < (symbol->st_size ? symbol->st_size : 64);
}

/* Of several the one that begins last. */
static const ElfW(Sym) *symbol_at(const struct module *m, uintptr_t addr)
{
	const ElfW(Sym) *best = NULL;

	for (size_t i = 0; m->symbols && i < m->nr_symbols; i++)
		if (covers(m->symbols + i, addr) && m->symbols[i].st_name < m->strings_size &&
		    (!best || m->symbols[i].st_value > best->st_value))
			best = m->symbols + i;
	return best;
}

/**
 * symbol_find - which function is it?
 * @s:  is filled in
 * @pc: an address of code
 */
void symbol_find(struct symbol *s, uintptr_t pc)
{
	struct dl_find_object object;
	const struct module *m;
	const ElfW(Sym) *symbol;

	*s = (struct symbol){ .pc = pc };
	if (_dl_find_object((void *)pc, &object))
		return;
	m = module_find(&object);
	if (!m)
		return;
	s->module = m->name;
	s->offset = pc - object.dlfo_link_map->l_addr;
	symbol = symbol_at(m, s->offset);
	if (!symbol)
		return;
	s->name = m->strings + symbol->st_name;
	s->offset -= symbol->st_value;
}

/** symbol_cached - symbol_find, remembering; @cache: at first zero. */
const struct symbol *symbol_cached(struct symbol_cache *cache, uintptr_t pc)
{
	struct symbol *s = cache->entry + (pc ^ pc >> 6) % SYMBOL_CACHE;

	if (s->pc != pc)
		symbol_find(s, pc);
	return s;
}

/** symbol_print - "worker+0x1c (program)", "program+0x1139" or "?". */
void symbol_print(struct out *o, const struct symbol *s)
{
	if (!s->module) {
		out_char(o, '?');
		return;
	}
	out_str(o, s->name ? s->name : s->module);
	out_char(o, '+');
	out_hex(o, s->offset);
	if (!s->name)
		return;
	out_str(o, " (");
	out_str(o, s->module);
	out_char(o, ')');
}

static size_t append_hex(char *buf, size_t at, size_t len, uintptr_t n)
{
	int shift = 60;

	at = append(buf, at, len, "0x");
	while (shift && !(n >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4) {
		char digit[2] = { "0123456789abcdef"[n >> shift & 15], '\0' };

		at = append(buf, at, len, digit);
	}
	return at;
}

/**
 * symbol_name - "worker", "worker+0x1c", "program+0x1139" or an address
 * @pc:  an address of code; not a return address (they can point behind the function)
 * @buf: where to write it
 * @len: room there, at least 1; what does not fit is cut
 *
 * Async-signal-safe. Return: @buf.
 */
const char *symbol_name(uintptr_t pc, char *buf, size_t len)
{
	struct symbol s;
	size_t at;

	symbol_find(&s, pc);
	if (!s.module) {
		append_hex(buf, 0, len, pc);
		return buf;
	}
	at = append(buf, 0, len, s.name ? s.name : s.module);
	if (!s.name || s.offset)
		append_hex(buf, append(buf, at, len, "+"), len, s.offset);
	return buf;
}

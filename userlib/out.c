// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* out.c: text without stdio; see out.h. */
#include <errno.h>

#include "out.h"
#include "sysio.h"

/** out_init - begin; @fd: where to. */
void out_init(struct out *o, int fd)
{
	o->fd = fd;
	o->err = 0;
	o->len = 0;
}

/** out_flush - write what has gathered. Return: 0, or the first -errno of all. */
int out_flush(struct out *o)
{
	uint32_t done = 0;
	ssize_t n;

	while (!o->err && done < o->len) {
		n = sys_write(o->fd, o->buf + done, o->len - done);
		if (n >= 0)
			done += n;
		else if (n != -EINTR)
			o->err = n;
	}
	o->len = 0;
	return o->err;
}

void out_char(struct out *o, char c)
{
	if (o->len == OUT_BUF)
		out_flush(o);
	o->buf[o->len++] = c;
}

void out_str(struct out *o, const char *s)
{
	while (*s)
		out_char(o, *s++);
}

static void out_number(struct out *o, uint64_t n, uint32_t base)
{
	char digits[20];
	int i = 0;

	do {
		digits[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (i)
		out_char(o, digits[--i]);
}

void out_u64(struct out *o, uint64_t n)
{
	out_number(o, n, 10);
}

void out_hex(struct out *o, uint64_t n)
{
	out_str(o, "0x");
	out_number(o, n, 16);
}

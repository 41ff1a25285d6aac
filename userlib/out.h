/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * out.h: text, to a descriptor, in places where nothing may lock, allocate or wait for
 * other threads: signal handlers, crashes.
 */
#ifndef GS_OUT_H
#define GS_OUT_H

#include <stdint.h>

#define OUT_BUF	1024

struct out {
	int fd;
	int err;		/* the first -errno; from then on nothing is written */
	uint32_t len;
	char buf[OUT_BUF];
};

void out_init(struct out *o, int fd);
void out_char(struct out *o, char c);
void out_str(struct out *o, const char *s);
void out_u64(struct out *o, uint64_t n);
void out_hex(struct out *o, uint64_t n);
int out_flush(struct out *o);

#endif /* GS_OUT_H */

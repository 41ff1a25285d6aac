/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* output.h: texts that the library writes. */
#ifndef GS_OUTPUT_H
#define GS_OUTPUT_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/** write_all - write all of @buf, waiting if need be. Return: 0, or -errno. */
static inline int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
	return 0;
}

#endif /* GS_OUTPUT_H */

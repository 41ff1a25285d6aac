/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* info.h: the reasons that gs_info() gives. */
#ifndef GS_INFO_H
#define GS_INFO_H

const char *info_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void info_backend_why(const char *why);
void info_reset(void);

#endif /* GS_INFO_H */

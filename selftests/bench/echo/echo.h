/* SPDX-License-Identifier: GPL-2.0 */
/* echo.h: what load and the servers agree on. */
#ifndef ECHO_H
#define ECHO_H

#define MESSAGE_BYTES	64
#define BUFFER_BYTES	4096		/* what servers read into */

#endif /* ECHO_H */

// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* errno.c: errno for those who change their thread. */
#include <errno.h>

#include "sched.h"

/* Its callers must not learn that the address is "constant": never inlined. */
ARCH_SWITCHES int *gs_errno_location(void)
{
	return &errno;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Delay points: places where a race is decided. A module built with
 * "make build/6.1-delays/gsched.ko" waits there for as long as the parameter "delays" says,
 * ns by point, so that a test can hold a window open.
 */
#ifndef GS_DELAY_H
#define GS_DELAY_H

enum gs_delay {
	GS_DELAY_BLOCK,		/* sched_out: the P can be taken, no taker looked for yet */
	GS_DELAY_UNBLOCK,	/* sched_in: before it sees whether its P was taken */
	GS_DELAY_STEAL,		/* under the lock: blk is TAKEN, the P not yet moved */
	GS_DELAY_HOLD,		/* hold: before it queues up */
	GS_DELAY_PARK,		/* queued up, and about to sleep */
	GS_DELAY_KICK,		/* the interrupt has come, the P is not taken yet */
	GS_DELAY_TICK,		/* the tick has said that it is off, and looks once more */
	GS_DELAY_COUNT,		/* sched_out: the P can be taken, and is not counted yet */
	GS_DELAY_LOOK,		/* who wants a P has looked for blocked owners */
	GS_DELAY_GRANT,		/* an M has got a P, and is not woken yet */
	GS_DELAY_QUEUE,		/* listed for a P, and not yet on the way to sleep */
	GS_DELAY_SEND,		/* the tick has decided on an interrupt, and not sent it */
	GS_DELAY_FIRE,		/* the tick's timer has fired, and nobody knows */
	GS_DELAY_QUIET,		/* the tick has looked, and not said what comes next */
	GS_DELAY_WATCH,		/* sched_out: nobody wants the P, who watches it? */
	GS_NR_DELAYS,
};

#ifdef GSCHED_DELAYS
#include <linux/delay.h>

extern unsigned int gs_delays[GS_NR_DELAYS];

#define GS_DELAY(point) ndelay(READ_ONCE(gs_delays[point]))
#else
#define GS_DELAY(point) do { } while (0)
#endif

#endif /* GS_DELAY_H */

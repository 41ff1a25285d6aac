/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An inbox: gs_inbox_push() of kmod/inbox.c (inbox_push() is the same) against
 * inbox_drain(), reverse() and consume() of userlib/inbox.c.
 *
 * Two nodes. Two interrupts deliver the Gs that wait there, each twice, if the G waits
 * again. Two Ms drain the inbox: the owner and a thief, each with a run queue of its own;
 * a G that has run waits in its node again.
 *
 * Wanted: no G is lost, none is run twice, and in the end all nodes can be used again.
 */
#define THREADS		4
#define M0		0	/* threads 0 and 1: the Ms; 2 and 3: interrupts */
#define IRQ0		2

#define INBOX		0	/* the newest node + 1 */
#define NEXT		1	/* of each node */
#define COOKIE		3	/* of each node: the G that was delivered, or 0 */
#define WORDS		5

#include "tso.h"

#define ROUNDS		2

bool waits[2];			/* the G's cookie is in its node's word */
byte runs[2];			/* how often the G was run */

/* gs_node_ready(): the cookie was taken out of the word */
proctype irq(byte n)
{
	byte first, round;

	do
	:: round == ROUNDS -> break
	:: atomic { round < ROUNDS && waits[n] -> waits[n] = false; round++ };
		st(IRQ0 + n, COOKIE + n, n + 1);
		first = LD(IRQ0 + n, INBOX);
#if BROKEN == 1		/* @next is written after the push */
		do
		:: atomic { FENCED(IRQ0 + n);
			    if
			    :: mem[INBOX] == first -> mem[INBOX] = n + 1; break
			    :: else -> first = mem[INBOX]
			    fi }
		od;
		st(IRQ0 + n, NEXT + n, first);
#else
		do
		:: st(IRQ0 + n, NEXT + n, first);
#if BROKEN == 2		/* not compare-and-swap but a store */
			mem[INBOX] = n + 1;
			break
#else
			atomic { FENCED(IRQ0 + n);
				 if
				 :: mem[INBOX] == first -> mem[INBOX] = n + 1; break
				 :: else -> first = mem[INBOX]
				 fi }
#endif
		od;
#endif
		first = 0
	od
}

proctype m(byte t)
{
	byte link, done, next, g;

end:	do
	:: LD(t, INBOX) ->
		/* inbox_drain(): takes all */
#if BROKEN == 3		/* a load and a store */
		link = LD(t, INBOX);
		st(t, INBOX, 0);
#else
		atomic { FENCED(t); link = mem[INBOX]; mem[INBOX] = 0 };
#endif
		do				/* reverse() */
		:: link ->
			next = LD(t, NEXT + link - 1);
			st(t, NEXT + link - 1, done);
			done = link;
			link = next
		:: else -> break
		od;
		link = done;
		done = 0;
		do				/* consume(), ready_tail() */
		:: link ->
			g = LD(t, COOKIE + link - 1);
			assert(g == link);
#if BROKEN == 4		/* the G may run, and wait again, before @next is read */
			atomic { runs[g - 1]++; waits[g - 1] = true };
			next = LD(t, NEXT + link - 1);
			st(t, COOKIE + link - 1, 0);
#elif BROKEN == 5	/* the node is let go of when the G may wait there again */
			next = LD(t, NEXT + link - 1);
			atomic { runs[g - 1]++; waits[g - 1] = true };
			st(t, COOKIE + link - 1, 0);
#else
			next = LD(t, NEXT + link - 1);
			st(t, COOKIE + link - 1, 0);
			fence(t);		/* until the G waits again: a switch, a word's RMW */
			atomic { runs[g - 1]++; waits[g - 1] = true };
#endif
			link = next
		:: else -> break
		od;
		next = 0;
		g = 0
	od
}

init
{
	atomic {
		waits[0] = true;
		waits[1] = true;
		run m(0);
		run m(1);
		run irq(0);
		run irq(1)
	}
	timeout;
	assert(runs[0] == ROUNDS && runs[1] == ROUNDS);
	assert(mem[INBOX] == 0 && mem[COOKIE] == 0 && mem[COOKIE + 1] == 0)
}

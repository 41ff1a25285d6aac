/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A goroutine that waits for a descriptor against all who end its wait: userlib/fdwait.c
 * (fd_prepare, fd_watch, fd_commit, fd_wake), gs_node_ready(), gs_slot_close() and
 * gs_slot_poll() of kmod/fd.c and kmod/inbox.c, the attention bit of an inbox, and
 * inbox_drain().
 *
 * One G reads a descriptor, once or twice, which at first is not registered. Data comes up
 * to twice, from an interrupt. Besides the deadline's timer may fire, gs_close be called, or
 * the sweep close the slot. Of two Ms the first begins with the G and sees to the inbox;
 * the second may do that, too.
 *
 * Wanted: the G never runs on two Ms, nor on a stack that is in use; and when nothing
 * moves any more its call is over, or nothing has happened that it waits for.
 */
#define THREADS		4
#define EVENTS		2	/* threads 0 and 1: the Ms */
#define OTHER		3

#define WORD		0	/* node->word */
#define DATA		1	/* how often there has been some in the file */
#define SLOT		2	/* the entry's slot */
#define QUEUED		3	/* the kernel's entry is in the file's wait queue */
#define CLOSED		4	/* GSCHED_EV_CLOSED in node->events */
#define CLOSING		5	/* FD_CLOSING in the entry's state */
#define INBOX		6
#define ATTENTION	7	/* GSCHED_ATTN_INBOX */
#define WORDS		8

#include "tso.h"

#define NIL		0
#define READY		1
#define COOKIE		2

mtype = { DEADLINE, CLOSE, SWEEP, NOTHING };
mtype other;

bool late;			/* the deadline has passed */
bool stack_used;		/* some M is on the G's stack */
bool runnable;			/* in a run queue */
byte reads;			/* how often the G has got data */
bool over;			/* its call has returned */
byte wanted;			/* how often it wants to */
bool thief;			/* there is time for the second M to look at the inbox */

/* node_ready(), gs_node_ready() */
inline node_ready(t, old)
{
#if BROKEN == 1		/* the kernel leaves READY as it is */
	old = LD(t, WORD);
	if
	:: old == READY
	:: else ->
#endif
	atomic { FENCED(t); old = mem[WORD]; mem[WORD] = READY }
#if BROKEN == 1
	fi
#endif
}

inline make_runnable()
{
	assert(!runnable);
	runnable = true
}

/* gs_inbox_push() */
inline push_inbox(t, old)
{
	rmw_add(t, INBOX, 1);
	if
#if BROKEN != 2		/* the bit is not set again */
	:: LD(t, ATTENTION) == 0 -> atomic { FENCED(t); mem[ATTENTION] = 1 }
#endif
	:: else
	fi
}

/* gs_slot_ready() */
inline slot_ready(t, old)
{
	node_ready(t, old);
	if
	:: old == COOKIE -> push_inbox(t, old)
	:: else
	fi;
	old = 0
}

/* ------------------------------------------------------------------ who wakes */

/*
 * The file becomes ready; its wait queue is called, if we are in it. Only who would leave
 * it at that has a barrier for sure (wq_has_sleeper()).
 */
inline event(n)
{
	st(EVENTS, DATA, n);
	if
	:: LD(EVENTS, QUEUED)
	:: else -> fence(EVENTS)
	fi;
	if
	:: LD(EVENTS, QUEUED) -> slot_ready(EVENTS, old)
	:: else
	fi
}

proctype events()
{
	byte old;

	if
	:: event(1);
	   if
	   :: event(2)
	   :: true
	   fi
	:: true
	fi
}

proctype another()
{
	byte old;

	if
	:: other == DEADLINE ->		/* fd_expire(), once the timer is started */
end_timer:	LD(OTHER, SLOT);
		late = true;
		node_ready(OTHER, old);
		if
		:: old == COOKIE -> make_runnable()
		:: else
		fi
	:: other == CLOSE ->		/* fd_close(), fd_wake() */
#if BROKEN == 3		/* looks for the slot first */
		if
		:: LD(OTHER, SLOT) -> node_ready(OTHER, old)
		:: else
		fi;
		atomic { FENCED(OTHER); mem[CLOSING] = 1 }
#else
		atomic { FENCED(OTHER); mem[CLOSING] = 1 }
		if
		:: LD(OTHER, SLOT) -> node_ready(OTHER, old)
		:: else
		fi;
#endif
		if
		:: old == COOKIE -> make_runnable()
		:: else
		fi
	:: other == SWEEP ->		/* gs_slot_close(), once it is registered */
end_sweep:	LD(OTHER, SLOT);
		atomic { FENCED(OTHER); mem[QUEUED] = 0 };
#if BROKEN == 4		/* READY first */
		slot_ready(OTHER, old);
		atomic { FENCED(OTHER); mem[CLOSED] = 1 }
#else
		atomic { FENCED(OTHER); mem[CLOSED] = 1 }
		slot_ready(OTHER, old)
#endif
	:: else
	fi
}

/* ------------------------------------------------------------------------ the Ms */

/* fd_prepare(): the reset [A] */
inline reset(t)
{
	if
	:: LD(t, SLOT) && LD(t, WORD) != NIL ->
#if BROKEN == 5		/* a plain store */
		st(t, WORD, NIL)
#else
		atomic { FENCED(t); mem[WORD] = NIL }
#endif
	:: else
	fi
}

/* One round of the loop; how == 0: park, 1: again, 2: the call is over */
inline attempt(t, how, old)
{
	how = 0;
#if BROKEN != 6		/* the reset comes after the attempt */
	reset(t);
#endif
	if
	:: LD(t, SLOT) && LD(t, CLOSED) -> how = 2	/* as good as -EBADF */
	:: else
	fi;
	if
	:: how == 0 && LD(t, CLOSING) -> how = 2
	:: else
	fi;
	if
	:: how == 0 ->			/* the system call */
		atomic {
			if
			:: mem[DATA] != reads -> reads++; how = 1
			:: mem[DATA] == reads
			fi
		}
	:: else
	fi;
#if BROKEN == 6
	reset(t);
#endif
	if
	:: how == 1 && reads == wanted -> how = 2
	:: how == 0 && late -> how = 2
	:: how == 0 && !late && !LD(t, SLOT) ->	/* fd_watch() */
		atomic { FENCED(t); mem[QUEUED] = 1 }	/* gs_slot_poll(), and its lock */
		if
		:: mem[DATA] != reads -> slot_ready(t, old)
		:: else
		fi;
#if BROKEN == 7		/* not sequentially consistent */
		st(t, SLOT, 1);
#else
		atomic { FENCED(t); mem[SLOT] = 1 };
#endif
		if
		:: LD(t, CLOSING) -> how = 2
		:: else
		fi
	:: else
	fi
}

/* The G goes on until it parks or its call ends. */
inline run_g(t, how, old)
{
	do
	:: attempt(t, how, old);
		if
		:: how == 2 -> over = true; stack_used = false; break
		:: how == 1
		:: how == 0 ->
#if BROKEN != 8		/* publishes itself while it is on its stack */
			stack_used = false;
#endif
			atomic {		/* fd_commit() */
				FENCED(t);
				old = mem[WORD];
				mem[WORD] = (old == NIL -> COOKIE : old)
			}
#if BROKEN == 8
			stack_used = false;
#endif
			if
			:: old == NIL -> break
			:: else -> old = 0; atomic { assert(!stack_used); stack_used = true }
			fi
		fi
	od;
	how = 0;
	old = 0
}

proctype m(byte t)
{
	byte how, old, taken;

	if
	:: t == 0 -> run_g(t, how, old)
	:: else
	fi;
end:	do
	:: atomic { runnable -> runnable = false; assert(!stack_used && !over); stack_used = true };
		run_g(t, how, old)
	:: atomic { t == 0 && LD(t, ATTENTION) && FENCED(t) -> skip };
		/* attend(): the bit, then inbox_drain() */
#if BROKEN != 9		/* the bit is cleared when all is done */
		atomic { FENCED(t); mem[ATTENTION] = 0 };
#endif
		atomic { FENCED(t); taken = mem[INBOX]; mem[INBOX] = 0 };
		atomic {
			if
			:: taken -> assert(taken == 1); make_runnable()
			:: else
			fi;
			taken = 0
		}
#if BROKEN == 9
		atomic { FENCED(t); mem[ATTENTION] = 0 }
#endif
	:: atomic { t == 1 && thief && mem[INBOX] -> taken = mem[INBOX]; mem[INBOX] = 0;
		    assert(taken == 1); taken = 0; make_runnable() }
	:: over -> break
	od
}

init
{
	atomic {
		stack_used = true;
		if
		:: other = DEADLINE
		:: other = CLOSE
		:: other = SWEEP
		:: other = NOTHING
		fi;
		if
		:: wanted = 1
		:: wanted = 2
		fi;
		if
		:: thief = true
		:: thief = false
		fi;
		run events();
		run another();
		run m(0);
		run m(1)
	}
	timeout;
	assert(over || (reads == mem[DATA] && !late && !mem[CLOSING] && !mem[CLOSED]))
}

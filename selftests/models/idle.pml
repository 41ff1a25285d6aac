/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An M that goes idle against those who submit work, with Ms that spin: the kernel's
 * IDLE, RELEASE and WAKE (kmod/park.c, kmod/wake.c, kmod/inbox.c) and the library's
 * search (userlib/find.c, wake_idle() in userlib/proc.c).
 *
 * Three Ps. Somebody submits two Gs: the owner of the first P, into its own queue,
 * without a barrier, and then computes for ever, perhaps one who has taken that P when it
 * was idle; or an interrupt, into an inbox; or a thread that is no M, into the global
 * queue. The owner may give its P up with that work in the queue, as one whose G is pinned
 * does, between the two Gs or in the end. Two Ms look for them; what they find may be over
 * at once or compute for ever. One of them may leave instead of going idle. The portable
 * backend is the same, but for who goes idle as the last (userlib/epoll_idle.c).
 *
 * Wanted, when nothing moves any more: no work waits while a P is idle and an M that
 * could take it sleeps; and nobody is counted as spinning who is not.
 */
#define THREADS		3
#define SUBMITTER	0	/* the others are the Ms */

#define HEAD		0	/* of the queue that is submitted to */
#define TAIL		1
#define NR_IDLE		2	/* shared->nr_idle */
#define SPINNING	3	/* shared->nr_spinning */
#define ON_CPU		4	/* the owner is on a CPU */
#define WORDS		5

#define PS		3

#include "tso.h"

mtype = { OWNER, IRQ, FOREIGN };
mtype who;
bool late;				/* the submitter has no P yet */
bool portable;

/* Under ctx->lock: */
byte nr_idle;
bool idle_m[THREADS];		/* on ctx->idle_ms */
bool granted[THREADS];		/* m->p was set while it slept */
bool owns;			/* the submitter has a P */

#define HAS_WORK(t)	(LD(t, HEAD) != LD(t, TAIL))

/* gs_p_clear_idle(), with the lock just taken */
inline clear_idle(t)
{
	nr_idle--;
#if BROKEN != 11	/* its new owner runs before others know that the P is not idle */
	mem[NR_IDLE] = nr_idle
#else
	st_locked(t, NR_IDLE, nr_idle)
#endif
}

/* gs_wake_one() and gs_p_give(), in gs_ioc_wake() and gs_deliver() */
inline wake(t)
{
	atomic {
		lock_free(t);
		if
		:: nr_idle && (idle_m[1] || idle_m[2]) ->
			if
			:: idle_m[1] -> idle_m[1] = false; granted[1] = true
			:: idle_m[2] -> idle_m[2] = false; granted[2] = true
			fi;
			mem[SPINNING]++;	/* gs_spinning_inc() */
			clear_idle(t)
		:: else
		fi
	}
}

/* wake_idle_inline() after a push; gs_deliver() does the same in the kernel */
inline submit(t)
{
	if
	:: LD(t, NR_IDLE) ->
		if
		:: LD(t, SPINNING) == 0 -> wake(t)
		:: else
		fi
	:: else
	fi
}

/* gs_sync_owners() */
inline sync_owners(t)
{
#if BROKEN != 1		/* nr_idle may not be visible when the queues are looked at */
	fence(t);
#endif
#if BROKEN != 2		/* no interrupt for owners */
	if
	:: who == OWNER && owns && LD(t, ON_CPU) -> fence(SUBMITTER)
	:: else
	fi
#endif
}

/* gs_ioc_release(): m_unregister() of an M that leaves, or the submitter */
inline release(t)
{
	atomic {
		lock_free(t);
		owns = owns && t != SUBMITTER;
		nr_idle++;
		st_locked(t, NR_IDLE, nr_idle)
	}
#if BROKEN != 8		/* no gs_recheck() */
	sync_owners(t);
	if
	:: HAS_WORK(t) -> wake(t)
	:: else
	fi
#endif
}

/* ----------------------------------------------------------- who submits work */

inline push(n)
{
	if
	:: who == OWNER ->		/* runq_push() */
		st(SUBMITTER, TAIL, n)
	:: who == IRQ ->		/* gs_inbox_push(): (A) of wake.c */
#if BROKEN == 3		/* it is no full barrier */
		st(SUBMITTER, TAIL, n)
#else
		atomic { FENCED(SUBMITTER); mem[TAIL] = n }
#endif
	:: who == FOREIGN ->		/* global_put(); ready_foreign() */
		st(SUBMITTER, TAIL, n);
#if BROKEN != 4		/* no arch_barrier() */
		fence(SUBMITTER)
#endif
	fi
}

/* gs_ioc_acquire() */
inline acquire()
{
	atomic {
		lock_free(SUBMITTER) && nr_idle;
		owns = true;
		clear_idle(SUBMITTER)
	}
}

proctype submitter()
{
	if
	:: late -> acquire()
	:: else
	fi;
	push(1);
	submit(SUBMITTER);
	if
	:: true
	:: who == OWNER ->		/* it is switched out and in */
		fence(SUBMITTER);
		st(SUBMITTER, ON_CPU, 0);
		fence(SUBMITTER);	/* another CPU goes on with it, having seen that */
		st(SUBMITTER, ON_CPU, 1);
#if BROKEN != 5		/* gs_m_sched_in() without its barrier */
		fence(SUBMITTER)
#endif
	:: who == OWNER ->
		release(SUBMITTER);
end_acquire:	acquire()
	fi;
	push(2);
	submit(SUBMITTER);
	if
	:: true
	:: who == OWNER -> release(SUBMITTER)
	fi
}

/* --------------------------------------------------------------- who looks for it */

/* spin_end() */
inline spin_end(t)
{
	atomic {
		FENCED(t);
		mem[SPINNING]--;
		last = (mem[SPINNING] == 0);
		spinning = false
	}
}

/* found_work() */
inline found_work(t)
{
	spin_end(t);
	if
#if BROKEN != 6		/* the last one that spins wakes nobody */
	:: last && LD(t, NR_IDLE) ->
		if
#if BROKEN != 13	/* alone() means one other owner */
		:: LD(t, NR_IDLE) + 1 == PS	/* alone() */
#else
		:: LD(t, NR_IDLE) + 2 == PS
#endif
		:: else ->
#if BROKEN != 7		/* no membarrier(2) */
			fence(SUBMITTER)
#else
			skip
#endif
		fi;
		if
		:: LD(t, NR_IDLE) && HAS_WORK(t) -> wake(t)
		:: else
		fi
#endif
	:: else
	fi
}

/* gs_ioc_idle(), until it sleeps */
inline idle(t)
{
	atomic {
		lock_free(t);
		idle_m[t] = true;
		nr_idle++;
#if BROKEN != 12	/* another P is left out, not this one */
		all = (nr_idle == PS);
#else
		all = (nr_idle == PS - 1);
#endif
		st_locked(t, NR_IDLE, nr_idle)
	}
	if
	:: portable && all
	:: else -> sync_owners(t)
	fi;
	if
#if BROKEN != 9		/* what is found when it is marked as idle is left to others */
	:: HAS_WORK(t) -> atomic {		/* gs_idle_take() */
		lock_free(t);
		if
		:: !granted[t] && nr_idle ->
			mem[SPINNING]++;
			idle_m[t] = false;
			granted[t] = true;
			clear_idle(t)
		:: else
		fi
	}
#endif
	:: else
	fi
}

proctype m(byte t)
{
	bool spinning, got, last, leaves, all;

	do
	:: /* find_once(): global_take(), and runq_steal() if it may spin */
		if
		:: spinning || who == FOREIGN
		:: !spinning && who != FOREIGN -> rmw_add(t, SPINNING, 1); spinning = true
		:: !spinning && who != FOREIGN -> goto none	/* may_spin() says no */
		fi;
		atomic {
			FENCED(t);
			got = mem[HEAD] != mem[TAIL];
			mem[HEAD] = mem[HEAD] + got
		}
		if
		:: got && spinning -> found_work(t)
		:: else
		fi;
		if
		:: got -> break			/* the G computes for ever */
		:: got -> got = false; goto next	/* or not */
		:: !got
		fi;
none:		/* m_idle() */
#if BROKEN != 10	/* it spins until it sleeps */
		if
		:: spinning -> spin_end(t)
		:: else
		fi;
#endif
		if
		:: t == 2 -> leaves = true; release(t)
		:: true -> idle(t)
		fi;
#if BROKEN == 10
		if
		:: spinning -> spin_end(t)
		:: else
		fi;
#endif
		if
		:: leaves -> break
		:: else
		fi;
end_sleep:	atomic { granted[t] -> granted[t] = false; spinning = true; last = false; all = false }
next:		skip
	od
}

init
{
	atomic {
		mem[ON_CPU] = 1;
		owns = true;
		if
		:: who = OWNER
		:: who = OWNER; portable = true
		:: who = IRQ
		:: who = FOREIGN
		:: who = OWNER; late = true; owns = false; nr_idle = 1; mem[NR_IDLE] = 1
		fi;
		run submitter();
		run m(1);
		run m(2);
	}
	timeout;
	assert(!(mem[HEAD] != mem[TAIL] && nr_idle && (idle_m[1] || idle_m[2])));
	assert(mem[SPINNING] == 0);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lazy revocation: kmod/block.c, with the holds of kmod/hold.c, ACQUIRE and IDLE of
 * kmod/park.c, and gs_p_take_free() and gs_p_release() of kmod/proc.c.
 *
 * Two Ps; the first two Ms begin with one. Three plays:
 *
 *   ACQUIRE  a third M waits in ACQUIRE; each that runs blocks, once or twice on its way,
 *            then ends, computes, or blocks for ever
 *   CROWD    two wait in ACQUIRE, and the first two block for ever
 *   IDLE     the third is idle; the first pushes work into its own queue without a
 *            barrier, and computes for ever; the second blocks
 *
 * The tick is what happens when nothing else moves any more, if it was started.
 *
 * Wanted: nobody loses a P in user mode, and no P has two owners. When nothing moves:
 * nobody waits for a P while one is idle or its owner blocked, and nr_blocked is right; and
 * after the tick no work waits while besides an M is idle.
 */
#define THREADS		4
#define IDLER		2	/* the M that begins without a P */

#define BLK		0	/* m->blk of each M */
#define NR_BLOCKED	4	/* shared->nr_blocked */
#define NR_WAITING	5	/* ctx->nr_waiting_ms */
#define NR_IDLE_MS	6	/* ctx->nr_idle_ms */
#define QUEUE		7	/* the first P's run queue */
#define WORDS		8

#include "tso.h"

#define NO		0	/* enum gs_blk */
#define KEPT		1
#define TAKEN		2

#define NONE		7
#define FOR_EVER	9

mtype = { ACQUIRE, CROWD, IDLE };
mtype play;

/* Under ctx->lock: */
byte owner[2];			/* p->owner */
bool idle_p[2];
byte mp[THREADS];		/* m->p */
bool waiting[THREADS];		/* on ctx->waiting_ms */
bool idle_m;			/* the idler is on ctx->idle_ms */
bool tick_on;
byte nr_waiting;
byte victim, probe, found;

bool owed[THREADS];
bool user[THREADS];		/* in user mode, where m->p must be its own */
bool ended[THREADS];

/* What is of no use any more must not make states differ. */
#define unlock_clean(t)	victim = 0; probe = 0; found = 0; done = false; unlock(t)

/* -------------------------------------------------------- Ps, under the lock */

#define p_take(p, m)									\
	assert(!user[m] && mp[m] == p);							\
	owner[p] = NONE;								\
	mp[m] = NONE

/* gs_p_grant(), with gs_m_dequeue() */
#define p_grant(t, p, m)								\
	assert(owner[p] == NONE && mp[m] == NONE && !idle_p[p]);			\
	owner[p] = m;									\
	mp[m] = p;									\
	owed[m] = false;								\
	if										\
	:: waiting[m] ->								\
		waiting[m] = false; nr_waiting--; st_locked(t, NR_WAITING, nr_waiting)		\
	:: m == IDLER && idle_m -> idle_m = false; st_locked(t, NR_IDLE_MS, 0)			\
	:: else										\
	fi

/* gs_p_steal(): gs_blk_take() */
inline p_steal(t, p, done)
{
#if BROKEN == 1		/* a look and a store */
	done = (owner[p] != NONE && LD(t, BLK + owner[p]) == KEPT);
	if
	:: done -> mem[BLK + owner[p]] = TAKEN
	:: else
	fi;
#else
	atomic {
		FENCED(t);
		done = (owner[p] != NONE && mem[BLK + owner[p]] == KEPT);
		if
		:: done -> mem[BLK + owner[p]] = TAKEN
		:: else
		fi
	}
#endif
	if
	:: done -> atomic {
		FENCED(t);
		mem[NR_BLOCKED]--;
		victim = owner[p];
		p_take(p, victim)
	}
	:: else
	fi
}

/* gs_p_take_free() */
inline take_free(t, done)
{
	atomic {
		if
		:: idle_p[0] -> idle_p[0] = false; found = 0
		:: idle_p[1] -> idle_p[1] = false; found = 1
		:: else -> found = NONE
		fi
	}
#if BROKEN != 2		/* (D) is no barrier */
	fence(t);
#endif
	atomic { probe = ((found == NONE && LD(t, NR_BLOCKED)) -> 0 : 2) }
	do
	:: probe < 2 ->
		p_steal(t, probe, done);
		atomic {
			if
			:: done -> found = probe; probe = 2
			:: else -> probe++
			fi
		}
	:: else -> break
	od
}

/* gs_pick(): held Ms first; the idle one if there is work. Return: in @next */
inline pick(t, next)
{
	if
	:: waiting[0] -> next = 0
	:: waiting[1] -> next = 1
	:: waiting[2] -> next = 2
	:: waiting[3] -> next = 3
	:: else ->
		if
		:: idle_m && LD(t, QUEUE) -> next = IDLER
		:: else -> next = NONE
		fi
	fi
}

/* gs_p_release(): gs_p_pass() */
inline p_release(t)
{
	atomic {
		lock_free(t);
		user[t] = false;
		probe = mp[t];
		p_take(probe, t);
		pick(t, victim);
		if
		:: victim != NONE && victim != IDLER -> p_grant(t, probe, victim)
		:: victim == IDLER && waiting[IDLER] -> p_grant(t, probe, IDLER)
		:: else -> idle_p[probe] = true
		fi;
		probe = 0;
		victim = 0
	}
}

/* ------------------------------------------------------------------- block.c */

/* gs_handoff() */
inline handoff(t, done, own, next)
{
	atomic {
		lock_free(t);
		held = true;
		own = mp[t];
		pick(t, next);
		done = false
	}
	if
	:: next != NONE && own != NONE -> p_steal(t, own, done)
	:: else
	fi;
	if
	:: next != NONE && done -> atomic { p_grant(t, own, next); own = 0; next = 0; unlock_clean(t) }
#if BROKEN != 3		/* whose P was taken for another who is counted leaves it at that */
	:: next != NONE && !done && waiting[next] ->
		take_free(t, done);
		atomic {
			if
			:: found != NONE -> p_grant(t, found, next)
			:: else
			fi;
			own = 0;
			next = 0;
			unlock_clean(t)
		}
#endif
	:: else -> atomic {
#if BROKEN != 4		/* no gs_watch() */
		tick_on = true;
#endif
		own = 0;
		next = 0;
		unlock_clean(t)
	}
	fi
}

/* gs_wanted() */
#define WANTED(t)	(LD(t, NR_WAITING) || (LD(t, QUEUE) && LD(t, NR_IDLE_MS)))

/* gs_block(), if the M has a P */
inline sched_out(t, wanted, done)
{
	atomic {
		user[t] = false;
		wanted = false;
#if BROKEN == 6		/* looks before it can be found */
		wanted = WANTED(t);
#endif
		if
		:: mp[t] != NONE -> mem[BLK + t] = KEPT	/* visible at (C) at the latest */
		:: else
		fi
	}
	if
	:: mem[BLK + t] != NO ->
		rmw_add(t, NR_BLOCKED, 1);	/* (C) */
		if
#if BROKEN == 6
		:: wanted ->
#else
		:: WANTED(t) ->
#endif
			handoff(t, done, own, next)
		:: else
#if BROKEN != 4		/* no gs_watch() */
			-> atomic { lock_free(t); tick_on = true }
#endif
		fi
	:: else
	fi
}

/* gs_unblock(); and on to user mode, if it is not owed a P */
inline sched_in(t, done)
{
	if
	:: mem[BLK + t] != NO ->
#if BROKEN == 7		/* a look and a store */
		done = (mem[BLK + t] == KEPT);
		if
		:: done -> mem[BLK + t] = NO
		:: else
		fi;
#else
		atomic {
			FENCED(t);
			done = (mem[BLK + t] == KEPT);
			if
			:: done -> mem[BLK + t] = NO
			:: else
			fi
		}
#endif
		if
		:: done -> atomic { FENCED(t); mem[NR_BLOCKED]--; done = false }
		:: else ->			/* gs_unblock_late() */
#if BROKEN == 8		/* it goes on as if nothing had happened */
			atomic { lock_free(t); mem[BLK + t] = NO }
#else
			atomic { lock_free(t); mem[BLK + t] = NO; owed[t] = true }
#endif
		fi
	:: else
	fi
}

/* gs_hold_start(), gs_acquire_start() */
inline enqueue(t)
{
	atomic {
		waiting[t] = true;
		nr_waiting++;
		st_locked(t, NR_WAITING, nr_waiting)
	}
}

inline queue_up(t, done)
{
	lock(t);
#if BROKEN != 9		/* is listed when it has looked */
	enqueue(t);
#endif
	take_free(t, done);
#if BROKEN == 9
	enqueue(t);
#endif
	atomic {
		if
		:: found != NONE -> p_grant(t, found, t)
		:: else -> tick_on = true
		fi;
		unlock_clean(t)
	}
}

/* gs_hold_wait(): sleeps, parked, until it has a P */
inline wait_for_p(t, wanted, done)
{
	queue_up(t, done);
	do
	:: mp[t] != NONE -> break
	:: else ->
#if BROKEN == 5	/* m->parked is not looked at: what it is given can be taken again */
		sched_out(t, wanted, done);
end_hold_asleep: (mp[t] != NONE || LD(t, BLK + t) != NO);
		sched_in(t, done)
#else
end_hold:	mp[t] != NONE
#endif
	od
}

/* ------------------------------------------------------------------------- plays */

proctype m(byte t)
{
	bool wanted, done;
	byte blocks, own, next;

	do
	:: if
	   :: owed[t] -> wait_for_p(t, wanted, done)
	   :: else
	   fi;
	   atomic { user[t] = true; assert(mp[t] != NONE && owner[mp[t]] == t) }
	   if
	   :: blocks == 0 && play != CROWD -> blocks = 1
	   :: t < IDLER -> blocks = FOR_EVER
	   :: t != IDLER && play == ACQUIRE -> p_release(t); break
	   :: t >= IDLER || play != CROWD -> break	/* computes for ever */
	   fi;
again:	   sched_out(t, wanted, done);
	   if
	   :: blocks == FOR_EVER -> break
	   :: else
	   fi;
	   sched_in(t, done);
	   if
	   :: blocks == 1 -> blocks = 2; goto again	/* in the same system call */
	   :: true
	   fi
	od;
	atomic { ended[t] = true; wanted = false; blocks = 0 }
}

/* Pushes work: wake_idle_inline(); gs_ioc_wake() */
inline submit(t, done)
{
	st(t, QUEUE, 1);
	if
	:: LD(t, NR_BLOCKED) || idle_p[0] || idle_p[1] ->
		lock(t);
		if
		:: idle_m ->
			take_free(t, done);
			atomic {
				if
				:: found != NONE -> p_grant(t, found, IDLER)
				:: else
				fi
			}
		:: else
		fi;
		atomic { tick_on = true; unlock_clean(t) }
	:: else
	fi
}

proctype pusher()
{
	bool done;

	submit(0, done);
	user[0] = true
}

/* Has been given a P by the time that it looks, or takes it itself: gs_ioc_idle() */
proctype idler()
{
	bool done;

	atomic { lock_free(IDLER); idle_m = true; st_locked(IDLER, NR_IDLE_MS, 1) }
	fence(0);		/* gs_sync_owners() */
	fence(IDLER);
	if
	:: LD(IDLER, QUEUE) ->	/* gs_idle_take() */
		lock(IDLER);
		if
		:: mp[IDLER] == NONE ->
			take_free(IDLER, done);
			atomic {
				if
				:: found != NONE -> p_grant(IDLER, found, IDLER)
				:: else -> tick_on = true
				fi
			}
		:: else
		fi;
		atomic { unlock_clean(IDLER) }
	:: else
	fi
}

/* gs_look_blocked(), of all Ps; all buffers are empty */
inline tick()
{
	for (i : 0 .. 1) {
		pick(0, next);
		done = false;
		if
		:: next != NONE -> p_steal(0, i, done)
		:: else
		fi;
		if
		:: done -> p_grant(0, i, next)
		:: else
		fi
	}
}

#define BLOCKED(m)	(mem[BLK + (m)] == KEPT)
#define FREE_P		(idle_p[0] || idle_p[1] || BLOCKED(0) || BLOCKED(1) || BLOCKED(2))
#define STILL		(ended[0] + ended[1] + ended[2] + ended[3] + nr_waiting)

init
{
	byte i, next;
	bool done;

	atomic {
		for (i : 0 .. 1) {
			owner[i] = i;
			mp[i] = i
		}
		for (i : 2 .. 3) {
			mp[i] = NONE
		}
		if
		:: play = ACQUIRE; owed[2] = true; run m(0); run m(1); run m(2)
		:: play = CROWD; owed[2] = true; owed[3] = true;
		   run m(0); run m(1); run m(2); run m(3)
		:: play = IDLE; run pusher(); run m(1); run idler()
		fi
	}
	timeout;
	assert(!(nr_waiting && FREE_P));
	assert(mem[NR_BLOCKED] == BLOCKED(0) + BLOCKED(1) + BLOCKED(2) + BLOCKED(3));
	assert(play != ACQUIRE || STILL == 3);
	assert(play != CROWD || STILL == 4);
	for (i : 0 .. 3) {
		assert(mp[i] == NONE || owner[mp[i]] == i)
	}
	if
	:: tick_on -> atomic { tick() }
	:: else
	fi;
	timeout;
	assert(!(idle_m && mem[QUEUE] && FREE_P))
}

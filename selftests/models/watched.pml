/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The portable backend: while a P is idle somebody sees events and timers, whoever
 * computes: epoll_idle(), wake_locked(), claim_again() and epoll_unwatched() of
 * userlib/epoll_idle.c, poll_events() of epoll_watch.c, m_idle(), found_work() and poll_now()
 * of find.c, timer_start() and sleep_until of timer.c.
 *
 * Three Ps and at most three Ms. Two run; the third is made when one is missing. A
 * descriptor is registered by who runs. Two events come for goroutines that wait, or one,
 * and a timer may be started by who runs, or two timers, one after the other; all that they
 * make ready is over at once or computes for ever.
 *
 * Wanted, when nothing moves any more: no event and no timer whose time has come waits
 * while a P is idle; nobody is counted as spinning who is not.
 *
 * All but what is in words happens under ep.lock, of which each section is one step. The
 * memory's order is no subject here: of idle.pml it is, and who idles makes all others
 * execute a barrier.
 */
#define THREADS		3

#define NEXT_WHEN	0	/* the timer's time, 0: none */
#define SLEEP_UNTIL	1	/* timer.c's; 0: not known */
#define NR_IDLE		2
#define SPINNING	3
#define WORDS		4

#include "tso.h"

#define FOR_EVER	3	/* times are 1 and 2 */
#define LIVES		1	/* Gs of an M that do not compute for ever */

byte now;
byte timers, may_start;		/* how many were started, and how many more may be */
byte events;			/* how many are to come */
byte pending;			/* of them, not yet seen by anybody */
byte inbox;			/* Gs made ready by them */
bool token, kick;
bool registered;		/* ep.nr_open */
bool made;			/* the third M */
bool sleeps[THREADS];		/* in epoll_idle() */
byte until[THREADS];		/* struct sleeper's, FOR_EVER for 0 */

#define SLEEPERS	(sleeps[0] || sleeps[1] || sleeps[2])
#define SLEPT_FOR(w)	((sleeps[0] && until[0] <= (w)) || (sleeps[1] && until[1] <= (w)) || \
			 (sleeps[2] && until[2] <= (w)))

/* Somebody has yet to look. The code asks only the last to come, and kicks more often. */
#define LOOKS(t)	(sleeps[t] && until[t] == 0)
#define LOOKING		(LOOKS(0) || LOOKS(1) || LOOKS(2))

/* slept_for() of one that is about to sleep itself */
#if BROKEN == 6		/* who has yet to look counts, too */
#define OTHER_SLEEPS(t, o, w)	((t) != (o) && sleeps[o] && until[o] <= (w))
#else
#define OTHER_SLEEPS(t, o, w)	((t) != (o) && sleeps[o] && until[o] && until[o] <= (w))
#endif
#define OTHERS_SLEEP(t, w)	(OTHER_SLEEPS(t, 0, w) || OTHER_SLEEPS(t, 1, w) || \
				 OTHER_SLEEPS(t, 2, w))

/* wake_locked(); the spawner's new M begins in epoll_idle() */
inline wake(t)
{
	atomic {
		lock_free(t);
		if
		:: mem[NR_IDLE] && !mem[SPINNING] && !token ->
			if
			:: SLEEPERS ->
				mem[NR_IDLE]--;
				token = true;
				mem[SPINNING]++;
#if BROKEN != 5		/* nobody is woken */
				kick = (kick || !LOOKING)
#endif
			:: else -> made = true
			fi
		:: else
		fi
	}
}

/* timer_start(): wake_for() */
inline start_timer(t)
{
	atomic {
		may_start && mem[NEXT_WHEN] == 0 && FENCED(0) && FENCED(1) && FENCED(2);
		may_start--;
		timers++;
		mem[NEXT_WHEN] = timers
	}
	if
	:: LD(t, NR_IDLE) && (LD(t, SLEEP_UNTIL) == 0 || LD(t, SLEEP_UNTIL) > LD(t, NEXT_WHEN)) ->
		wake(t)
	:: else
	fi
}

/* epoll_fd_register(): wake_idle() */
inline register_fd(t)
{
	atomic { lock_free(t); registered = true }
	if
	:: LD(t, NR_IDLE) && !LD(t, SPINNING) -> wake(t)
	:: else
	fi
}

/* found_work(): spin_end(), epoll_unwatched() */
inline found_work(t)
{
	atomic {
		FENCED(t);
		mem[SPINNING]--;
		spinning = false;
		look = mem[SPINNING] == 0
	}
	if
	:: look && LD(t, NR_IDLE) ->
		atomic {
			FENCED(0) && FENCED(1) && FENCED(2) && lock_free(t);
			look = inbox != 0;
#if BROKEN != 1		/* does not ask whether anybody waits for events */
			look = look || (registered && !SLEEPERS);
#endif
#if BROKEN != 2		/* nor for the timer */
			look = look || (mem[NEXT_WHEN] && !SLEPT_FOR(mem[NEXT_WHEN]));
#endif
			skip
		}
		if
		:: look -> wake(t)
		:: else
		fi
	:: else
	fi;
	look = false
}

/* find_once() */
inline find(t)
{
	atomic {			/* timers_run_all() */
		FENCED(t);
		if
		:: mem[NEXT_WHEN] && now >= mem[NEXT_WHEN] -> mem[NEXT_WHEN] = 0; got = true
		:: else
		fi
	}
	if
	:: got && LD(t, NR_IDLE) && !LD(t, SPINNING) -> wake(t)		/* ready() */
	:: else
	fi;
	if
	:: !got -> atomic {		/* inbox_drain(), poll_now(): poll_events() */
		lock_free(t);
		if
		:: inbox -> inbox--; got = true
		:: else ->
			if
			:: pending -> pending--; got = true
			:: else ->
				if			/* steal(); may_spin() */
				:: !spinning -> mem[SPINNING]++; spinning = true
				:: true
				fi
			fi;
#if BROKEN == 3		/* who polls keeps the kick that was meant for one who sleeps */
			kick = false
#else
			kick = (kick && token)
#endif
		fi
	   }
	:: else
	fi
}

inline first_timer(t)
{
	deadline = ((LD(t, NEXT_WHEN) && LD(t, NEXT_WHEN) < deadline) ->
		    LD(t, NEXT_WHEN) : deadline)
}

/* epoll_idle(): one look at what has changed. @over: with a P */
inline leave_idle(t)
{
	atomic {
		lock_free(t) && (until[t] || (FENCED(0) && FENCED(1) && FENCED(2)));
		if
		:: until[t] == 0 && inbox -> work = true	/* epoll_barrier(), any_work() */
		:: else -> inbox = inbox + work
		fi;
		if
		:: token ->
			token = false;
			over = true;
			spinning = true
		:: !token && (work || late) && mem[NR_IDLE] ->
			mem[NR_IDLE]--;
			over = true;
			spinning = work;
			mem[SPINNING] = mem[SPINNING] + work
		:: else
		fi;
		work = false;
		if
		:: over ->
			sleeps[t] = false;
			until[t] = 0;
#if BROKEN != 7		/* no claim_again() */
			if
			:: mem[SLEEP_UNTIL] && !SLEPT_FOR(mem[SLEEP_UNTIL]) -> mem[SLEEP_UNTIL] = 0
			:: else
			fi
#endif
		:: else ->
			if
			:: late ->
				deadline = FOR_EVER;
				mem[SLEEP_UNTIL] = 0	/* timers_sleep_over() */
			:: else
			fi;
#if BROKEN != 4
			if
			:: until[t] == 0 -> first_timer(t)
			:: else
			fi;
#endif
			if
			:: deadline != FOR_EVER && OTHERS_SLEEP(t, deadline) -> deadline = FOR_EVER
			:: else
			fi;
			until[t] = deadline
		fi;
		late = false
	}
}

inline wait_events(t)
{
	do
	:: leave_idle(t);
		if
		:: over -> break
		:: else
		fi;
end_sleep:	if
		:: atomic { kick -> kick = false }
		:: atomic { pending -> pending--; work = true }
		:: atomic { now >= until[t] -> late = true }
		fi
	od
}

/* m_idle() */
inline idle(t)
{
	atomic {			/* spin_end(), timers_sleep_begin() */
		FENCED(t);
		mem[SPINNING] = mem[SPINNING] - spinning;
		spinning = false;
		deadline = (mem[NEXT_WHEN] -> mem[NEXT_WHEN] : FOR_EVER);
		published = deadline;
		if
		:: !mem[SLEEP_UNTIL] || deadline < mem[SLEEP_UNTIL] -> mem[SLEEP_UNTIL] = deadline
		:: else
		fi
	}
	atomic {
		lock_free(t);
		sleeps[t] = true;
		until[t] = 0;		/* FOR_ALL */
		mem[NR_IDLE] = mem[NR_IDLE] + has_p
	}
#if BROKEN == 4		/* the time is decided on before others can rely on it */
	first_timer(t);
#endif
	wait_events(t);
	atomic {			/* timers_sleep_end() */
		FENCED(t);
		if
		:: mem[SLEEP_UNTIL] == published -> mem[SLEEP_UNTIL] = 0
		:: else
		fi;
		over = false;
		published = 0;
		deadline = 0
	}
}

proctype m(byte t)
{
	bool has_p = (t != 2), spinning, got, look, work, late, over;
	byte deadline, published, runs;

	if
	:: t != 2			/* it runs a G */
	:: t == 2 -> goto begin
	fi;
	do
	:: if
	   :: start_timer(t)
	   :: events && !registered -> register_fd(t)
	   :: true
	   fi;
	   if
	   :: true -> break		/* computes for ever */
	   :: runs < LIVES -> runs++	/* is over at once */
	   fi;
	   do
	   :: find(t);
	      if
	      :: got -> break
	      :: else
	      fi;
	      has_p = true;
begin:	      idle(t);
	      has_p = true
	   od;
	   got = false;
	   if
	   :: spinning -> found_work(t)
	   :: else
	   fi
	od
}

proctype world()
{
end:	do
	:: atomic { events && registered -> events--; pending++ }
	:: atomic { now < timers -> now++ }
	od
}

proctype spawner()
{
end:	made;
	run m(2)
}

init
{
	atomic {
		mem[NR_IDLE] = 1;
		if
		:: events = 2
		:: events = 1; may_start = 1
		:: may_start = 2
		fi;
		run m(0);
		run m(1);
		run world();
		run spawner()
	};
	timeout;
	assert(!(mem[NR_IDLE] && (pending || inbox)));
	assert(!(mem[NR_IDLE] && mem[NEXT_WHEN]));
	assert(mem[SPINNING] == 0)
}

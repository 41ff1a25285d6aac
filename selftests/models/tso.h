/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory as an x86 has it, for the models: a thread's plain stores wait in a buffer
 * of its own, in order, and become visible to others at any time later. It sees them
 * itself. An atomic read-modify-write and a full barrier wait until the buffer is empty.
 * So a load can overtake earlier stores, which is the one reordering that the protocols
 * here have to deal with; that acquire loads and release stores stay in order costs
 * nothing on this machine, and on others the compiler and the kernel's macros see to it.
 *
 * Two stores fit: the one in question, and the release of the lock that it was made
 * under, or what says that a thread is on a CPU and what it stores then.
 *
 * Before this is included: THREADS, how many, and WORDS, the number of shared words.
 * Words that are only looked at under a lock are ordinary variables of the models.
 */
byte mem[WORDS];
byte sb_n[THREADS + 1];			/* stores that wait; the older one first: */
byte sb_w0[THREADS], sb_v0[THREADS];	/* word and value */
byte sb_w1[THREADS], sb_v1[THREADS];

/* The value that thread @t sees. */
#define LD(t, w)									\
	((sb_n[t] == 2 && sb_w1[t] == (w)) -> sb_v1[t] :				\
	((sb_n[t] && sb_w0[t] == (w)) -> sb_v0[t] : mem[w]))

#define st(t, w, v)									\
	atomic {									\
		sb_n[t] < 2;								\
		if									\
		:: sb_n[t] == 0 -> sb_v0[t] = (v); sb_w0[t] = (w)			\
		:: else -> sb_v1[t] = (v); sb_w1[t] = (w)				\
		fi;									\
		sb_n[t]++								\
	}

/* A full barrier of @t, or one that others make it execute: an IPI, membarrier(2). */
#define FENCED(t)	(sb_n[t] == 0)
#define fence(t)	FENCED(t)

#define rmw_add(t, w, d)	atomic { FENCED(t); mem[w] = mem[w] + (d) }

/*
 * One lock. Who takes it has a full barrier, and sees all that was done before under it;
 * but who releases it has none: his stores (st_locked) may become visible to others later.
 * A short critical section is one atomic step that begins with lock_free().
 */
bool held;
byte last_holder = THREADS;

#define lock_free(t)	(FENCED(t) && FENCED(last_holder) && !held)
#define lock(t)		atomic { lock_free(t); held = true }
#define unlock(t)	held = false

#define st_locked(t, w, v)	st(t, w, v); last_holder = (t)

#define drain(t)									\
	d_step {									\
		mem[sb_w0[t]] = sb_v0[t];						\
		sb_n[t]--;								\
		sb_w0[t] = sb_w1[t];							\
		sb_v0[t] = sb_v1[t];							\
		sb_w1[t] = 0;								\
		sb_v1[t] = 0;								\
		last_holder = ((last_holder == (t) && !sb_n[t]) -> THREADS : last_holder) \
	}

active proctype memory()
{
end:
	do
	:: atomic { sb_n[0] -> drain(0) }
	:: atomic { sb_n[1] -> drain(1) }
#if THREADS > 2
	:: atomic { sb_n[2] -> drain(2) }
#endif
#if THREADS > 3
	:: atomic { sb_n[3] -> drain(3) }
#endif
#if THREADS > 4
	:: atomic { sb_n[4] -> drain(4) }
#endif
	od
}

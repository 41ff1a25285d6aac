/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints gsched:*
 *
 *   block    an M blocks outside of sections, with a P
 *   unblock  it runs again, with its P or without (proc -1)
 *   handoff  its P was taken; by whom, the next wake, hold or unblock of that P says
 *   hold     an M has waited for a P on its way to user mode: wait_ns
 *   preempt  an M that runs has lost its P: why 1 wake-up, 2 slice, 3 retire
 *   wake     an idle M was given a P to look for work
 *   ready    a G was pushed into a P's inbox
 *   idle     an M went idle
 *
 * The cookie names the G that the M says it runs, in ready the one that is pushed.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gsched

#if !defined(GS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GS_TRACE_H

#include <linux/tracepoint.h>

#include "gsched.h"

DECLARE_EVENT_CLASS(gsched_m_p,
	TP_PROTO(struct gs_m *m, struct gs_p *p),
	TP_ARGS(m, p),
	TP_STRUCT__entry(
		__field(u32, m)
		__field(s32, proc)
		__field(pid_t, tid)
		__field(u64, cookie)
	),
	TP_fast_assign(
		__entry->m = m->id;
		__entry->proc = p ? p->id : -1;
		__entry->tid = m->task->pid;
		__entry->cookie = READ_ONCE(m->sh->cookie);
	),
	TP_printk("m=%u proc=%d tid=%d cookie=0x%llx", __entry->m, __entry->proc,
		  __entry->tid, __entry->cookie)
);

DEFINE_EVENT(gsched_m_p, gsched_block,
	TP_PROTO(struct gs_m *m, struct gs_p *p), TP_ARGS(m, p));
DEFINE_EVENT(gsched_m_p, gsched_handoff,
	TP_PROTO(struct gs_m *m, struct gs_p *p), TP_ARGS(m, p));
DEFINE_EVENT(gsched_m_p, gsched_wake,
	TP_PROTO(struct gs_m *m, struct gs_p *p), TP_ARGS(m, p));
DEFINE_EVENT(gsched_m_p, gsched_unblock,
	TP_PROTO(struct gs_m *m, struct gs_p *p), TP_ARGS(m, p));
DEFINE_EVENT(gsched_m_p, gsched_idle,
	TP_PROTO(struct gs_m *m, struct gs_p *p), TP_ARGS(m, p));

TRACE_EVENT(gsched_hold,
	TP_PROTO(struct gs_m *m, u64 wait_ns),
	TP_ARGS(m, wait_ns),
	TP_STRUCT__entry(
		__field(u32, m)
		__field(s32, proc)
		__field(pid_t, tid)
		__field(u64, cookie)
		__field(u64, wait_ns)
	),
	TP_fast_assign(
		struct gs_p *p = READ_ONCE(m->p);

		__entry->m = m->id;
		__entry->proc = p ? p->id : -1;
		__entry->tid = m->task->pid;
		__entry->cookie = READ_ONCE(m->sh->cookie);
		__entry->wait_ns = wait_ns;
	),
	TP_printk("m=%u proc=%d tid=%d cookie=0x%llx wait_ns=%llu", __entry->m,
		  __entry->proc, __entry->tid, __entry->cookie, __entry->wait_ns)
);

TRACE_EVENT(gsched_preempt,
	TP_PROTO(struct gs_m *m, struct gs_p *p, int why),
	TP_ARGS(m, p, why),
	TP_STRUCT__entry(
		__field(u32, m)
		__field(s32, proc)
		__field(pid_t, tid)
		__field(u64, cookie)
		__field(int, why)
	),
	TP_fast_assign(
		__entry->m = m->id;
		__entry->proc = p->id;
		__entry->tid = m->task->pid;
		__entry->cookie = READ_ONCE(m->sh->cookie);
		__entry->why = why;
	),
	TP_printk("m=%u proc=%d tid=%d cookie=0x%llx why=%d", __entry->m, __entry->proc,
		  __entry->tid, __entry->cookie, __entry->why)
);

TRACE_EVENT(gsched_ready,
	TP_PROTO(struct gs_p *p, u64 cookie),
	TP_ARGS(p, cookie),
	TP_STRUCT__entry(
		__field(s32, proc)
		__field(u64, cookie)
	),
	TP_fast_assign(
		__entry->proc = p->id;
		__entry->cookie = cookie;
	),
	TP_printk("proc=%d cookie=0x%llx", __entry->proc, __entry->cookie)
);

#endif /* GS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the module builds for.
 */
#ifndef GS_COMPAT_H
#define GS_COMPAT_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/*
 * Has the thread that is being switched out blocked, rather than been preempted?
 * From 6.12 on a task that blocks may stay on the run queue for a while. On a
 * PREEMPT_RT kernel to wait for a spinlock is not to block.
 */
static inline bool gs_task_blocks(struct task_struct *task)
{
#ifdef CONFIG_PREEMPT_RT
	if (READ_ONCE(task->__state) & TASK_RTLOCK_WAIT)
		return false;
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	return !task->on_rq;
#else
	return !task_is_runnable(task);
#endif
}

/* Drop a reference to a file unless it is the last. Return: it was dropped. */
static inline bool gs_file_put_unless_last(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return atomic_long_add_unless(&file->f_count, -1, 1);
#else
	return atomic_long_add_unless(&file->f_ref.refcnt, -1, FILE_REF_ONEREF);
#endif
}

static inline void gs_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*fn)(struct hrtimer *),
				    clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#else
	hrtimer_setup(timer, fn, clock, mode);
#endif
}

#endif /* GS_COMPAT_H */

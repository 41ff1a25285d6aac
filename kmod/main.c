// SPDX-License-Identifier: GPL-2.0
/*
 * gsched: goroutine scheduling for user space.
 *
 * The device, its file operations and the table of ioctls. <linux/gsched.h>
 * specifies the interface, gsched.h the module's objects and locks.
 */
#include <linux/compat.h>
#include <linux/fdtable.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "gsched.h"

struct workqueue_struct *gs_wq;

/**
 * struct gs_ioctl - an ioctl
 * @cmd:	its command, whose size bits are those of the first version
 * @setup:	it needs a context that is set up
 * @fn:		does it; gets the structure in kernel memory
 * @undo:	gets the result and undoes it, as far as that is still possible, if it cannot
 *		be stored. NULL: there is nothing to undo, or the next call gives the result
 * @result:	NULL, or tells the result beforehand: what cannot be undone is not done
 *		before its result is stored
 */
struct gs_ioctl {
	unsigned int cmd;
	bool setup;
	int (*fn)(struct gs_ctx *ctx, void *arg);
	int (*undo)(struct gs_ctx *ctx, void *arg);
	void (*result)(void *arg);
};

#define GS_IOCTL(name, need_setup, func, ...) \
	[_IOC_NR(GSCHED_IOC_##name)] = { \
		.cmd = GSCHED_IOC_##name, .setup = need_setup, .fn = func, __VA_ARGS__ \
	}

static const struct gs_ioctl gs_ioctls[] = {
	GS_IOCTL(QUERY, false, gs_ioc_query),
	GS_IOCTL(SETUP, false, gs_ioc_setup, .result = gs_setup_result),
	GS_IOCTL(SET_PROCS, true, gs_ioc_set_procs),
	GS_IOCTL(M_REGISTER, true, gs_ioc_m_register, .undo = gs_ioc_m_unregister),
	GS_IOCTL(M_UNREGISTER, true, gs_ioc_m_unregister),
	GS_IOCTL(ACQUIRE, true, gs_ioc_acquire),
	GS_IOCTL(RELEASE, true, gs_ioc_release),
	GS_IOCTL(IDLE, true, gs_ioc_idle, .undo = gs_idle_undo),
	GS_IOCTL(WAKE, true, gs_ioc_wake),
	GS_IOCTL(SPAWNER, true, gs_ioc_spawner, .undo = gs_spawner_undo),
	GS_IOCTL(ENQUEUE, true, gs_ioc_enqueue),
	GS_IOCTL(FD_REGISTER, true, gs_ioc_fd_register),
	GS_IOCTL(FD_UNREGISTER, true, gs_ioc_fd_unregister),
	GS_IOCTL(TIMES, true, gs_ioc_times),
};

/* Room for the largest structure above; checked at load. */
union gs_ioctl_arg {
	struct gsched_query query;
	struct gsched_setup setup;
	struct gsched_set_procs set_procs;
	struct gsched_m_register m_register;
	struct gsched_acquire acquire;
	struct gsched_idle idle;
	struct gsched_wake wake;
	struct gsched_spawner spawner;
	struct gsched_enqueue enqueue;
	struct gsched_fd fd;
	struct gsched_times times;
};

/* The command may carry any size: an older or newer caller's structure. */
static const struct gs_ioctl *gs_ioctl_find(unsigned int cmd)
{
	const struct gs_ioctl *ioc;
	unsigned int nr = _IOC_NR(cmd);

	if (_IOC_TYPE(cmd) != GSCHED_IOC_MAGIC || nr >= ARRAY_SIZE(gs_ioctls))
		return NULL;
	ioc = &gs_ioctls[array_index_nospec(nr, ARRAY_SIZE(gs_ioctls))];
	return _IOC_DIR(cmd) == _IOC_DIR(ioc->cmd) ? ioc : NULL;
}

static int gs_ioctl_allowed(struct gs_ctx *ctx, const struct gs_ioctl *ioc)
{
	if (!gs_ctx_is_mine(ctx))
		return -EPERM;
	if (READ_ONCE(ctx->dead))
		return -ESHUTDOWN;
	/* Pairs with the release at the end of SETUP. */
	if (ioc->setup && !smp_load_acquire(&ctx->ready))
		return -ENXIO;
	return 0;
}

/*
 * Also prove that the result can be stored, before anything is done. It may fail
 * nevertheless when it comes to that: other threads can unmap the memory.
 */
static int gs_ioctl_copy_in(const struct gs_ioctl *ioc, void *arg, void __user *uarg,
			    unsigned int cmd)
{
	size_t usize = _IOC_SIZE(cmd), ksize = _IOC_SIZE(ioc->cmd);
	int err;

	if (usize < ksize)
		return -EINVAL;
	err = copy_struct_from_user(arg, ksize, uarg, usize);
	if (err)
		return err;
	if (ioc->result)
		ioc->result(arg);
	if ((_IOC_DIR(ioc->cmd) & _IOC_READ) && copy_to_user(uarg, arg, ksize))
		return -EFAULT;
	return 0;
}

static int gs_ioctl_copy_out(const struct gs_ioctl *ioc, void *arg, void __user *uarg)
{
	if (!(_IOC_DIR(ioc->cmd) & _IOC_READ) || ioc->result)
		return 0;
	return copy_to_user(uarg, arg, _IOC_SIZE(ioc->cmd)) ? -EFAULT : 0;
}

static long gs_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct gs_ctx *ctx = file->private_data;
	const struct gs_ioctl *ioc = gs_ioctl_find(cmd);
	union gs_ioctl_arg arg;
	int err, fault;

	if (!ioc)
		return -ENOTTY;
	err = gs_ioctl_allowed(ctx, ioc);
	if (!err && _IOC_SIZE(ioc->cmd))
		err = gs_ioctl_copy_in(ioc, &arg, (void __user *)uarg, cmd);
	if (!err)
		err = ioc->fn(ctx, &arg);
	/* FD_REGISTER's -EEXIST names the slot. */
	if (err && err != -EEXIST)
		return err;

	fault = gs_ioctl_copy_out(ioc, &arg, (void __user *)uarg);
	if (fault && !err && ioc->undo)
		ioc->undo(ctx, &arg);
	return fault ? : err;
}

static int gs_open(struct inode *inode, struct file *file)
{
	struct gs_ctx *ctx = gs_ctx_open();

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	file->private_data = ctx;
	return nonseekable_open(inode, file);
}

/*
 * Runs at every close of every descriptor, also in children (vfork, posix_spawn)
 * and at close-on-exec. Only a close by the owning process in the descriptor table
 * that opened it means that the owner is done.
 */
static int gs_flush(struct file *file, fl_owner_t id)
{
	struct gs_ctx *ctx = file->private_data;

	if (id == ctx->files && gs_ctx_is_mine(ctx))
		gs_ctx_shutdown(ctx);
	return 0;
}

static int gs_release(struct inode *inode, struct file *file)
{
	gs_ctx_put(file->private_data);
	return 0;
}

/*
 * No ->poll: a context that could be watched could be watched by itself.
 */
const struct file_operations gs_fops = {
	.owner = THIS_MODULE,
	.open = gs_open,
	.flush = gs_flush,
	.release = gs_release,
	.unlocked_ioctl = gs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = gs_mmap,
	.show_fdinfo = gs_show_fdinfo,
};

static struct miscdevice gs_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gsched",
	.fops = &gs_fops,
};

static int __init gs_init(void)
{
	unsigned int i;
	int err;

	BUILD_BUG_ON(sizeof(struct gsched_shared) != PAGE_SIZE);
	BUILD_BUG_ON(sizeof(struct gsched_proc) != PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(gs_ioctls); i++)
		if (WARN_ON(_IOC_SIZE(gs_ioctls[i].cmd) > sizeof(union gs_ioctl_arg)))
			return -EINVAL;

	gs_user_init();
	err = gs_hold_init();
	if (err)
		return err;
	gs_wq = alloc_workqueue("gsched", WQ_UNBOUND, 0);
	if (!gs_wq)
		return -ENOMEM;
	err = gs_stack_init();
	if (err)
		goto err_wq;
	preempt_notifier_inc();
	err = misc_register(&gs_device);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	preempt_notifier_dec();
	gs_stack_exit();
err_wq:
	destroy_workqueue(gs_wq);
	return err;
}

/*
 * Each context holds a reference to the module until its free_work has begun its
 * last statement, so here all contexts are gone but for the tails of what freed
 * them: work items (drained with the queue), the grace periods that queue Ms'
 * free_work (rcu_barrier), interrupts that dropped the last reference to an M
 * (synchronize_rcu), and the return of a notifier or task work of a task that was
 * preempted or died in it (rcu_tasks).
 */
static void __exit gs_exit(void)
{
	misc_deregister(&gs_device);
	rcu_barrier();
	gs_user_exit();
	destroy_workqueue(gs_wq);
	synchronize_rcu();
	synchronize_rcu_tasks();
	preempt_notifier_dec();
	gs_stack_exit();
}

module_init(gs_init);
module_exit(gs_exit);

MODULE_DESCRIPTION("Goroutine scheduling for user space");
MODULE_AUTHOR("The gsched authors");
MODULE_LICENSE("GPL");

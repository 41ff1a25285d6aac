// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors: readiness from a file's wait queue into an inbox.
 *
 * struct gs_slot  a registered descriptor. In ctx->slots from registration to
 *                 unregistration; in ctx->fds, keyed by descriptor number, and
 *                 holding a reference to the file, only while it is open: from
 *                 registration to gs_slot_close().
 * struct gs_wait  an entry in one of the file's wait queues. A file has one or two
 *                 of them (a tty two); they stay until the slot is closed.
 *
 * A file can let its wait queue go before its own end (POLLFREE: signalfd when the
 * process's signal handlers go, binder). The callback then takes the entry out of
 * the queue and publishes whead = NULL with release; gs_waits_remove() reads it
 * with acquire inside an RCU read section, for which the owner of the queue delays
 * its freeing. After that store the callback does not touch the entry.
 *
 * Our reference to the file hides a plain close() from the file's peer. The sweep
 * looks for files that nobody else holds, and for numbers that mean another file
 * by now, and closes those slots.
 *
 * The sweep, and what comes after the last M's death, are kernel threads. A file whose
 * last reference one of them drops is ended by a thread that the whole kernel shares:
 * gs_file_put() sees that a socket does not linger there. To end it here would be worse:
 * others wait for these work items, and a file's end may wait for its user.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/wait.h>
#include <net/sock.h>

#include "compat.h"
#include "gsched.h"

#define GS_SWEEP_PERIOD	(HZ / 10)
#define GS_SWEEP_SLOTS	4096		/* looked at in a period */
#define GS_SWEEP_CHUNK	32		/* at a time */
#define GS_SWEEP_THREADS 64		/* asked for the process's descriptor table */
#define GS_SWEEP_COST	5000		/* ns, about, and for each slot: */
#define GS_SWEEP_SLOT_COST 200
#define GS_SWEEP_CLOSE_COST 10000	/* for each that is closed */
#define GS_LINKED_TRIES	256
#define GS_MAX_WAITS	8		/* wait queues of one file */

#define GS_READ_EVENTS	(EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLPRI | \
			 EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define GS_WRITE_EVENTS	(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLHUP | EPOLLERR)
#define GS_ALL_EVENTS	(GS_READ_EVENTS | GS_WRITE_EVENTS)
/* After one of these a short read no longer proves that the queue is empty. */
#define GS_VERIFY_EVENTS (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

struct gs_wait {
	wait_queue_entry_t entry;
	wait_queue_head_t *whead;
	struct gs_slot *slot;
	struct gs_wait *next;
};

/**
 * struct gs_slot - a registered descriptor
 * @ctx:	its context, which outlives it
 * @file:	the file, referenced; NULL: closed. Under ctx->fd_lock
 * @tcp:	the file's socket if it is one of TCP; valid while entries are queued
 * @sh:		the shared words
 * @id:		its number
 * @fd:		the descriptor's number
 * @waits:	its wait queue entries, linked
 * @first:	the one that most files need
 * @nr_waits:	how many
 * @error:	a wait queue could not be entered
 */
struct gs_slot {
	struct gs_ctx *ctx;
	struct file *file;
	struct sock *tcp;
	struct gsched_slot *sh;
	u32 id;
	int fd;
	struct gs_wait *waits;
	struct gs_wait first;
	u32 nr_waits;
	int error;
};

struct gs_poll {
	poll_table pt;
	struct gs_slot *slot;
};

/*
 * TCP stops a read at the urgent mark, with data behind it. Its wake-ups for any
 * data carry EPOLLPRI, so the socket itself must tell.
 */
static bool gs_slot_verify(struct gs_slot *slot, __poll_t events)
{
	if (events & GS_VERIFY_EVENTS)
		return true;
	if (!(events & EPOLLPRI))
		return false;
	return !slot->tcp || READ_ONCE(tcp_sk(slot->tcp)->urg_data);
}

static void gs_slot_ready(struct gs_slot *slot, __poll_t events)
{
	u32 node = slot->id * 2;

	if (gs_slot_verify(slot, events))
		atomic_or(GSCHED_EV_VERIFY, (atomic_t *)&slot->sh->node[0].events);
	if (events & GS_READ_EVENTS)
		gs_node_ready(slot->ctx, node, &slot->sh->node[GSCHED_DIR_READ]);
	if (events & GS_WRITE_EVENTS)
		gs_node_ready(slot->ctx, node + 1, &slot->sh->node[GSCHED_DIR_WRITE]);
}

/*
 * The wait queue's callback: under its lock, interrupts off, softirq or hard irq.
 * Some wake without a key, which may mean anything: a pty's hang-up for one.
 */
static int gs_wait_wake(wait_queue_entry_t *entry, unsigned int mode, int sync, void *key)
{
	struct gs_wait *wait = container_of(entry, struct gs_wait, entry);
	__poll_t events = key_to_poll(key);

	if (!events || (events & POLLFREE))
		gs_slot_ready(wait->slot, GS_ALL_EVENTS);
	else
		gs_slot_ready(wait->slot, events);
	if (events & POLLFREE) {
		list_del_init(&entry->entry);
		/* Pairs with gs_waits_remove(). The entry may be gone after this. */
		smp_store_release(&wait->whead, NULL);
	}
	return 0;
}

static struct gs_wait *gs_wait_alloc(struct gs_slot *slot)
{
	if (!slot->nr_waits)
		return &slot->first;
	if (slot->nr_waits >= GS_MAX_WAITS)
		return NULL;
	return kzalloc(sizeof(struct gs_wait), GFP_KERNEL_ACCOUNT);
}

static void gs_wait_queue(struct file *file, wait_queue_head_t *whead, poll_table *pt)
{
	struct gs_slot *slot = container_of(pt, struct gs_poll, pt)->slot;
	struct gs_wait *wait = gs_wait_alloc(slot);

	if (!wait) {
		slot->error = -ENOMEM;
		return;
	}
	slot->nr_waits++;
	wait->slot = slot;
	wait->whead = whead;
	wait->next = slot->waits;
	slot->waits = wait;
	init_waitqueue_func_entry(&wait->entry, gs_wait_wake);
	add_wait_queue(whead, &wait->entry);
}

/* Afterwards no callback runs, and none will. */
static void gs_waits_remove(struct gs_slot *slot)
{
	struct gs_wait *wait, *next;
	wait_queue_head_t *whead;

	for (wait = slot->waits; wait; wait = next) {
		next = wait->next;
		rcu_read_lock();
		whead = smp_load_acquire(&wait->whead);	/* pairs with gs_wait_wake() */
		if (whead)
			remove_wait_queue(whead, &wait->entry);
		rcu_read_unlock();
		if (wait != &slot->first)
			kfree(wait);
	}
	slot->waits = NULL;
}

/*
 * Stop watching. Under fd_lock. Return: the file, for the caller to fput after the
 * lock is dropped, or NULL if the slot is closed already.
 */
static struct file *gs_slot_close(struct gs_slot *slot)
{
	struct file *file = slot->file;
	int dir;

	if (!file)
		return NULL;
	slot->file = NULL;
	xa_erase(&slot->ctx->fds, slot->fd);
	gs_waits_remove(slot);
	for (dir = 0; dir < 2; dir++) {
		struct gsched_node *sh = &slot->sh->node[dir];

		/*
		 * CLOSED before the exchange with READY: who fails to park for READY,
		 * or is delivered by it, sees CLOSED.
		 */
		atomic_or(GSCHED_EV_CLOSED, (atomic_t *)&sh->events);
		gs_node_ready(slot->ctx, slot->id * 2 + dir, sh);
	}
	return file;
}

/*
 * We hold a socket's last reference. Nobody is left who could wait until its data has
 * been sent, so that goes on behind his back, as for a process that exits. To linger for
 * no time is to reset, and that is still done.
 */
static void gs_socket_unlinger(struct file *file)
{
	struct socket *sock = sock_from_file(file);
	struct sock *sk = sock ? sock->sk : NULL;

	if (!sk || !sock_flag(sk, SOCK_LINGER) || !READ_ONCE(sk->sk_lingertime))
		return;
	lock_sock(sk);
	sock_reset_flag(sk, SOCK_LINGER);
	release_sock(sk);
}

/* fput() that does not make others wait for a socket to linger. No lock held. */
static void gs_file_put(struct file *file)
{
	if (current->flags & PF_KTHREAD) {
		if (gs_file_put_unless_last(file))
			return;
		gs_socket_unlinger(file);
	}
	fput(file);
}

/* Under fd_lock. */
static int gs_slot_map(struct gs_ctx *ctx, struct gs_slot *slot)
{
	u32 per = GS_PER_PAGE(struct gsched_slot);
	struct page **page = &ctx->slot_pages[slot->id / per];

	if (!*page) {
		struct page *new = gs_shared_page_alloc();

		if (!new)
			return -ENOMEM;
		/* The fault handler reads it without the lock. */
		smp_store_release(page, new);
	}
	slot->sh = (struct gsched_slot *)page_address(*page) + slot->id % per;
	return 0;
}

/* A node that user space has not taken out of an inbox yet cannot be used again. */
static bool gs_slot_linked(struct gs_slot *slot)
{
	struct gsched_node *node = slot->sh->node;

	/* Pairs with the consumer's release: it has read @next. */
	return smp_load_acquire(&node[0].cookie) || smp_load_acquire(&node[1].cookie);
}

/*
 * Reserve the lowest number not below @first. Under fd_lock; in the table the number
 * stands without a slot until gs_slot_publish().
 */
static int gs_slot_number_from(struct gs_ctx *ctx, struct gs_slot *slot, u32 first)
{
	u32 last = GS_ENQ_SLOTS + ctx->max_slots - 1;
	int err;

	if (first > last)
		return -EBUSY;
	err = xa_alloc(&ctx->slots, &slot->id, NULL, XA_LIMIT(first, last),
		       GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	err = gs_slot_map(ctx, slot);
	if (err)
		xa_erase(&ctx->slots, slot->id);
	return err;
}

/*
 * Reserve a number whose nodes are free, as a rule the lowest. Where many are still
 * linked, slots_linked remembers how far the search has come, so that each is looked
 * at once; a call gives up after some, and the next goes on.
 */
static int gs_slot_number(struct gs_ctx *ctx, struct gs_slot *slot)
{
	int err, tries;

	for (tries = 0; tries < GS_LINKED_TRIES; tries++) {
		err = gs_slot_number_from(ctx, slot, GS_ENQ_SLOTS + ctx->slots_linked);
		if (err == -EBUSY && ctx->slots_linked) {
			ctx->slots_linked = 0;
			continue;
		}
		if (err)
			return err == -EBUSY ? -ENOSPC : err;
		if (!gs_slot_linked(slot))
			return 0;
		xa_erase(&ctx->slots, slot->id);
		ctx->slots_linked = slot->id + 1 - GS_ENQ_SLOTS;
	}
	return -ENOSPC;
}

/* Under fd_lock. */
static int gs_slot_charge(struct gs_ctx *ctx)
{
	if (ctx->nr_slots >= rlimit(RLIMIT_NOFILE))
		return -EMFILE;
	if (!gs_user_charge_slot(ctx->user))
		return -ENOSPC;
	ctx->nr_slots++;
	return 0;
}

/* Under fd_lock. */
static void gs_slot_uncharge(struct gs_ctx *ctx)
{
	ctx->nr_slots--;
	gs_user_uncharge_slot(ctx->user);
}

static int gs_slot_reserve(struct gs_ctx *ctx, struct gs_slot *slot)
{
	int err;

	mutex_lock(&ctx->fd_lock);
	err = gs_slot_charge(ctx);
	if (err)
		goto out;
	err = gs_slot_number(ctx, slot);
	if (err)
		gs_slot_uncharge(ctx);
	else
		memset(slot->sh, 0, sizeof(*slot->sh));
out:
	mutex_unlock(&ctx->fd_lock);
	return err;
}

/* Under fd_lock; the slot is closed. */
static void gs_slot_free(struct gs_slot *slot)
{
	xa_erase(&slot->ctx->slots, slot->id);
	slot->ctx->slots_linked = min(slot->ctx->slots_linked, slot->id - GS_ENQ_SLOTS);
	gs_slot_uncharge(slot->ctx);
	kfree(slot);
}

/* Enter the file's wait queues and see what it is ready for. No lock held. */
static int gs_slot_poll(struct gs_slot *slot)
{
	struct gs_poll poll = { .slot = slot };
	__poll_t events;

	init_poll_funcptr(&poll.pt, gs_wait_queue);
	events = vfs_poll(slot->file, &poll.pt);
	if (slot->error)
		return slot->error;
	gs_slot_ready(slot, events);
	return 0;
}

/*
 * Does the caller's descriptor table still say so? Only compared, so RCU is enough. Return:
 * 0, -EAGAIN: the number means another file, or -EBADF: none.
 */
static int gs_slot_check_fd(struct gs_slot *slot)
{
	struct file *file;

	rcu_read_lock();
	file = files_lookup_fd_raw(current->files, slot->fd);
	rcu_read_unlock();
	if (!file)
		return -EBADF;
	return file == slot->file ? 0 : -EAGAIN;
}

/*
 * The last step of registration. Under fd_lock. Return: 0, and in *@old the file of
 * a slot that this one displaces.
 */
static int gs_slot_publish(struct gs_slot *slot, struct file **old, u32 *id)
{
	struct gs_ctx *ctx = slot->ctx;
	struct gs_slot *other = xa_load(&ctx->fds, slot->fd);
	int err;

	if (ctx->dead)
		return -ESHUTDOWN;
	if (!READ_ONCE(ctx->nr_ms))
		return -ESRCH;
	/* The number may have got another meaning, and that been registered, since fget. */
	err = gs_slot_check_fd(slot);
	if (err)
		return err;
	if (other && other->file == slot->file) {
		*id = other->id;
		return -EEXIST;
	}
	if (other)
		*old = gs_slot_close(other);
	err = xa_err(xa_store(&ctx->fds, slot->fd, slot, GFP_KERNEL_ACCOUNT));
	if (err)
		return err;
	xa_store(&ctx->slots, slot->id, slot, GFP_KERNEL);	/* reserved: cannot fail */
	*id = slot->id;
	return 0;
}

/*
 * What sweeps take of a CPU's time is the user's share of it, see user.c. Return: for how
 * long to pause before the next one, jiffies.
 */
static unsigned long gs_sweep_delay(struct gs_ctx *ctx)
{
	s64 left = atomic64_read(&ctx->sweep_turn) - ktime_get_ns();

	return max_t(unsigned long, GS_SWEEP_PERIOD, left > 0 ? nsecs_to_jiffies(left) : 0);
}

static int gs_fd_watch(struct gs_ctx *ctx, struct gs_slot *slot, u32 *id)
{
	struct file *old = NULL;
	int err;

	err = gs_slot_reserve(ctx, slot);
	if (err)
		goto err_slot;
	err = gs_slot_poll(slot);
	mutex_lock(&ctx->fd_lock);
	if (!err)
		err = gs_slot_publish(slot, &old, id);
	if (err) {
		gs_waits_remove(slot);
		gs_slot_free(slot);
	}
	mutex_unlock(&ctx->fd_lock);
	if (old)
		fput(old);
	if (!err)
		queue_delayed_work(gs_wq, &ctx->sweep, gs_sweep_delay(ctx));
	return err;

err_slot:
	kfree(slot);
	return err;
}

static int gs_fd_check(struct file *file)
{
	if (file->f_op == &gs_fops)
		return -ELOOP;
	return file_can_poll(file) ? 0 : -EPERM;
}

static struct sock *gs_tcp_socket(struct file *file)
{
	struct socket *sock = sock_from_file(file);
	struct sock *sk = sock ? sock->sk : NULL;

	/* In other families TCP's number may mean another protocol. */
	return sk && sk_is_inet(sk) && sk_is_tcp(sk) ? sk : NULL;
}

int gs_ioc_fd_register(struct gs_ctx *ctx, void *arg)
{
	struct gsched_fd *r = arg;
	struct gs_slot *slot;
	struct file *file;
	int err;

	if (r->flags || r->reserved || r->slot)
		return -EINVAL;
	file = fget(r->fd);
	if (!file)
		return -EBADF;
	err = gs_fd_check(file);
	if (err)
		goto err_file;
	err = -ENOMEM;
	slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	if (!slot)
		goto err_file;
	slot->ctx = ctx;
	slot->fd = r->fd;
	slot->file = file;
	slot->tcp = gs_tcp_socket(file);
	err = gs_fd_watch(ctx, slot, &r->slot);
	if (err)
		goto err_file;
	return 0;

err_file:
	fput(file);
	return err;
}

int gs_ioc_fd_unregister(struct gs_ctx *ctx, void *arg)
{
	struct gsched_fd *r = arg;
	struct file *file = NULL;
	struct gs_slot *slot;

	if (r->flags || r->reserved || r->fd)
		return -EINVAL;
	mutex_lock(&ctx->fd_lock);
	slot = xa_load(&ctx->slots, r->slot);
	if (slot) {
		file = gs_slot_close(slot);
		gs_slot_free(slot);
	}
	mutex_unlock(&ctx->fd_lock);
	if (file)
		fput(file);
	return slot ? 0 : -ENOENT;
}

/* Under fd_lock. Return: the file of a slot that was closed, NULL: none is to be. */
static struct file *gs_fd_close_one(struct gs_ctx *ctx)
{
	struct gs_slot *slot;
	unsigned long fd = 0;

	/* Another M may have come, and registered what is none of ours. */
	if (!ctx->dead && READ_ONCE(ctx->nr_ms))
		return NULL;
	slot = xa_find(&ctx->fds, &fd, ULONG_MAX, XA_PRESENT);
	return slot ? gs_slot_close(slot) : NULL;
}

/**
 * gs_fd_close_all - close every slot of a context that is dead or has no M
 * @ctx: the context
 *
 * The slots stay the caller's until it unregisters them or the context ends.
 * Process context.
 */
void gs_fd_close_all(struct gs_ctx *ctx)
{
	struct file *file;

	do {
		mutex_lock(&ctx->fd_lock);
		file = gs_fd_close_one(ctx);
		mutex_unlock(&ctx->fd_lock);
		if (file)
			gs_file_put(file);
		cond_resched();
	} while (file);
}

/* ------------------------------------------------------------------- the sweep */

struct gs_stale {
	struct gs_slot *slots[GS_SWEEP_CHUNK];
	unsigned int nr;
};

/* @files: the process's descriptor table, or NULL if it cannot be asked. */
static bool gs_slot_stale(struct gs_slot *slot, struct files_struct *files)
{
	if (file_count(slot->file) == 1)
		return true;
	return files && files_lookup_fd_raw(files, slot->fd) != slot->file;
}

/* Under fd_lock. Return: false: the end of the table was reached. */
static bool gs_sweep_chunk(struct gs_ctx *ctx, struct files_struct *files,
			   struct gs_stale *stale)
{
	unsigned long fd = ctx->sweep_next;
	struct gs_slot *slot;
	int i;

	for (i = 0; i < GS_SWEEP_CHUNK; i++) {
		slot = xa_find(&ctx->fds, &fd, ULONG_MAX, XA_PRESENT);
		if (!slot) {
			ctx->sweep_next = 0;
			return false;
		}
		if (gs_slot_stale(slot, files))
			stale->slots[stale->nr++] = slot;
		ctx->sweep_next = ++fd;
	}
	return true;
}

/*
 * gs_sweep_chunk() with the owning process's descriptor table. Any thread that has it
 * will do, usually the first; its task lock keeps the table there. Who has so many
 * threads with tables of their own that none is found goes without.
 */
static bool gs_sweep_with_files(struct gs_ctx *ctx, struct gs_stale *stale)
{
	struct task_struct *leader, *t;
	int tries = GS_SWEEP_THREADS;
	bool more, done = false;

	rcu_read_lock();
	leader = pid_task(ctx->tgid, PIDTYPE_TGID);
	if (!leader)
		goto out;
	for_each_thread(leader, t) {
		task_lock(t);
		done = t->files && t->files == ctx->files;
		if (done)
			more = gs_sweep_chunk(ctx, t->files, stale);
		task_unlock(t);
		if (done || !--tries)
			break;
	}
out:
	rcu_read_unlock();
	return done ? more : gs_sweep_chunk(ctx, NULL, stale);
}

/*
 * Look at some slots. Return: false: the end of the table was reached, or somebody is at
 * work in it.
 */
static bool gs_sweep_step(struct gs_ctx *ctx, bool *any, u64 *cost)
{
	struct file *files[GS_SWEEP_CHUNK];
	struct gs_stale stale = { .nr = 0 };
	unsigned int i;
	bool more;

	/* The queue is everybody's: it does not wait for one who holds this for long. */
	if (!mutex_trylock(&ctx->fd_lock)) {
		*any = true;
		return false;
	}
	more = gs_sweep_with_files(ctx, &stale);
	for (i = 0; i < stale.nr; i++)
		files[i] = gs_slot_close(stale.slots[i]);
	*any = !xa_empty(&ctx->fds);
	mutex_unlock(&ctx->fd_lock);

	for (i = 0; i < stale.nr; i++)
		gs_file_put(files[i]);
	*cost += GS_SWEEP_CHUNK * GS_SWEEP_SLOT_COST + stale.nr * GS_SWEEP_CLOSE_COST;
	cond_resched();
	return more;
}

static void gs_sweep(struct work_struct *work)
{
	struct gs_ctx *ctx = container_of(to_delayed_work(work), struct gs_ctx, sweep);
	u64 cost = GS_SWEEP_COST;
	u32 slots;
	bool any;

	for (slots = 0; slots < GS_SWEEP_SLOTS; slots += GS_SWEEP_CHUNK)
		if (!gs_sweep_step(ctx, &any, &cost))
			break;
	atomic64_set(&ctx->sweep_turn, gs_user_sweep_turn(ctx->user, ktime_get_ns(), cost));
	/*
	 * An empty table is not looked at again: that costs, too, and many who pay for
	 * looks at nothing would have each other wait and look for ever. Registration has
	 * perhaps queued the next one meanwhile, too early.
	 */
	if (any || delayed_work_pending(&ctx->sweep))
		mod_delayed_work(gs_wq, &ctx->sweep, gs_sweep_delay(ctx));
}

void gs_fd_init(struct gs_ctx *ctx)
{
	mutex_init(&ctx->fd_lock);
	xa_init_flags(&ctx->fds, XA_FLAGS_ACCOUNT);
	xa_init_flags(&ctx->slots, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
	INIT_DELAYED_WORK(&ctx->sweep, gs_sweep);
}

/** gs_fd_destroy - free all slots. Nobody else uses the context any more. */
void gs_fd_destroy(struct gs_ctx *ctx)
{
	struct gs_slot *slot;
	unsigned long id;

	gs_fd_close_all(ctx);
	cancel_delayed_work_sync(&ctx->sweep);
	xa_for_each(&ctx->slots, id, slot) {
		gs_slot_free(slot);	/* nobody is left to take fd_lock from */
		cond_resched();
	}
	xa_destroy(&ctx->slots);
	xa_destroy(&ctx->fds);
}

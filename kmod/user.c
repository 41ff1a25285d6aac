// SPDX-License-Identifier: GPL-2.0
/*
 * What a user may take that no control group counts: contexts, slots, and the time
 * of interrupts and work items that run for his contexts.
 *
 * The memory of contexts and slots is charged to a memory cgroup already. Their numbers
 * are bounded for users without one, and because the kernel walks them where nobody may
 * interrupt it: a file's wait queue holds an entry for each slot that watches it.
 *
 * TIME
 *
 * The tick runs in an interrupt, the sweep in a work item: the scheduler takes neither
 * for the user's own time, and neither stops when his quota is used up. So a user gets a
 * share of each CPU's time for the first, and of one CPU's for the second. A share is a
 * clock. Who has something to do gets a turn: the time that the clock shows, or now if
 * that is past; and the clock moves on from there by the share's inverse times what he
 * has to do. While a user needs less than his share the clock stays behind the time, and
 * nobody waits; else his contexts wait for their turns, one after the other. What a look of
 * the tick will take is a guess; when it is over the clock is set right. A user without
 * contexts is forgotten only when his clocks are behind the time.
 */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "gsched.h"

/* A share is one part in so many. */
#define GS_SHARE	20
/* What a slot costs its user's share of slots: itself, its words, its place in tables. */
#define GS_SLOT_COST	320
/* Of the memory, the part that slots may take: the same as epoll's. */
#define GS_SLOT_PART	25

static unsigned int contexts_per_user = 1024;
module_param(contexts_per_user, uint, 0644);
MODULE_PARM_DESC(contexts_per_user, "contexts that one user may have set up");

static unsigned int slots_per_user;
module_param(slots_per_user, uint, 0644);
MODULE_PARM_DESC(slots_per_user, "descriptors that one user may watch; 0: 1/25 of the memory");

static unsigned int gs_default_slots;

/**
 * struct gs_user - a user who has contexts, or had
 * @node:	in gs_users
 * @uid:	who
 * @contexts:	how many; under gs_users_lock
 * @slots:	how many descriptors are registered in them
 * @ticks:	the share of each CPU's time for ticks
 * @sweeps:	the share for sweeps
 * @forget:	frees him; queued under gs_users_lock when the last context goes
 *
 * His memory is charged to the cgroup of whoever made his first context.
 */
struct gs_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int contexts;
	atomic_t slots;
	atomic64_t __percpu *ticks;
	atomic64_t sweeps;
	struct delayed_work forget;
};

static DEFINE_MUTEX(gs_users_lock);
static DEFINE_HASHTABLE(gs_users, 8);

static void gs_user_free(struct gs_user *user)
{
	free_percpu(user->ticks);
	kfree(user);
}

/* How far his clocks are ahead, jiffies. */
static unsigned long gs_user_debt(struct gs_user *user)
{
	s64 now = ktime_get_ns(), last = atomic64_read(&user->sweeps);
	int cpu;

	for_each_possible_cpu(cpu)
		last = max_t(s64, last, atomic64_read(per_cpu_ptr(user->ticks, cpu)));
	return last > now ? nsecs_to_jiffies(last - now) + 1 : 0;
}

static void gs_user_forget(struct work_struct *work)
{
	struct gs_user *user = container_of(to_delayed_work(work), struct gs_user, forget);
	bool forget;

	mutex_lock(&gs_users_lock);
	/* He may have been here again since this was queued, and have gone once more. */
	forget = !user->contexts && !delayed_work_pending(&user->forget);
	if (forget)
		hash_del(&user->node);
	mutex_unlock(&gs_users_lock);
	if (forget)
		gs_user_free(user);
}

static struct gs_user *gs_user_alloc(kuid_t uid)
{
	struct gs_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

	if (!user)
		return NULL;
	user->uid = uid;
	user->ticks = alloc_percpu_gfp(atomic64_t, GFP_KERNEL_ACCOUNT);
	if (!user->ticks) {
		kfree(user);
		return NULL;
	}
	INIT_DELAYED_WORK(&user->forget, gs_user_forget);
	return user;
}

/* Under gs_users_lock. */
static struct gs_user *gs_user_find(kuid_t uid)
{
	struct gs_user *user;

	hash_for_each_possible(gs_users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* Return: the user, who is @new if he was not known, or an ERR_PTR: -EUSERS, -ENOENT. */
static struct gs_user *gs_user_charge_known(kuid_t uid, struct gs_user *new)
{
	struct gs_user *user;

	mutex_lock(&gs_users_lock);
	user = gs_user_find(uid) ? : new;
	if (!user) {
		user = ERR_PTR(-ENOENT);
	} else if (user->contexts >= READ_ONCE(contexts_per_user)) {
		user = ERR_PTR(-EUSERS);
	} else {
		if (user == new)
			hash_add(gs_users, &user->node, __kuid_val(uid));
		user->contexts++;
	}
	mutex_unlock(&gs_users_lock);
	return user;
}

/**
 * gs_user_charge - count one more context of a user
 * @uid: the user
 *
 * Process context. Return: what gs_user_uncharge takes, or an ERR_PTR: -EUSERS,
 * -ENOMEM.
 */
struct gs_user *gs_user_charge(kuid_t uid)
{
	struct gs_user *user = gs_user_charge_known(uid, NULL), *new;

	if (user != ERR_PTR(-ENOENT))
		return user;
	/* Not under the lock: the caller's cgroup may let it wait for memory. */
	new = gs_user_alloc(uid);
	if (!new)
		return ERR_PTR(-ENOMEM);
	user = gs_user_charge_known(uid, new);
	if (user != new)
		gs_user_free(new);
	return user;
}

/** gs_user_uncharge - one context less. Process context. */
void gs_user_uncharge(struct gs_user *user)
{
	mutex_lock(&gs_users_lock);
	if (!--user->contexts)
		mod_delayed_work(gs_wq, &user->forget, gs_user_debt(user));
	mutex_unlock(&gs_users_lock);
}

/** gs_user_charge_slot - count one more slot. Return: false: there are too many. */
bool gs_user_charge_slot(struct gs_user *user)
{
	unsigned int limit = READ_ONCE(slots_per_user) ? : gs_default_slots;

	if (atomic_inc_return(&user->slots) <= limit)
		return true;
	atomic_dec(&user->slots);
	return false;
}

/** gs_user_uncharge_slot - one slot less. */
void gs_user_uncharge_slot(struct gs_user *user)
{
	atomic_dec(&user->slots);
}

static u64 gs_share_turn(atomic64_t *share, u64 now, u64 cost)
{
	s64 clock = atomic64_read(share);
	u64 turn;

	do {
		turn = max_t(s64, clock, now);	/* settled, it may be below 0 */
	} while (!atomic64_try_cmpxchg(share, &clock, turn + cost * GS_SHARE));
	return turn;
}

/**
 * gs_user_tick_turn - a turn for a look of the tick on this CPU
 * @user: whose
 * @now:  the time
 * @cost: how long it will take, as far as one knows, ns
 *
 * Hard interrupt. Return: when, @now or later.
 */
u64 gs_user_tick_turn(struct gs_user *user, u64 now, u64 cost)
{
	return gs_share_turn(this_cpu_ptr(user->ticks), now, cost);
}

/**
 * gs_user_tick_settle - a look of the tick on this CPU has taken another time
 * @user: whose
 * @more: how much longer than gs_user_tick_turn() was told, ns
 */
void gs_user_tick_settle(struct gs_user *user, s64 more)
{
	atomic64_add(more * GS_SHARE, this_cpu_ptr(user->ticks));
}

/** gs_user_sweep_turn - as gs_user_tick_turn(), for a sweep, wherever it runs. */
u64 gs_user_sweep_turn(struct gs_user *user, u64 now, u64 cost)
{
	return gs_share_turn(&user->sweeps, now, cost);
}

/** gs_user_init - the default limit of slots, from the machine's memory. */
void __init gs_user_init(void)
{
	gs_default_slots = min_t(u64, (totalram_pages() / GS_SLOT_PART << PAGE_SHIFT) /
				 GS_SLOT_COST, INT_MAX);
	if (!slots_per_user)
		slots_per_user = gs_default_slots;
}

static struct gs_user *gs_user_take_any(void)
{
	struct gs_user *user, *any = NULL;
	int i;

	mutex_lock(&gs_users_lock);
	hash_for_each(gs_users, i, user, node)
		any = user;
	if (any) {
		hash_del(&any->node);
		any->contexts++;	/* gs_user_forget() leaves him to us */
	}
	mutex_unlock(&gs_users_lock);
	return any;
}

/** gs_user_exit - forget all users. There is no context any more. */
void gs_user_exit(void)
{
	struct gs_user *user;

	while ((user = gs_user_take_any())) {
		cancel_delayed_work_sync(&user->forget);
		gs_user_free(user);
	}
}

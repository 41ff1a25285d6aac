// SPDX-License-Identifier: GPL-2.0
/*
 * How many contexts a user may have set up. The memory of each is charged to a
 * memory cgroup already; this bounds what is not memory, for users without one.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "gsched.h"

static unsigned int contexts_per_user = 1024;
module_param(contexts_per_user, uint, 0644);
MODULE_PARM_DESC(contexts_per_user, "contexts that one user may have set up");

struct gs_user {
	struct list_head list;
	kuid_t uid;
	unsigned int contexts;
};

static DEFINE_MUTEX(gs_users_lock);
static LIST_HEAD(gs_users);

/* Return: the user's entry, which is @new if it had none. */
static struct gs_user *gs_user_find(kuid_t uid, struct gs_user *new)
{
	struct gs_user *user;

	list_for_each_entry(user, &gs_users, list)
		if (uid_eq(user->uid, uid))
			return user;
	new->uid = uid;
	list_add(&new->list, &gs_users);
	return new;
}

static void gs_user_free_unused(struct gs_user *user)
{
	if (user->contexts)
		return;
	list_del(&user->list);
	kfree(user);
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
	struct gs_user *user, *new;

	/* Not under the lock: the caller's cgroup may let it wait for memory. */
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&gs_users_lock);
	user = gs_user_find(uid, new);
	if (user != new)
		kfree(new);
	if (user->contexts < READ_ONCE(contexts_per_user)) {
		user->contexts++;
	} else {
		gs_user_free_unused(user);
		user = ERR_PTR(-EUSERS);
	}
	mutex_unlock(&gs_users_lock);
	return user;
}

/** gs_user_uncharge - one context less. Process context. */
void gs_user_uncharge(struct gs_user *user)
{
	mutex_lock(&gs_users_lock);
	user->contexts--;
	gs_user_free_unused(user);
	mutex_unlock(&gs_users_lock);
}

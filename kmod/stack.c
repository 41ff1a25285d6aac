// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks: any number of guarded stacks in one mapping.
 *
 * A private mapping of the device whose fault handler supplies a page of zeros,
 * which the memory manager copies at the first write, or refuses with SIGSEGV if the
 * address lies in a guard. Where the guards are follows from the offset in the file
 * alone, so nothing has to be split for them: mprotect would need two mappings per
 * stack, and vm.max_map_count is 65,530. The pages that user space gets are
 * ordinary anonymous pages: charged, swappable, copied by fork.
 *
 * Each first touch locks the source page for the time of the copy: with a single
 * source all CPUs would queue for it.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "compat.h"
#include "gsched.h"

#define GS_ZERO_BITS	4
#define GS_ZERO_PAGES	BIT(GS_ZERO_BITS)

static struct page *gs_zero_pages[GS_ZERO_PAGES];

static unsigned long gs_stack_offset(struct vm_fault *vmf)
{
	u64 offset = (u64)vmf->pgoff << PAGE_SHIFT;
	u32 shift = offset >> GSCHED_OFF_SHIFT;

	return offset & (BIT_ULL(shift) - 1);
}

static vm_fault_t gs_stack_fault(struct vm_fault *vmf)
{
	struct page *page;

	if (gs_stack_offset(vmf) < GSCHED_STACK_GUARD)
		return VM_FAULT_SIGSEGV;
	/* A core dump reads every page, and would create all that never were. */
	if (current->flags & PF_DUMPCORE)
		return VM_FAULT_SIGBUS;
	page = gs_zero_pages[hash_long(vmf->pgoff, GS_ZERO_BITS)];
	if (!try_get_page(page))
		return VM_FAULT_OOM;
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct gs_stack_vm_ops = {
	.fault = gs_stack_fault,
};

/**
 * gs_stack_mmap - map stacks
 * @vma:   a mapping that lies in one region of the file
 * @shift: the region: the logarithm of the slot's size
 */
int gs_stack_mmap(struct vm_area_struct *vma, u32 shift)
{
	if (shift < GSCHED_STACK_SHIFT_MIN || shift > GSCHED_STACK_SHIFT_MAX)
		return -EINVAL;
	/* Of a read-only file a shared mapping is VM_MAYSHARE only. */
	if (vma->vm_flags & VM_MAYSHARE)
		return -EINVAL;
	/* Also keeps mlockall() from filling every slot: it skips such mappings. */
	vm_flags_set(vma, VM_DONTEXPAND);
	vma->vm_ops = &gs_stack_vm_ops;
	return 0;
}

int gs_stack_init(void)
{
	int i;

	for (i = 0; i < GS_ZERO_PAGES; i++) {
		gs_zero_pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!gs_zero_pages[i]) {
			gs_stack_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void gs_stack_exit(void)
{
	int i;

	for (i = 0; i < GS_ZERO_PAGES; i++) {
		if (gs_zero_pages[i])
			__free_page(gs_zero_pages[i]);
		gs_zero_pages[i] = NULL;
	}
}

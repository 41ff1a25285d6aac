// SPDX-License-Identifier: GPL-2.0
/*
 * The shared regions: one page per P, pages of Ms and of slots, mapped on demand.
 *
 * A page comes into being with the first object on it and lives as long as the
 * context, which a mapping's file reference keeps alive. A child gets no copy of
 * the mapping: it would scribble over its parent's words.
 */
#include <linux/mm.h>
#include <linux/nospec.h>

#include "compat.h"
#include "gsched.h"

#define GS_REGION_PAGES	(1UL << (GSCHED_OFF_SHIFT - PAGE_SHIFT))

static unsigned long gs_region(unsigned long pgoff)
{
	return pgoff >> (GSCHED_OFF_SHIFT - PAGE_SHIFT);
}

static struct page *gs_page_at(struct page **pages, u32 nr, unsigned long i)
{
	/* Pairs with the release that published the page. */
	return i < nr ? smp_load_acquire(&pages[array_index_nospec(i, nr)]) : NULL;
}

static struct page *gs_proc_page(struct gs_ctx *ctx, unsigned long i)
{
	u32 nr = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set */

	return i < nr ? ctx->procs[array_index_nospec(i, nr)]->page : NULL;
}

static struct page *gs_region_page(struct gs_ctx *ctx, unsigned long pgoff)
{
	unsigned long i = pgoff & (GS_REGION_PAGES - 1);

	switch (GSCHED_OFF(gs_region(pgoff))) {
	case GSCHED_OFF_SHARED:
		return i ? NULL : ctx->shared_page;
	case GSCHED_OFF_PROCS:
		return gs_proc_page(ctx, i);
	case GSCHED_OFF_MS:
		return gs_page_at(ctx->m_pages,
				  DIV_ROUND_UP(ctx->max_ms, GS_PER_PAGE(struct gsched_m)), i);
	case GSCHED_OFF_SLOTS:
		return gs_page_at(ctx->slot_pages,
				  DIV_ROUND_UP(GS_ENQ_SLOTS + ctx->max_slots,
					       GS_PER_PAGE(struct gsched_slot)), i);
	default:
		return NULL;
	}
}

static vm_fault_t gs_shared_fault(struct vm_fault *vmf)
{
	struct gs_ctx *ctx = vmf->vma->vm_file->private_data;
	struct page *page = gs_region_page(ctx, vmf->pgoff);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct gs_shared_vm_ops = {
	.fault = gs_shared_fault,
};

static int gs_shared_mmap(struct gs_ctx *ctx, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* Pairs with the release at the end of SETUP. */
	if (!smp_load_acquire(&ctx->ready))
		return -ENXIO;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &gs_shared_vm_ops;
	return 0;
}

int gs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gs_ctx *ctx = file->private_data;
	unsigned long region = gs_region(vma->vm_pgoff);

	if (!gs_ctx_is_mine(ctx))
		return -EPERM;
	if (gs_region(vma->vm_pgoff + vma_pages(vma) - 1) != region)
		return -EINVAL;
	if (region <= gs_region(GSCHED_OFF_SLOTS >> PAGE_SHIFT))
		return gs_shared_mmap(ctx, vma);
	return gs_stack_mmap(vma, region);
}

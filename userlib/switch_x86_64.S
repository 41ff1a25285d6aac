/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * switch_x86_64.S: where goroutines start, and the thread-local word.
 *
 * No endbr64 and no shadow stack note: goroutines switch stacks without the
 * kernel's knowledge, so a program with this object in it must not run with a
 * shadow stack. The missing note tells the linker so.
 */

	.text
	.globl	arch_entry
	.hidden	arch_entry
	.type	arch_entry, @function
/* Unwinders and backtraces end here: there is no caller. */
arch_entry:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	xorl	%ebp, %ebp
	call	g_start
	.globl	arch_entry_return
	.hidden	arch_entry_return
arch_entry_return:
	ud2
	.cfi_endproc
	.size	arch_entry, . - arch_entry

	.section .tbss, "awT", @nobits
	.globl	gs_m_tls
	.hidden	gs_m_tls
	.type	gs_m_tls, @object
	.align	8
gs_m_tls:
	.zero	8
	.size	gs_m_tls, 8

	.section .note.GNU-stack, "", @progbits

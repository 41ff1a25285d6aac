# SPDX-License-Identifier: GPL-2.0
#
# gsched: the module, the library, their tests. "make help" lists the targets.

# Guest kernels that "make modules" builds for; see selftests/vm/kernel.sh.
KERNELS := 6.1 6.12

all: lib samples

help:
	@echo 'make [all]           the library and the samples'
	@echo 'make lib             build/libgsched.a, build/libgsched.so'
	@echo 'make modules         build/KERNEL/gsched.ko for the guest kernels $(KERNELS)'
	@echo 'make modules KDIR=/lib/modules/$$(uname -r)/build'
	@echo '                     build/gsched.ko for a kernel of your own'
	@echo 'make samples         build/samples/*'
	@echo 'make demo            the demonstration, in a virtual machine'
	@echo 'make check           all tests, native and in virtual machines'
	@echo 'make check-debug     all tests in machines with KASAN, lockdep, KCSAN, PREEMPT_RT'
	@echo 'make soak SECONDS=N [SEED=N] [ROUND=N] [CPUS=N] [KERNEL=debug]'
	@echo '                     storms at random; ROUND: that round only'
	@echo 'make check-sanitize  the library tests under TSan, and under ASan and UBSan'
	@echo 'make bench           the benchmarks and their peers, here and in virtual machines; a report'
	@echo 'make check-insns     instructions of the library'\''s operations, against what is expected'
	@echo 'make lint            checkpatch, sparse, W=1, clang-tidy, licenses'
	@echo 'make check-valgrind  some of the library tests under valgrind'
	@echo 'make models          check the models of some protocols exhaustively, with spin'
	@echo 'make coverage        which lines of the library its tests reach, natively'
	@echo 'make coverage-kmod   which lines of the module its tests reach, in a machine'
	@echo 'make fuzz SECONDS=N [SEED=N] [CPUS=N] [KERNEL=debug]'
	@echo '                     the fuzzer; what it finds is in build/fuzz-out'
	@echo 'make install         to $$(DESTDIR)$$(PREFIX); PREFIX is $(PREFIX)'
	@echo 'make uninstall       removes that'
	@echo 'make clean           removes build/'
	@echo
	@echo 'check, check-debug, check-sanitize, check-valgrind, check-insns, coverage, coverage-kmod,'
	@echo 'models, fuzz, soak, lint, bench and demo install Debian packages that are missing.'

include userlib/Makefile
include selftests/Makefile

# The module. Objects of different kernels must not meet, so each kernel has a
# directory with links to the sources. Two makes at once (two vm.sh) take turns.

kmod-src := Kbuild $(wildcard kmod/*.[ch] uapi/linux/*.h)

# $(call kbuild,DIRECTORY,KDIR)
define kbuild
	@mkdir -p $(1)/kmod
	+@flock $(1)/.lock sh -ec '\
		find -L $(1)/kmod -type l -delete; \
		ln -sfn $(abspath Kbuild uapi) $(1)/; \
		ln -sf $(abspath $(wildcard kmod/*.[ch])) $(1)/kmod/; \
		$(MAKE) -C $(2) M=$(abspath $(1)) $(KBUILD_ARGS) modules; \
		touch $(1)/gsched.ko'
endef

ifdef KDIR
modules: build/gsched.ko
else
modules: $(KERNELS:%=build/%/gsched.ko)
endif

# With KDIR: not known to be the same kernel as last time, so ask kbuild.
build/gsched.ko: FORCE
	$(call kbuild,build/own,$(KDIR))
	@cp build/own/gsched.ko $@

build/%/gsched.ko: $(kmod-src) build/%/kernel
	$(call kbuild,build/$*,$$(cat build/$*/kernel)/build)

# With delay points, for the tests that force races; see kmod/delay.h.
build/%-delays/gsched.ko: KBUILD_ARGS = GSCHED_DELAYS=y
build/%-delays/gsched.ko: $(kmod-src) build/%/kernel
	$(call kbuild,$(@D),$$(cat build/$*/kernel)/build)

# For faults.sh, which asks for the source line of each address.
build/%-faults/gsched.ko: KBUILD_ARGS = KCFLAGS="-g -fno-optimize-sibling-calls"
build/%-faults/gsched.ko: $(kmod-src) build/%/kernel
	$(call kbuild,$(@D),$$(cat build/$*/kernel)/build)

# That counts which lines have run, for a kernel with GCOV; see selftests/coverage_kmod.sh.
build/%-gcov/gsched.ko: KBUILD_ARGS = GSCHED_GCOV=y
build/%-gcov/gsched.ko: $(kmod-src) build/%/kernel
	$(call kbuild,$(@D),$$(cat build/$*/kernel)/build)

# A build from nothing, with all that the compiler and sparse have to say.
build/lint/%/gsched.ko: KBUILD_ARGS = C=2 W=1 KCFLAGS=-Werror
build/lint/%/gsched.ko: FORCE
	@rm -rf $(@D)
	$(call kbuild,$(@D),$$(selftests/vm/kernel.sh $*)/build)

# Names the kernel's directory; changes only when that does.
build/%/kernel: FORCE
	@mkdir -p $(@D)
	@dir=$$(selftests/vm/kernel.sh $*) && \
		{ echo "$$dir" | cmp -s - $@ || echo "$$dir" >$@; }

clean:
	rm -rf build

FORCE:
.PRECIOUS: build/%/kernel
.PHONY: all help modules clean FORCE
.DELETE_ON_ERROR:

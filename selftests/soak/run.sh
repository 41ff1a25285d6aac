#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The soak test in a virtual machine.
#
#   run.sh KERNEL CPUS SECONDS SEED [ROUND]
#
# SOAK_ONLY, SOAK_LANES, SOAK_ROUND and SOAK_VERBOSE reach the guest: see disturb.c,
# worker_lib.c and soak.sh.

set -eu

kernel=$1 cpus=$2 seconds=$3
shift 2
cd "$(dirname "$(readlink -f "$0")")/../.."

env=()
for name in SOAK_ONLY SOAK_LANES SOAK_ROUND SOAK_VERBOSE; do
	[ -z "${!name:-}" ] || env+=("$name=${!name}")
done

# The round that has begun goes on when the time is over, and kmemleak takes its own.
exec selftests/vm.sh -k "$kernel" -c "$cpus" -m 2048 -t $((seconds + 1200)) \
	-f build/selftests/soak -f selftests/soak/soak.sh \
	-- env "${env[@]}" ./soak.sh "$@"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "make coverage": run the library's tests natively in a build that counts, and print
# how many lines of each file have run, and which have not.
#
#   coverage.sh [TEST...]    default: all of build/cov/selftests/lib_*
#
# The module's backend cannot run here; it is listed but not in the sum. Headers count
# once, wherever they are included.

set -eu -o pipefail
export LC_ALL=C

cd "$(dirname "$(readlink -f "$0")")/.."
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}
PATH=$PATH:$cache/nginx/usr/sbin:$cache/gdb/usr/bin

[ $# -gt 0 ] || set -- build/cov/selftests/lib_*
rm -f build/cov/*.gcda
status=0
GSCHED_BACKEND=epoll selftests/run.sh "$@" || status=$?

"${GCOV:-gcov}" --json-format --stdout build/cov/*.gcda | perl -MJSON::PP -ne '
	for my $file (@{decode_json($_)->{files}}) {
		next unless $file->{file} =~ m{^userlib/};
		$count{$file->{file}}{$_->{line_number}} += $_->{count} for @{$file->{lines}};
	}
	sub row { printf "%6d %6d  %5.1f %%  %s\n", $_[0], $_[1], 100 * $_[1] / $_[0], $_[2] }
	sub ranges {
		my @r;
		for (@_) { @r && $_ == $r[-1][1] + 1 ? $r[-1][1]++ : push @r, [$_, $_] }
		join " ", map { $_->[0] == $_->[1] ? $_->[0] : "$_->[0]-$_->[1]" } @r;
	}
	END {
		my ($all, $reached) = (0, 0);
		print "\n lines    run           file\n";
		for my $f (sort keys %count) {
			my @lines = sort { $a <=> $b } keys %{$count{$f}};
			my @not = grep { !$count{$f}{$_} } @lines;
			row(scalar @lines, @lines - @not, $f);
			next if $f eq "userlib/backend_module.c";
			$all += @lines;
			$reached += @lines - @not;
			push @missed, "$f: " . ranges(@not) . "\n" if @not;
		}
		row($all, $reached, "all but the module\x27s backend");
		print "\nNot run:\n", @missed;
	}'
exit $status

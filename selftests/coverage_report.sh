#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Print how many lines of each file have run, and which have not.
#
#   coverage_report.sh DIR GCOV GCDA...
#
#   DIR   of the sources that count, as in "kmod/"
#   GCOV  the program, of the compiler's version
#
# Headers count once, wherever they are included.

set -eu -o pipefail
export LC_ALL=C

dir=$1 gcov=$2
shift 2

"$gcov" --json-format --stdout "$@" | DIR=$dir perl -MJSON::PP -ne '
	for my $file (@{decode_json($_)->{files}}) {
		next unless $file->{file} =~ m{(?:^|/)(\Q$ENV{DIR}\E.*)$};
		$count{$1}{$_->{line_number}} += $_->{count} for @{$file->{lines}};
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
		row($all, $reached, $ENV{DIR} eq "userlib/" ? "all but the module\x27s backend" : "all");
		print "\nNot run:\n", @missed;
	}'

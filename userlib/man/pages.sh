#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1 OR MIT
#
# The manual pages, and the names under which they can be found. A page describes a
# group of calls and names all of them in its section NAME; each name gets a page that
# refers to it.
#
#   pages.sh names PAGE...              lines "NAME PAGE", without directories
#   pages.sh install DIRECTORY PAGE...  as DIRECTORY/manN/NAME.N
#   pages.sh uninstall DIRECTORY PAGE...

set -eu

# NAME is a list with commas, up to "\-", and may take several lines.
names()
{
	awk '
	/^\.SH / { in_name = $2 == "NAME"; next }
	in_name && !done[FILENAME] {
		if ((end = index($0, "\\-")) > 0) {
			$0 = substr($0, 1, end - 1)
			done[FILENAME] = 1
		}
		page = FILENAME
		sub(/.*\//, "", page)
		for (i = 1; i <= NF; i++) {
			sub(/,$/, "", $i)
			print $i, page
		}
	}' "$@"
}

# Print the path below the directory for each name, and what it refers to: itself or
# another page.
places()
{
	names "$@" | while read -r name page; do
		echo "man${page##*.}/$name.${page##*.} man${page##*.}/$page"
	done
}

install_pages()
{
	dir=$1
	shift
	for page; do
		install -D -m 644 -t "$dir/man${page##*.}" "$page"
	done
	places "$@" | while read -r place target; do
		[ "$place" != "$target" ] || continue
		echo ".so $target" >"$dir/$place"
		chmod 644 "$dir/$place"
	done
}

uninstall_pages()
{
	dir=$1
	shift
	for page; do
		rm -f "$dir/man${page##*.}/${page##*/}"
	done
	places "$@" | while read -r place target; do
		rm -f "$dir/$place"
	done
}

command=$1
shift
case $command in
names)		names "$@" ;;
install)	install_pages "$@" ;;
uninstall)	uninstall_pages "$@" ;;
*)		exit 2 ;;
esac

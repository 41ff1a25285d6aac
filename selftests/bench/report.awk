# SPDX-License-Identifier: GPL-2.0
#
# For report.sh.
#
#   awk -v want=values -f report.awk numbers raw.PLACE
#	prints "ROW PROCS IMPL VALUE FOREIGN"; ours is two, gsched-epoll and gsched-module
#   awk -v want=report -v place=PLACE -f report.awk numbers values.PLACE raw.PLACE
#	those lines sorted: prints the tables, writes PLACE-GROUP.plot for gnuplot

BEGIN {
	never = 1e15
	# Others come behind these.
	all = " gsched-module gsched-epoll go go119 boost st uv epoll uring threads asm"
}

FILENAME != file {
	file = FILENAME
	files++
}

# ------------------------------------------------------------------------ bench/numbers

files == 1 && $1 == "row" {
	n = split($3, procs, ",")
	text = $8
	for (i = 9; i <= NF; i++)
		text = text " " $i
	for (i = 1; i <= n; i++)
		add_row($2 " " procs[i], $4, $5, $6 == "more", $7, text ", " procs[i] " P")
}

files == 1 && $1 == "goal" && $2 == place {
	goal_row[++goals] = $3 " " $4
	for (i = 5; i <= NF; i++)
		goal_terms[goals] = goal_terms[goals] " " $i
}

function add_row(row, key_, unit_, more_, group_, title_)
{
	rows[++nr_rows] = row
	key[row] = key_
	unit[row] = unit_
	more[row] = more_
	group[row] = group_
	title[row] = title_
	bench = row
	sub(/:[^ ]*/, "", bench)
	rows_of[bench] = rows_of[bench] "\n" row
	if (!(group_ in groups)) {
		groups[group_]
		group_list[++nr_groups] = group_
	}
}

# -------------------------------------------------------------------------- raw lines

want == "values" && files == 2 && /^bench=/ {
	split("", field)
	for (i = 1; i <= NF; i++) {
		at = index($i, "=")
		field[substr($i, 1, at - 1)] = substr($i, at + 1)
	}
	bench = field["bench"] " " field["procs"]
	impl = field["impl"]
	if (impl == "gsched")
		impl = impl (field["backend"] == "module" ? "-module" : "-epoll")
	if (!(bench in rows_of))
		add_row(bench, "ns_per_op")
	n = split(rows_of[bench], list, "\n")
	for (i = 2; i <= n; i++) {
		k = key[list[i]]
		# What could not be done at all takes for ever.
		if (k in field)
			print list[i], impl, (field["ops"] > 0 ? field[k] : never),
				field["foreign"] + 0
	}
}

# ------------------------------------------------------------------------------ values

want == "report" && files == 2 {
	row = $1 " " $2
	if (!(row in key))
		add_row(row, "ns_per_op", "ns", 0, "other", $1 ", " $2 " P")
	at = row " " $3
	value[at, ++count[at]] = $4
	if ($5 > 0.03)
		disturbed[at]++
	seen[group[row], $3]
	if (!index(all " ", " " $3 " "))
		all = all " " $3
}

want == "report" && files == 3 && /^#/ {
	loads = loads "\n    " substr($0, 3)
}

function quantile(at, q)
{
	return value[at, 1 + int((count[at] - 1) * q + 0.5)]
}

function median(at)
{
	return quantile(at, 0.5)
}

function number(x)
{
	if (x >= never)
		return "never"
	return sprintf(x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : "%.2f", x)
}

function cell(at)
{
	if (!count[at])
		return ""
	return number(median(at)) " (" number(quantile(at, 0.25)) " to " \
		number(quantile(at, 0.75)) ")" (disturbed[at] ? " !" disturbed[at] : "")
}

# How many times better @a is than @b, by the quantiles of both.
function better(row, a, b, qa, qb)
{
	a = quantile(row " " a, qa)
	b = quantile(row " " b, qb)
	if (more[row])
		return b ? a / b : 0
	return a ? b / a : 0
}

function ours(row)
{
	if (count[row " gsched-module"])
		return "gsched-module"
	return count[row " gsched-epoll"] ? "gsched-epoll" : ""
}

function is_ours(impl)
{
	return impl ~ /^gsched/
}

function ratio(row, impl)
{
	if (!ours(row) || !count[row " " impl] || median(row " " impl) >= never)
		return ""
	return number(better(row, ours(row), impl, 0.5, 0.5))
}

# The best that is neither ours nor Go.
function best_other(row, list, n, i, best)
{
	n = split(columns[group[row]], list, " ")
	for (i = 1; i <= n; i++)
		if (!is_ours(list[i]) && list[i] !~ /^go/ && count[row " " list[i]] &&
		    (!best || better(row, list[i], best, 0.5, 0.5) > 1))
			best = list[i]
	return best
}

# -------------------------------------------------------------------------- the tables

function add_columns(g, impls, n, i)
{
	n = split(all, impls, " ")
	for (i = 1; i <= n; i++)
		if ((g, impls[i]) in seen)
			columns[g] = columns[g] " " impls[i]
}

function has_values(row, impls, n, i)
{
	n = split(columns[group[row]], impls, " ")
	for (i = 1; i <= n; i++)
		if (count[row " " impls[i]])
			return 1
	return 0
}

function table(g, impls, n, i, r, row, best)
{
	n = split(columns[g], impls, " ")
	printf "\n### %s\n\n| |", g
	for (i = 1; i <= n; i++)
		printf " %s |", impls[i]
	printf " to go | to the best other |\n|---|"
	for (i = 1; i <= n + 2; i++)
		printf "---|"
	print ""
	for (r = 1; r <= nr_rows; r++) {
		row = rows[r]
		if (group[row] != g || !has_values(row))
			continue
		printf "| %s, %s |", title[row], unit[row]
		for (i = 1; i <= n; i++)
			printf " %s |", cell(row " " impls[i])
		best = best_other(row)
		printf " %s | %s |\n", ratio(row, "go"),
			best && ours(row) ? ratio(row, best) " " best : ""
	}
}

# What one term allows, with a row of its own: "go/6" is a sixth of what Go has.
function limit(row, term, part)
{
	if (term ~ /^[0-9.]+$/)
		return term
	split(term, part, "[*/]")
	if (!count[row " " part[1]])
		return ""
	if (term ~ /\//)
		return median(row " " part[1]) / part[2]
	return median(row " " part[1]) * (part[2] ? part[2] : 1)
}

function verdicts(row, terms, part, n, i, l, v, text)
{
	v = median(row " " ours(row))
	n = split(terms, part, " ")
	for (i = 1; i <= n; i++) {
		l = limit(row, part[i])
		text = text (i > 1 ? "; " : "") part[i]
		if (l == "")
			text = text ": not measured"
		else
			text = text (part[i] ~ /^[0-9.]+$/ ? "" : " = " number(l)) ": " \
				((more[row] ? v >= l : v <= l) ? "met" : "**not met**")
	}
	return text
}

function goal_table(i, row)
{
	if (!goals)
		return
	print "\n### Goals\n\n| | ours | goal |\n|---|---|---|"
	for (i = 1; i <= goals; i++) {
		row = goal_row[i]
		printf "| %s, %s | ", row in title ? title[row] : row, unit[row]
		if (ours(row))
			print cell(row " " ours(row)) " | " verdicts(row, goal_terms[i]) " |"
		else
			print "not measured |" goal_terms[i] " |"
	}
}

# Beyond noise: the quartiles do not meet.
function module_table(r, row, any, text)
{
	for (r = 1; r <= nr_rows; r++) {
		row = rows[r]
		if (!count[row " gsched-module"] || !count[row " gsched-epoll"])
			continue
		if (!any++)
			print "\n### The module against the portable backend\n\n" \
				"| | module | portable | times better | |\n|---|---|---|---|---|"
		text = "as good"
		if (count[row " gsched-module"] < 3 || count[row " gsched-epoll"] < 3)
			text = "too few rounds"
		else if (better(row, "gsched-module", "gsched-epoll", more[row] ? 0.25 : 0.75,
			   more[row] ? 0.75 : 0.25) > 1)
			text = "better"
		else if (better(row, "gsched-module", "gsched-epoll", more[row] ? 0.75 : 0.25,
				more[row] ? 0.25 : 0.75) < 1)
			text = "**worse**"
		printf "| %s, %s | %s | %s | %s | %s |\n", title[row], unit[row],
			cell(row " gsched-module"), cell(row " gsched-epoll"),
			ratio(row, "gsched-epoll"), text
	}
}

# Which rows a plot has, and in which order.
function plotted(g, r)
{
	return group[rows[r]] == g && ours(rows[r]) &&
		median(rows[r] " " ours(rows[r])) < never
}

# One line of a plot for each row where @impl has something.
function plot_impl(g, impl, out, r, row, us, x, lines)
{
	for (r = 1; r <= nr_rows; r++) {
		row = rows[r]
		if (!plotted(g, r))
			continue
		x++
		us = ours(row)
		if (impl == us || !count[row " " impl] || median(row " " impl) >= never)
			continue
		if (!lines++)
			printf "\n\n\"%s\"\n", impl >out
		print x, better(row, us, impl, 0.5, 0.5), \
			better(row, us, impl, more[row] ? 0.25 : 0.75, more[row] ? 0.75 : 0.25), \
			better(row, us, impl, more[row] ? 0.75 : 0.25, more[row] ? 0.25 : 0.75) >out
	}
}

# A block "X TITLE", then one "X RATIO LEAST MOST" for each implementation, behind its name.
function plot_data(g, out, impls, n, i, r, x)
{
	out = place "-" g ".plot"
	for (r = 1; r <= nr_rows; r++)
		if (plotted(g, r))
			print ++x, "\"" title[rows[r]] "\"" >out
	n = split(columns[g], impls, " ")
	for (i = 1; i <= n; i++)
		plot_impl(g, impls[i], out)
	close(out)
	if (x)
		printf "\n![%s](%s-%s.svg)\n", g, place, g
}

END {
	if (want != "report")
		exit
	printf "\n## %s\n", place
	print "\nMedians, and the quartiles of all rounds. \"!N\": in N of them others had more" \
		"\nthan 3 % of the CPUs. Ratios: how many times better ours is.\n" loads
	for (g = 1; g <= nr_groups; g++) {
		add_columns(group_list[g])
		if (columns[group_list[g]]) {
			table(group_list[g])
			plot_data(group_list[g])
		}
	}
	goal_table()
	module_table()
}

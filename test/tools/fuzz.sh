#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time (default 2m), one
# after the other, and prints a line for each. Fails when one fails, or when
# there is none. What a failing target found lies in its testdata/fuzz. Inputs are
# made smaller ten times at most: targets that make keys would do nothing else.
set -eu
cd "$(dirname "$0")/../.."
time=${1:-2m}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# go test -list prints the names of a package's targets, then "ok <package> <time>".
listed=$(go test -list '^Fuzz' ./...) || { echo "$listed" >&2; exit 1; }
targets=$(awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' <<<"$listed")
[ -n "$targets" ] || { echo "fuzz.sh: no fuzz targets found" >&2; exit 1; }

failed=0
while read -r package name; do
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$package" >"$log" 2>&1 </dev/null; then
		echo "ok   $package $name $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
	else
		echo "FAIL $package $name"
		tail -n 40 "$log" | sed 's/^/     /'
		failed=1
	fi
done <<<"$targets"
exit $failed

#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
# Usage: tools/fuzz.sh [TIME], e.g. 30s or 1000x for each target.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
found=0
while IFS=: read -r file _ line; do
	target=${line#func }
	target=${target%%(*}
	found=$((found + 1))
	echo "== ./$(dirname "$file") $target for $time"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git grep -nE '^func Fuzz[A-Z][A-Za-z0-9]*\(f \*testing\.F\)' -- '*_test.go')
if ((found == 0)); then
	echo "no fuzz target found" >&2
	exit 1
fi

#!/usr/bin/env bash
# Compares the Go benchmarks of the working tree with those of a revision, in
# alternating rounds, because a shared machine drifts.
# Usage: tools/bench-diff.sh REVISION PATTERN BENCHSTAT
set -euo pipefail
cd "$(dirname "$0")/.."
revision=$1 pattern=$2 benchstat=$(realpath "$3")
rounds=${ROUNDS:-6}
out=$PWD/.cache/bench
base=$out/base
mkdir -p "$out"
cleanup() { git worktree remove --force "$base" 2>/dev/null || true; }
trap cleanup EXIT
cleanup
git worktree add --detach --quiet "$base" "$revision"
: >"$out/old.txt"
: >"$out/new.txt"
# Packages that have benchmarks; a benchmark that only one side has is listed by
# benchstat on that side alone.
packages() { (cd "$1" && git grep -lE '^func Benchmark' -- '*_test.go' ':!e2e' | xargs -rn1 dirname | sort -u | sed 's,^,./,'); }
for ((i = 1; i <= rounds; i++)); do
	echo "round $i of $rounds" >&2
	(cd "$base" && packages . | xargs -r go test -run '^$' -bench "$pattern" -benchmem -benchtime 0.5s) >>"$out/old.txt"
	packages . | xargs -r go test -run '^$' -bench "$pattern" -benchmem -benchtime 0.5s >>"$out/new.txt"
done
"$benchstat" "$revision=$out/old.txt" "tree=$out/new.txt"

#!/usr/bin/env bash
#
# judge.sh BUILD_DIR A-B [DAYS] - lives of the seeds A to B, written down and judged by fb-check.
# ./run sim --check calls it. Ends with "sim check ok: seeds=.. events=.. violations=0".
set -euo pipefail
readonly BUILD=$1 SEEDS=$2 DAYS=${3:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
events=0 bad=0 seeds=0
for ((seed = ${SEEDS%-*}; seed <= ${SEEDS#*-}; seed++)); do
    seeds=$((seeds + 1))
    if "$BUILD/fb-sim" --seed "$seed" --days "$DAYS" --history "$work/history.jsonl" >"$work/sim" 2>&1 &&
        "$BUILD/fb-check" "$work/history.jsonl" >"$work/check" 2>&1; then
        n=$(sed -nE 's/^check ok: .*events=([0-9]+).*/\1/p' "$work/check")
        events=$((events + ${n:-0}))
        continue
    fi
    bad=$((bad + 1))
    printf 'seed %s: ./run sim --seed %s --days %s --history FILE, then ./run check FILE\n' "$seed" "$seed" "$DAYS"
    tail -n 1 "$work/sim"
    [[ ! -e $work/check ]] || head -n 3 "$work/check"
    rm -f "$work/check"
done
((bad == 0)) && word=ok || word=failed
printf 'sim check %s: seeds=%s events=%s violations=%s\n' "$word" "$seeds" "$events" "$bad"
((bad == 0))

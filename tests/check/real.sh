#!/usr/bin/env bash
#
# real.sh BUILD_DIR SEED - one life of the simulator, recorded twice: fb-check must be able to judge
# progress, bounds and the trace in what was really recorded, and must notice when they are spoiled.
# In a build with sanitizers also what was not given back (I17). Ends with "check real ok: ...".
set -euo pipefail
readonly BUILD=$1 SEED=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

life() {
    "$BUILD/fb-sim" --seed "$SEED" --days 1 --history "$work/$1" >"$work/sim" 2>&1 ||
        { tail -n 3 "$work/sim"; exit 1; }
}

# Each spoiling changes one thing in the second history; the judge must name the invariant.
spoiled() {
    local invariant=$1 program=$2
    sed -E "$program" "$work/two" >"$work/bad"
    if cmp -s "$work/two" "$work/bad"; then
        printf 'check real failed: nothing to spoil for %s\n' "$invariant"
        exit 1
    fi
    "$BUILD/fb-check" "$work/one" "$work/bad" >"$work/said" && status=0 || status=$?
    if [[ $status != 1 ]] || ! grep -q ": $invariant " "$work/said"; then
        printf 'check real failed: %s was expected\n' "$invariant"
        head -n 5 "$work/said"
        exit 1
    fi
}

life one
life two
need=I1,I2,I5,I6,I18,L1,L3
! grep -q '"ev":"sanitizer"' "$work/one" || need+=,I17
"$BUILD/fb-check" --need "$need" "$work/one" "$work/two" || exit 1
spoiled I18 's/"sha":"./&x/'
spoiled L1 '/"ev":"drained".*"d":"d1"/d'
spoiled L1 's/("ev":"quiet".*"rtt":)/\1-/'
spoiled L3 's/("ev":"sample".*"what":"request","value":).*/\199999999}/'
[[ $need != *I17* ]] || spoiled I17 's/"leaks":0/"leaks":1/'
printf 'check real ok: seed=%s judged=%s\n' "$SEED" "$need"

#!/usr/bin/env bash
#
# model.sh - checks sync.pml with spin: the sound model in every configuration, then each planted
# mistake, which must be found. ./run model calls it.
#
#   model.sh WORK            all that fits into about ten minutes
#   model.sh WORK --quick    small configurations and all mistakes, under a minute
#   model.sh WORK --long     10^8 states and more, on an idle machine in about half an hour;
#                            MODEL_MEMORY_MB is what one search may take (20000)
#   model.sh WORK --traces N print N random runs of the sound model, for fb-model-replay
#   model.sh WORK --reach    only: which statements of the model no small configuration reaches
#
# Ends with "model ok: states=N errors=0 planted=20/20"; else exit 1. WORK keeps what was built.
# A configuration whose search did not come to its end counts its states and is named "not exhausted".
set -euo pipefail

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null && pwd -P)
readonly HERE MODEL="$HERE/sync.pml" MISTAKES="$HERE/mistakes.def" UNREACHED="$HERE/unreached.def"
readonly DEPTH_MAX=1000000
readonly MISTAKE_SECONDS=60

say() { printf '%s\n' "$*"; }

# name|seconds|log2 of hash slots|options. Every search is exhaustive unless its time is used up.
configurations() {
    case $1 in
    quick)
        cat <<'LIST'
pages|20|20|-DND=2 -DNG=3 -DBADS=1 -DCUT=1
restore|20|18|-DND=2 -DNG=2 -DBACKUPS=1 -DRESTORES=1 -DCUT=1
phone|20|16|-DND=2 -DNG=2 -DPHONE=1
clone|20|18|-DND=2 -DNG=2 -DCLONE=1
LIST
        ;;
    normal)
        cat <<'LIST'
pages|120|22|-DND=2 -DNG=4 -DBADS=1 -DCUT=1
restore|120|24|-DND=2 -DNG=3 -DBACKUPS=1 -DRESTORES=1 -DCUT=1
phone|120|22|-DND=2 -DNG=3 -DPHONE=1 -DCUT=1
clone|120|24|-DND=2 -DNG=3 -DCLONE=1 -DNI=10
restore-bad|150|25|-DND=2 -DNG=3 -DBACKUPS=1 -DRESTORES=1 -DCUT=1 -DBADS=1
three|120|22|-DND=3 -DNG=2 -DCLONE=1
phone-restore|120|22|-DND=2 -DNG=2 -DPHONE=1 -DBACKUPS=1 -DRESTORES=1 -DCUT=1
clone-restore|120|24|-DND=2 -DNG=2 -DCLONE=1 -DBACKUPS=1 -DRESTORES=1
late|120|24|-DND=2 -DNG=2 -DLATE=1 -DPHONE=1 -DBACKUPS=1 -DRESTORES=1
LIST
        ;;
    long)
        cat <<'LIST'
pages-4|300|24|-DND=2 -DNG=4 -DBADS=1 -DCUT=1
three-3|300|24|-DND=3 -DNG=3 -DCUT=1
phone-4|600|25|-DND=2 -DNG=4 -DPHONE=1 -DNI=15
restore-3-bad|600|25|-DND=2 -DNG=3 -DBACKUPS=1 -DRESTORES=1 -DCUT=1 -DBADS=1
clone-3-cut|900|26|-DND=2 -DNG=3 -DCLONE=1 -DCUT=1 -DNI=15
late-3|900|26|-DND=2 -DNG=3 -DLATE=1 -DCUT=1 -DBADS=1 -DNI=4
restore-4|1500|27|-DND=2 -DNG=4 -DBACKUPS=1 -DRESTORES=1 -DCUT=1 -DNI=4
restore-twice|1500|27|-DND=2 -DNG=3 -DBACKUPS=2 -DRESTORES=2 -DCUT=1 -DNI=4
phone-restore-3|900|26|-DND=2 -DNG=3 -DPHONE=1 -DBACKUPS=1 -DRESTORES=1 -DNI=15
phone-4-cut|900|26|-DND=2 -DNG=4 -DPHONE=1 -DCUT=1 -DNI=15
late-restore-3|900|26|-DND=2 -DNG=3 -DLATE=1 -DBACKUPS=1 -DRESTORES=1 -DNI=4
restore-4-bad|1800|27|-DND=2 -DNG=4 -DBACKUPS=1 -DRESTORES=1 -DCUT=1 -DBADS=1 -DNI=4
LIST
        ;;
    esac
}

# The smallest configuration that finds the mistakes of that kind.
small_options() {
    case $1 in
    pages) say -DND=2 -DNG=2 -DCUT=1 ;;
    restore) say -DND=2 -DNG=2 -DBACKUPS=1 -DRESTORES=1 ;;
    phone) say -DND=2 -DNG=2 -DPHONE=1 ;;
    clone) say -DND=2 -DNG=2 -DCLONE=1 ;;
    behind) say -DND=2 -DNG=4 -DPHONE=1 -DNI=15 ;;
    esac
}

# build FOLDER OPTIMISATION OPTIONS...
build() {
    local folder=$1 level=$2
    shift 2
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        cd "$folder"
        spin -a "$@" "$MODEL" >spin.out 2>&1 || { cat spin.out >&2; exit 1; }
        # shellcheck disable=SC2086
        gcc $level -w -DSAFETY -DNOREDUCE -DVECTORSZ=2048 "-DMEMLIM=${MODEL_MEMORY_MB:-6000}" -o pan pan.c
    )
}

# Prints "states errors"; of a search that was cut off, the last progress spin reported.
result() {
    awk '
        / states, stored/ { states = $1 }
        /errors: / { errors = $NF }
        /^Depth=/ { for (i = 1; i <= NF; i++) if ($i == "States=") progress = $(i + 1) }
        /assertion violated|invalid end state/ { errors = errors ? errors : 1 }
        END { printf "%.0f %d\n", states ? states : progress, errors }
    ' "$1"
}

# Sets the globals states and errors.
check_sound() {
    local name=$1 seconds=$2 slots=$3 folder=$4 found bad ending='exhausted' status=0
    shift 4
    build "$folder" -O2 "$@"
    (cd "$folder" && timeout -s INT "$seconds" ./pan "-m$DEPTH_MAX" "-w$slots" >pan.out 2>&1) || status=$?
    read -r found bad < <(result "$folder/pan.out")
    if [[ $status == 124 ]] || grep -qE 'Search not completed|max search depth|memory (limit|bound)|interrupted' "$folder/pan.out"; then
        ending='not exhausted'
    fi
    [[ $found -gt 0 ]] || bad=$((bad + 1))
    states=$((states + found))
    errors=$((errors + bad))
    printf '  %-14s %10d states, %d errors, %s\n' "$name" "$found" "$bad" "$ending"
    [[ $bad == 0 ]] || { grep -m1 -E 'pan:|rror' "$folder/pan.out" || true; }
}

# A mistake counts as found only by an assertion of the model's promises.
check_mistake() {
    local number=$1 kind=$2 text=$3 folder=$4 why
    # shellcheck disable=SC2046
    build "$folder" -O0 "-DMISTAKE=$number" $(small_options "$kind")
    (cd "$folder" && timeout "$MISTAKE_SECONDS" ./pan -m20000 -w18 >pan.out 2>&1) || true
    why=$(grep -m1 -oE 'assertion violated .*' "$folder/pan.out" || true)
    if [[ -n $why && $why != *fresh* ]]; then
        planted=$((planted + 1))
        printf '  %2d found      %s\n' "$number" "$text"
    else
        printf '  %2d NOT FOUND  %s\n' "$number" "$text"
    fi
    rm -f "$folder"/pan.?
}

# The small configurations that together must reach every statement of the model.
reach_configurations() {
    cat <<'LIST'
-DND=2 -DNG=2 -DBADS=1 -DCUT=1
-DND=2 -DNG=2 -DBACKUPS=1 -DRESTORES=1 -DBADS=1
-DND=2 -DNG=2 -DPHONE=1 -DCUT=1
-DND=2 -DNG=4 -DPHONE=1 -DNI=15
-DND=2 -DNG=2 -DCLONE=1 -DBADS=1
-DND=2 -DNG=2 -DLATE=1
-DND=2 -DNG=2 -DPHONE=3 -DBACKUPS=1
LIST
}

# The statements of pan.m.gcov files, how often each was reached: spin itself does not look into a
# d_step, which is one transition to it. One text in several places counts as one statement.
statements() {
    awk -F: '
        {
            count = $1
            text = $0
            sub(/^[^:]*:[^:]*:/, "", text)
            gsub(/[ \t]+/, " ", text)
            sub(/^ /, "", text)
            gsub(/\(\(P[0-9]+ \*\)_this\)->d|h_d/, "d", text)
            gsub(/, [0-9]+ ?\)/, ")", text) # sizes of arrays differ by configuration
            if (text !~ /^(now\.|\(\(P[0-9]|spin_assert|[a-z]_[a-z]+ = |if \(!\()/ || text ~ /trpt->/) next
            if (count ~ /[0-9]/) reached[text] = 1
            else if (count ~ /#####/ && !(text in reached)) reached[text] = 0
        }
        END { for (t in reached) print reached[t], t }' "$@"
}

# Sets the global unreached.
check_reached() {
    local work=$1 options number=0 list all
    rm -rf "$work"/reach-*
    while read -r options; do
        number=$((number + 1))
        # shellcheck disable=SC2086
        build "$work/reach-$number" '-O1 --coverage' $options
        (
            cd "$work/reach-$number"
            timeout -s INT 600 ./pan -m200000 -w18 >pan.out 2>&1 || true
            gcov ./*.gcda >/dev/null 2>&1 && [[ -s pan.m.gcov ]] # pan.gcda or pan-pan.gcda, as the compiler likes
        ) || { say "model failed: configuration $number of the statements reached left no counts" && return 1; }
    done < <(reach_configurations)
    list=$(statements "$work"/reach-*/pan.m.gcov)
    all=$(wc -l <<<"$list")
    list=$(sed -n 's/^0 //p' <<<"$list" | grep -vxFf <(cut -d'|' -f1 "$UNREACHED") || true)
    unreached=$(grep -c . <<<"$list" || true)
    say "Statements of the model reached: all of $all but $unreached, and these by intent:"
    sed -n '/^[^#]/s/^/  /p' "$UNREACHED"
    [[ $unreached == 0 ]] || say "$list"
}

check_all() {
    local size=$1 work=$2 name seconds slots options number kind text
    states=0 errors=0 planted=0 unreached=0
    say "The sound model:"
    while IFS='|' read -r name seconds slots options; do
        # shellcheck disable=SC2086
        check_sound "$name" "$seconds" "$slots" "$work/$name" $options
    done < <(configurations "$size")
    say "Planted mistakes:"
    while IFS='|' read -r number kind text; do
        [[ $number != \#* ]] || continue
        check_mistake "$number" "$kind" "$text" "$work/mistake-$number"
    done <"$MISTAKES"
    check_reached "$work"
    if [[ $errors == 0 && $planted == 20 && $unreached == 0 ]]; then
        say "model ok: states=$states errors=0 planted=$planted/20"
    else
        say "model failed: states=$states errors=$errors planted=$planted/20 unreached=$unreached"
        return 1
    fi
}

# Random runs; the faults change with the seed.
traces() {
    local count=$1 seed options
    local all=('-DND=2 -DNG=4 -DPUSH=4' '-DND=2 -DNG=4 -DPUSH=4 -DBACKUPS=1 -DRESTORES=1' '-DND=2 -DNG=4 -DPUSH=4 -DPHONE=1 -DNI=12'
        '-DND=2 -DNG=4 -DPUSH=4 -DCLONE=1 -DNI=12' '-DND=3 -DNG=4 -DPUSH=4 -DCLONE=1 -DNI=12')
    for ((seed = 1; seed <= count; seed++)); do
        options=${all[seed % ${#all[@]}]}
        say "trace $seed $options"
        # shellcheck disable=SC2086
        spin -DTRACE "-n$seed" $options "$MODEL" | sed -n 's/^ *T //p'
    done
}

main() {
    local work=${1:?the folder to work in is missing}
    shift
    mkdir -p "$work"
    case ${1:-} in
    '') check_all normal "$work" ;;
    --quick) check_all quick "$work" ;;
    --long) MODEL_MEMORY_MB=${MODEL_MEMORY_MB:-20000} check_all long "$work" ;;
    --traces) traces "${2:-100}" ;;
    --reach) check_reached "$work" && [[ $unreached == 0 ]] ;;
    *) say "model.sh does not know '$1'" >&2 && exit 2 ;;
    esac
}

main "$@"

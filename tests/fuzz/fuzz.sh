#!/usr/bin/env bash
# fuzz.sh SOURCE_DIR BUILD_DIR SECONDS|minimise [TARGET] - run the fuzz targets, one line for each;
# or keep of each corpus only the inputs that reach something new.
#
# Each program begins with the seeds it makes itself, the corpus kept in tests/fuzz/corpus/<target>,
# and what earlier runs found in BUILD_DIR/corpus/<target>. An input that breaks something is left
# in BUILD_DIR/found, and the command that replays it is printed.
set -euo pipefail

root=$1 build=$2 seconds=$3 only=${4:-}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# Bytes that an input of this target has at most.
longest() {
    case $1 in
    cert | decimal | replica | journal) echo 2048 ;;
    config) echo 20000 ;;
    http) echo 16000 ;; # one TLS record
    *) echo 8192 ;;
    esac
}

# The text of the last match of "name: number" in libFuzzer's output.
figure() {
    grep -oE "$1:? *[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

make_seeds() {
    local target=$1 seeds="$build/seeds/$1" log="$build/log/$1"
    rm -rf "$seeds"
    mkdir -p "$seeds" "$build/log"
    "$build/fuzz-$target" seeds "$seeds" >"$log" 2>&1 || {
        cat "$log" >&2
        printf 'fuzz FAILED: target=%s: its seeds could not be made (message above)\n' "$target"
        return 1
    }
}

# Edges that these folders together reach.
edges() {
    local target=$1 log="$build/log/$1-edges"
    shift
    "$build/fuzz-$target" -runs=0 -detect_leaks=0 -max_len="$(longest "$target")" "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        return 1
    }
    figure cov "$log"
}

# What the seeds do not reach already, from the kept corpus and from what earlier runs found.
minimise() {
    local target=$1 kept="$root/tests/fuzz/corpus/$1" seeds="$build/seeds/$1" merged="$build/merged/$1"
    local before after count name
    make_seeds "$target" || return 1
    rm -rf "$merged"
    mkdir -p "$merged" "$kept" "$build/corpus/$target"
    cp "$seeds"/* "$merged"
    count=$(find "$kept" "$build/corpus/$target" -type f | wc -l)
    before=$(edges "$target" "$seeds" "$kept" "$build/corpus/$target") || return 1
    "$build/fuzz-$target" -merge=1 -use_counters=0 -detect_leaks=0 -max_len="$(longest "$target")" "$merged" "$kept" \
        "$build/corpus/$target" >"$build/log/$target" 2>&1 || {
        report_failure "$target" "$build/log/$target"
        return 1
    }
    for name in "$seeds"/*; do rm -f "$merged/${name##*/}"; done
    after=$(edges "$target" "$seeds" "$merged") || return 1
    if ((after < before)); then
        printf 'fuzz FAILED: target=%s: edges=%s, but %s without what was to go: nothing is changed\n' \
            "$target" "$before" "$after"
        return 1
    fi
    find "$kept" -type f -delete
    find "$merged" -type f -exec cp {} "$kept" \;
    printf 'fuzz minimised: target=%s inputs=%s to=%s edges=%s to=%s\n' "$target" "$count" \
        "$(find "$kept" -type f | wc -l)" "$before" "$after"
}

fuzz() {
    local target=$1 program="$build/fuzz-$1" log="$build/log/$1" status=0 options folders
    local seeds="$build/seeds/$1" corpus="$build/corpus/$1" found="$build/found/$1-"
    make_seeds "$target" || return 1
    mkdir -p "$corpus" "$build/found"
    folders=("$corpus" "$seeds")
    [[ ! -d $root/tests/fuzz/corpus/$target ]] || folders+=("$root/tests/fuzz/corpus/$target")
    options=()
    case $target in
    json | message | group | catalog | page | server) options+=(-dict="$root/tests/fuzz/words.dict") ;;
    esac
    case $target in # a large state: leaks are looked for at the end only
    page | replica | server) options+=(-detect_leaks=0) ;;
    esac
    "$program" -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$found" "${options[@]}" "${folders[@]}" \
        >"$log" 2>&1 || status=$?
    if [[ $status != 0 ]]; then
        report_failure "$target" "$log"
        return 1
    fi
    printf 'fuzz ok: target=%s execs=%s edges=%s\n' "$target" \
        "$(figure 'stat::number_of_executed_units' "$log")" "$(figure 'cov' "$log")"
}

report_failure() {
    local target=$1 log=$2 input
    tail -n 60 "$log" >&2
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    printf 'fuzz FAILED: target=%s; the whole output is in %s\n' "$target" "$log"
    if [[ -n $input ]]; then
        printf '  input:  %s\n  replay: %s %s\n' "$input" "$build/fuzz-$target" "$input"
    fi
}

failed=0
ran=0
for source in "$root"/tests/fuzz/target_*.c; do
    name=${source##*/target_}
    name=${name%.c}
    [[ -z $only || $name == "$only" ]] || continue
    ran=$((ran + 1))
    if [[ $seconds == minimise ]]; then
        minimise "$name" || failed=$((failed + 1))
        continue
    fi
    fuzz "$name" || failed=$((failed + 1))
done
[[ $ran -gt 0 ]] || {
    printf 'error: there is no fuzz target %s: the names are those of tests/fuzz/target_*.c\n' "$only" >&2
    exit 2
}
[[ $failed == 0 ]]

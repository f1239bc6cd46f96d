#!/usr/bin/env bash
# coverage.sh SOURCE_DIR BUILD_DIR [FILE] - which branches did the tests take? One line per room, or
# the lines of FILE that have a branch nobody took.
#
# BUILD_DIR was built with --coverage and its programs have been run. A branch is one way out of a
# condition as the compiler counts it: `a && b` has four. Headers count in no room.
set -euo pipefail

root=$1 build=$2 file=${3:-}

# The rooms that a saved record goes through; the others are shown after them.
readonly PROMISED=(core/replica core/sync core/wire sync-server/intake sync-server/decide
    sync-server/ledger sync-server/feed)
readonly OTHERS=(core/base core/catalog core/rules core/sql core/api sync-server/http sync-server/door
    sync-server/blob sync-server/store)

# core/replica -> the folder of its objects
objects_of() {
    local target=${1/sync-server\//server_}
    printf '%s/CMakeFiles/%s.dir/%s' "$build" "${target/core\//core_}" "$1"
}

# gcov's summary for every source of a room: "branches taken lines executed"
sums_of() {
    local room=$1
    gcov -b -c -n "$(objects_of "$room")"/*.gcda 2>/dev/null | awk -v room="/$room/" '
        /^File / { ours = index($0, room) && /\.c.$/ }
        ours && /^Lines executed/ { split($0, a, /[:% ]+/); lines += a[5]; run += a[5] * a[3] / 100 }
        ours && /^Taken at least once/ { split($0, a, /[:% ]+/); all += a[7]; taken += a[7] * a[5] / 100 }
        END { printf "%d %.0f %d %.0f\n", all, taken, lines, run }'
}

show_rooms() {
    local room branches taken lines run sum=0 sum_taken=0
    for room in "${PROMISED[@]}" "${OTHERS[@]}"; do
        read -r branches taken lines run < <(sums_of "$room")
        [[ $branches -gt 0 ]] || {
            printf 'error: no counts of %s: the tests have not been run with the coverage build\n' "$room" >&2
            return 1
        }
        printf '%-20s branches %5d/%-5d %5s %%   lines %5s %%\n' "$room" "$taken" "$branches" \
            "$(percent "$taken" "$branches")" "$(percent "$run" "$lines")"
        [[ " ${PROMISED[*]} " != *" $room "* ]] || { sum=$((sum + branches)) sum_taken=$((sum_taken + taken)); }
    done
    printf 'coverage: rooms=%d branches=%d taken=%d percent=%s\n' "${#PROMISED[@]}" "$sum" "$sum_taken" \
        "$(percent "$sum_taken" "$sum")"
}

percent() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", (b > 0 ? 100 * a / b : 0) }'; }

# Each line of the file with a branch that nobody took: how many of how many, and the line.
show_file() {
    local room=${file%/*}
    [[ -r $root/$file ]] || {
        printf 'error: there is no %s: give the path of a source, such as core/replica/stage.c\n' "$file" >&2
        return 2
    }
    gcov -b -c -t "$(objects_of "$room")/${file##*/}.gcda" 2>/dev/null | awk -v wanted="$file" '
        /^ *-: *0:Source:/ { ours = index($0, wanted) }
        !ours { next }
        /^branch/ { all++; if (/never executed|taken 0/) missed++; next }
        /^ *[0-9#=*-]+: *[0-9]+:/ { show(); line = $0; sub(/^[^:]*: */, "", line) }
        END { show() }
        function show() { if (missed) printf "%d/%d  %s\n", missed, all, line; missed = all = 0 }'
}

if [[ -n $file ]]; then show_file; else show_rooms; fi

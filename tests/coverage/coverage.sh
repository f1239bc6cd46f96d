#!/usr/bin/env bash
# coverage.sh SOURCE_DIR BUILD_DIR [PATH|--left] - which branches did the tests take? One line per room;
# or the lines of one source with a way that nobody took; or all such lines of the seven rooms.
#
# BUILD_DIR was built with --coverage and its programs have been run. What counts is a way out of a
# condition of a room's own .c files, as the compiler counts them: `a && b` has four, FB_TRY and
# FB_REQUIRE have two each, a switch has one per label and one for none of them. Headers count in no room.
# The ways of an FB_ASSERT that nobody took do not count: they lead to the end of the process, and only
# a wrong program has them. Everything else counts, also what unreachable.def says nobody can take: a
# row there moves a way from "left" to "listed" and makes no percentage better.
set -euo pipefail

root=$1 build=$2 asked=${3:-}

readonly UNREACHABLE="$root/tests/coverage/unreachable.def"

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

# Each line of a room with a condition: path, function, number, ways, untaken, text; tab between.
lines_of() {
    gcov -b -c -t "$(objects_of "$1")"/*.gcda 2>/dev/null | awk -v OFS='\t' -v root="$root/" -v room="$1/" '
        /^ *-: *0:Source:/ {
            show()
            path = $0; sub(/.*0:Source:/, "", path)
            ours = index(path, root room) == 1 && path ~ /\.c$/
            path = substr(path, length(root) + 1)
            next
        }
        !ours { next }
        /^function / { show(); name = $2; next }
        /^branch/ { all++; if (/never executed|taken 0/) missed++; next }
        /^ *[0-9#=*-]+: *[0-9]+:/ {
            show()
            split($0, part, ":"); number = part[2] + 0
            text = $0; sub(/^[^:]*: *[0-9]+: */, "", text)
        }
        END { show() }
        function show() { if (all) print path, name, number, all, missed + 0, text; missed = all = 0 }'
}

# Adds a column: asserted, listed, left or - for the ways that nobody took, and how many are listed.
# A row of unreachable.def that names no line, or a way that somebody took, is stale: exit code 1.
judge_lines() {
    awk -v FS='\t' -v OFS='\t' -v def="$UNREACHABLE" '
        BEGIN {
            while ((getline row < def) > 0) {
                if (row ~ /^#/ || row == "") continue
                if (split(row, part, " @ ") != 3 || split(part[1], word, " ") != 3) bad("not a row", row)
                key = word[1] SUBSEP word[2] SUBSEP part[2]
                wanted[key] = word[3]; shown[key] = row
            }
        }
        {
            key = $1 SUBSEP $2 SUBSEP $6
            listed = 0
            if (key in wanted) {
                listed = $5 < wanted[key] ? $5 : wanted[key]
                wanted[key] -= listed
            }
            asserted = $6 ~ /FB_ASSERT\(/ ? $5 : 0
            print $0, asserted, listed, $5 - asserted - listed
        }
        END {
            for (key in wanted) if (wanted[key] > 0) bad("taken after all, or no such line", shown[key])
            exit stale
        }
        function bad(why, row) { printf "error: unreachable.def: %s: %s\n", why, row > "/dev/stderr"; stale = 1 }'
}

judged() {
    local room
    for room in "$@"; do
        lines_of "$room"
    done | judge_lines
}

# Of judged lines: branches (asserted ones are none), taken, asserted, listed, left.
sums() {
    awk -F'\t' '
        { all += $4 - $7; taken += $4 - $5; asserted += $7; listed += $8; left += $9 }
        END { printf "%d %d %d %d %d\n", all, taken, asserted, listed, left }'
}

of_rooms() {
    awk -F'\t' -v rooms=" $* " '{ path = $1; sub(/\/[^\/]*$/, "", path) } index(rooms, " " path " ")'
}

show_rooms() {
    local room lines branches taken asserted listed left stale=0
    lines=$(judged "${PROMISED[@]}" "${OTHERS[@]}") || stale=1
    for room in "${PROMISED[@]}" "${OTHERS[@]}"; do
        read -r branches taken asserted listed left < <(of_rooms "$room" <<<"$lines" | sums)
        [[ $branches -gt 0 ]] || {
            printf 'error: no counts of %s: the tests have not been run with the coverage build\n' "$room" >&2
            return 1
        }
        printf '%-20s branches %5d/%-5d %5s %%   listed %4d   left %5d\n' "$room" "$taken" "$branches" \
            "$(percent "$taken" "$branches")" "$listed" "$left"
    done
    read -r branches taken asserted listed left < <(of_rooms "${PROMISED[@]}" <<<"$lines" | sums)
    printf 'coverage: rooms=%d branches=%d taken=%d percent=%s listed=%d left=%d asserted=%d\n' \
        "${#PROMISED[@]}" "$branches" "$taken" "$(percent "$taken" "$branches")" "$listed" "$left" "$asserted"
    return "$stale"
}

percent() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", (b > 0 ? 100 * a / b : 0) }'; }

# path:number  untaken/ways  text, of the lines where something is left.
show_left() {
    awk -F'\t' '$9 > 0 { printf "%s:%d  %d/%d  %s\n", $1, $3, $9, $4, $6 }'
}

show_file() {
    [[ -r $root/$asked ]] || {
        printf 'error: there is no %s: give the path of a source, such as core/replica/stage.c\n' "$asked" >&2
        return 2
    }
    { lines_of "${asked%/*}" | judge_lines 2>/dev/null || true; } | awk -F'\t' -v path="$asked" '$1 == path' | show_left
}

case $asked in
'') show_rooms ;;
--left) judged "${PROMISED[@]}" | show_left ;;
*) show_file ;;
esac

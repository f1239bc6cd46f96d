#!/usr/bin/env bash
#
# mutants.sh - faults planted in the product, one at a time: does a test notice? ./run mutants
# calls it.
#
#   mutants.sh SOURCE_DIR WORK [options]     options: ./run mutants --help
#   mutants.sh SOURCE_DIR WORK --planted     those of tests/fuzz/planted.mutant, one a fuzz target,
#                                            which has to find it within a minute: ./run fuzz --planted
#
# *.mutant, one paragraph a fault, blank lines between, '#' begins a remark:
#
#   mutant  a name of its own
#   file    the file that is changed
#   fault   what a programmer could have got wrong, in words
#   tests   programs of the build that are likely to notice, comma between: they run first
#   - the text that is replaced: a piece of a line, or several whole lines; it must occur exactly once
#   + what stands there instead; no such line: the text is taken out
#
# Works in a copy of the tree below WORK and builds there, so nothing of the source is touched. A
# mutant that does not apply or does not compile is an error that names itself: never left out.
#
# The build is one without sanitizers, which is several times faster: what it kills, ./run test kills
# too, and more.
set -euo pipefail
shopt -s inherit_errexit

readonly SOURCE=${1:?the source folder is missing} WORK=${2:?the folder to work in is missing}
shift 2
readonly KIND=debug TREE="$WORK/tree" RESULTS="$WORK/results" SHARE=95
readonly TEST_SECONDS=300 SUITE_SECONDS=1800 FUZZ_SECONDS=60 NOT_A_KILLER='^(tidy|mutants)$'

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# What a fault leaves unused is no reason to refuse it: the tests are asked, not the compiler.
export CFLAGS="-Wno-unused-function -Wno-unused-variable -Wno-unused-parameter -Wno-unused-but-set-variable ${CFLAGS:-}"

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
misuse() {
    warn "error: $* (see ./run mutants --help)"
    exit 2
}

# ---------------------------------------------------------------- the list

names=()
declare -A file fault tests old new origin unusable

# Adds the paragraph that was read, if there is one.
paragraph_end() {
    [[ -n $name ]] || return 0
    [[ -z ${file[$name]:-} ]] || misuse "$at: mutant $name stands there twice: give it a name of its own"
    [[ -n $p_file && -n $p_fault && -n $p_old ]] ||
        misuse "$at: mutant $name needs the lines file, fault and one that begins with '- '"
    names+=("$name")
    file[$name]=$p_file fault[$name]=$p_fault tests[$name]=$p_tests old[$name]=$p_old new[$name]=$p_new
    origin[$name]=$at
    name=''
}

list_read() {
    local path line at='' name='' p_file p_fault p_tests p_old p_new number
    for path in "$@"; do
        number=0
        while IFS= read -r line || [[ -n $line ]]; do
            number=$((number + 1))
            case $line in
            '') paragraph_end ;;
            '#'*) ;;
            'mutant '*)
                paragraph_end
                at="${path#"$SOURCE/"}:$number" name=${line#mutant } name=${name// /}
                p_file='' p_fault='' p_tests='' p_old='' p_new=''
                ;;
            'file '*) p_file=${line#file } p_file=${p_file// /} ;;
            'fault '*) p_fault=${line#fault } p_fault=${p_fault#"${p_fault%%[! ]*}"} ;;
            'tests '*) p_tests=${line#tests } p_tests=${p_tests#"${p_tests%%[! ]*}"} ;;
            '- '*) p_old+=${p_old:+$'\n'}${line#- } ;;
            '+ '*) p_new+=${p_new:+$'\n'}${line#+ } ;;
            *) misuse "${path##*/}:$number: this line is none of a mutant: $line" ;;
            esac
        done <"$path"
        paragraph_end
    done
}

# Prints file $1 with OLD (environment) replaced by NEW; fails with 3 when it is not there, with 4
# when it is there twice. bash itself would take seconds for a long file.
replaced() {
    LC_ALL=C awk '
        { text = text $0 "\n" }
        END {
            old = ENVIRON["OLD"]
            at = index(text, old)
            if (at == 0) exit 3
            rest = substr(text, at + length(old))
            if (index(rest, old) > 0) exit 4
            printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["NEW"], rest
        }' "$1"
}

# Prints the changed text of mutant $1 in folder $2; says what is wrong and fails.
mutant_text() {
    local name=$1 status=0
    local path="$2/${file[$1]}" wrong=''
    [[ -r $path ]] || wrong="there is no file ${file[$name]}"
    [[ ${old[$name]} != "${new[$name]}" ]] || wrong='it changes nothing'
    if [[ -z $wrong ]]; then
        OLD=${old[$name]} NEW=${new[$name]} replaced "$path" || status=$?
        case $status in
        0) return ;;
        3) wrong="its text is not in ${file[$name]} any more" ;;
        *) wrong="its text is in ${file[$name]} more than once" ;;
        esac
    fi
    warn "error: mutant $name: $wrong: mend its lines '- ' and '+ ' (${origin[$name]}) to what the file says now, or take it out if what it breaks is gone; try it with ./run mutants --only $name"
    return 1
}

check_list() {
    local name failed=0
    for name in "${names[@]}"; do
        mutant_text "$name" "$SOURCE" >/dev/null || failed=$((failed + 1))
    done
    say "mutants $([[ $failed == 0 ]] && say ok || say failed): listed=${#names[@]} stale=$failed"
    [[ $failed == 0 ]]
}

print_list() {
    local name
    for name in "${names[@]}"; do
        printf '%-34s %-36s %s\n' "$name" "${file[$name]}" "${fault[$name]}"
    done
}

# The N names that come first when shuffled by the seed.
sample_of() {
    local count=$1 seed=$2 name
    for name in "${names[@]}"; do
        say "$(printf '%s %s' "$seed" "$name" | cksum | cut -d' ' -f1) $name"
    done | sort -n | head -n "$count" | cut -d' ' -f2
}

# ---------------------------------------------------------------- the copy

# What differs is copied with the time of now, so that ninja sees it.
copy_tree() {
    local path
    mkdir -p "$TREE/build" "$RESULTS"
    while IFS= read -r -d '' path; do
        cmp -s "$SOURCE/$path" "$TREE/$path" && continue
        mkdir -p "$TREE/$(dirname "$path")"
        cp "$SOURCE/$path" "$TREE/$path"
        touch "$TREE/$path"
    done < <(source_files "$SOURCE")
    while IFS= read -r -d '' path; do
        [[ -e $SOURCE/$path ]] || rm "$TREE/$path"
    done < <(source_files "$TREE")
    ln -sfn "$SOURCE/build/deps" "$TREE/build/deps"
}

source_files() {
    (cd "$1" && find . \( -path ./build -o -name .git \) -prune -o \( -type f -o -type l \) -print0)
}

build_all() {
    "$TREE/run" build "$KIND" >"$WORK/build.log" 2>&1
}

# Builds the program of a test command.
build_one() {
    local program=${1%% *}
    cmake --build "$TREE/build/$KIND" --target "$program" >"$WORK/build.log" 2>&1
}

# ---------------------------------------------------------------- one mutant

# A test command, from the folder it stands in: "test_x" or "fb-sim --seeds 1-4".
run_one() {
    local program arguments=()
    read -ra arguments <<<"$1"
    program=$TREE/build/$KIND/${arguments[0]}
    [[ -x $program ]] || program=$TREE/build/$KIND/tests/${arguments[0]}
    (cd "$WORK" && timeout -k 5 "$TEST_SECONDS" nice "$program" "${arguments[@]:1}") >"$WORK/test.log" 2>&1
}

hints_of() {
    tr ',' '\n' <<<"${tests[$1]}" | sed -E 's/^ +| +$//g' | grep -v '^$' || true
}

# A test that needs time may fail once on a busy machine: that kills nobody.
fails_twice() {
    ! run_one "$1" && ! run_one "$1"
}

left_out() {
    local name pattern=$NOT_A_KILLER
    for name in "${!unusable[@]}"; do
        pattern+="|\\.${name%% *}\$"
    done
    say "$pattern"
}

# The rest of ./run test; prints the first test that fails.
run_suite() {
    local log="$WORK/suite.log"
    timeout -k 5 "$SUITE_SECONDS" nice ctest --test-dir "$TREE/build/$KIND" --stop-on-failure -j "$jobs" \
        -E "$(left_out)" >"$log" 2>&1 && return 0
    sed -nE 's/^ +[0-9]+ - ([^ ]+) \(.*/\1/p' "$log" | head -n 1
}

# Sets `outcome` (killed, survived, broken) and `by`.
try_mutant() {
    local name=$1 hint
    outcome=survived by=''
    while IFS= read -r hint; do
        [[ -z ${unusable[$hint]:-} ]] || continue
        build_one "$hint" || { outcome=broken by="does not build: $(grep -m1 -E 'error|unknown target' "$WORK/build.log")" && return; }
        fails_twice "$hint" && outcome=killed by=$hint && return
    done < <(hints_of "$name")
    [[ $depth != hints ]] || return 0
    build_all || { outcome=broken by="does not build: $(grep -m1 error "$WORK/build.log")" && return; }
    by=$(run_suite)
    [[ -z $by ]] || { outcome=killed && return; }
    [[ $sim_seconds == 0 ]] || run_sim || outcome=killed
}

# The target alone; it begins with its seeds and the corpus that is kept.
try_planted() {
    outcome=broken by=${tests[$1]}
    if "$TREE/run" fuzz --target "$by" --seconds "$FUZZ_SECONDS" >"$WORK/build.log" 2>&1; then
        outcome=survived by=''
    elif grep -q '^  replay: ' "$WORK/build.log"; then
        outcome=killed by=fuzz-$by
    fi
    rm -rf "$TREE/build/fuzz/found" "$TREE/build/fuzz/corpus"
}

# Seeds in fives, until the time is used up.
run_sim() {
    local first=9 until=$((SECONDS + sim_seconds))
    while ((SECONDS < until)); do
        run_one "fb-sim --seeds $first-$((first + 4))" || { by="fb-sim --seeds $first-$((first + 4))" && return 1; }
        first=$((first + 5))
    done
}

# The copy's own file, which was put aside: the source may have changed meanwhile.
restore() {
    cp "$WORK/unchanged" "$TREE/${file[$1]}"
    touch "$TREE/${file[$1]}"
}

fingerprint() {
    printf '%s\n' "${file[$1]}" "${tests[$1]}" "${old[$1]}" "${new[$1]}" "$depth $sim_seconds" | cksum | tr ' ' '-'
}

# What an earlier run found, when it is continued.
known_result() {
    local print
    [[ $resume == yes && -r $RESULTS/$1 ]] || return 1
    IFS=$'\t' read -r print outcome by <"$RESULTS/$1"
    [[ $print == "$(fingerprint "$1")" ]]
}

one_mutant() {
    local name=$1 began=$SECONDS
    if ! known_result "$name"; then
        if mutant_text "$name" "$TREE" >"$WORK/changed"; then
            cp "$TREE/${file[$name]}" "$WORK/unchanged"
            cp "$WORK/changed" "$TREE/${file[$name]}"
            "$try" "$name"
            restore "$name"
        else
            outcome=broken by='does not apply (message above)'
        fi
        printf '%s\t%s\t%s\n' "$(fingerprint "$name")" "$outcome" "$by" >"$RESULTS/$name"
    fi
    printf '%-9s %-34s %4d s  %s\n' "$outcome" "$name" $((SECONDS - began)) "$by" >&"$progress"
}

# ---------------------------------------------------------------- all of them

# A test that fails without any mutant is left out, which can only leave more survivors.
check_unchanged() {
    local hint hints
    build_all || {
        tail -n 20 "$WORK/build.log" >&2
        misuse "the copy in $TREE does not build as it is: mend the build first"
    }
    hints=$(for name in "$@"; do hints_of "$name"; done | sort -u)
    while IFS= read -r hint; do
        [[ -z $hint ]] || ! fails_twice "$hint" || {
            warn "left out: $hint fails without any mutant, so it would kill all of them"
            unusable[$hint]=yes
        }
    done <<<"$hints"
}

json_text() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

print_json() {
    local name comma=''
    printf '{"killed":%d,"of":%d,"mutants":[' "$killed" "$#"
    for name in "$@"; do
        IFS=$'\t' read -r _ outcome by <"$RESULTS/$name"
        printf '%s\n{"name":%s,"file":%s,"fault":%s,"outcome":"%s","by":%s}' "$comma" "$(json_text "$name")" \
            "$(json_text "${file[$name]}")" "$(json_text "${fault[$name]}")" "$outcome" "$(json_text "$by")"
        comma=,
    done
    printf ']}\n'
}

run_mutants() {
    local name outcome by killed=0 broken=0 survivors=() progress=1
    [[ $json == no ]] || progress=2
    mkdir -p "$WORK"
    exec {lock}>"$WORK/lock"
    flock -n "$lock" || misuse "another run works in $WORK: wait for it, or end it"
    copy_tree
    export CMAKE_BUILD_PARALLEL_LEVEL=$jobs CCACHE_BASEDIR=$TREE CCACHE_NOHASHDIR=1
    ! command -v ccache >/dev/null || export CMAKE_C_COMPILER_LAUNCHER=ccache
    [[ $try == try_planted ]] || check_unchanged "$@"
    [[ $resume == yes ]] || rm -f "$RESULTS"/*
    for name in "$@"; do
        one_mutant "$name"
        case $outcome in
        killed) killed=$((killed + 1)) ;;
        broken) broken=$((broken + 1)) ;;
        *) survivors+=("$name") ;;
        esac
    done
    [[ $json == no ]] || print_json "$@"
    say "mutants: killed=$killed of=$#" >&"$progress"
    for name in "${survivors[@]}"; do
        say "  survivor: $name (${file[$name]}): ${fault[$name]}" >&"$progress"
    done
    [[ $broken == 0 ]] || warn "error: $broken mutants do not apply or do not build (see above): mend them"
    [[ $broken == 0 && $((killed * 100)) -ge $(($# * SHARE)) ]]
}

# planted-* are the fuzz targets', the others the suite's.
only_of_this_kind() {
    local name kept=()
    for name in "${names[@]}"; do
        if [[ $name == planted-* && $try == try_planted || $name != planted-* && $try != try_planted ]]; then
            kept+=("$name")
        fi
    done
    names=("${kept[@]}")
}

main() {
    local mode=run only=() sample='' seed=1 jobs=2 resume=no json=no depth=suite sim_seconds=60 try=try_mutant
    list_read "$SOURCE"/tests/mutants/*.mutant "$SOURCE"/tests/fuzz/planted.mutant
    while [[ $# -gt 0 ]]; do
        case $1 in
        --check) mode=check ;;
        --list) mode=list ;;
        --resume) resume=yes ;;
        --json) json=yes ;;
        --hints) depth=hints ;;
        --planted) try=try_planted ;;
        --only | --sample | --seed | --jobs | --sim)
            [[ $# -ge 2 ]] || misuse "$1 needs a value"
            case $1 in
            --only) only+=("$2") ;;
            --sample) sample=$2 ;;
            --seed) seed=$2 ;;
            --jobs) jobs=$2 ;;
            --sim) sim_seconds=$2 ;;
            esac
            shift
            ;;
        *) misuse "mutants does not know '$1'" ;;
        esac
        shift
    done
    case $mode in
    check) check_list && return ;;
    list) print_list && check_list && return ;;
    esac
    [[ $mode == run ]] || exit 1
    [[ $jobs =~ ^[1-9]$ && ${sample:-1} =~ ^[1-9][0-9]*$ && $sim_seconds =~ ^[0-9]+$ ]] ||
        misuse "--jobs, --sample and --sim take whole numbers"
    only_of_this_kind
    if [[ ${#only[@]} -gt 0 ]]; then
        for name in "${only[@]}"; do
            [[ -n ${file[$name]:-} ]] || misuse "there is no mutant '$name': ./run mutants --list names them"
        done
        names=("${only[@]}")
    elif [[ -n $sample ]]; then
        mapfile -t names < <(sample_of "$sample" "$seed")
        say "A sample of $sample by seed $seed: ${names[*]}"
    fi
    check_list >/dev/null || exit 1
    run_mutants "${names[@]}"
}

main "$@"

#!/usr/bin/env bash
# tidy.sh SOURCE_DIR BUILD_DIR - does the tree keep the rules of the house?
#
# Checks: who may include whom, third-party headers in their rooms, banned calls, sizes of functions
# and files, file headers, public headers as C11 and C++17, exported symbols, errors.def against
# error.h, README's path of a write, machine paths. Each breach is one line; any breach fails.
set -euo pipefail
root=$1
build=$2
cd "$root"
breaches=0
breach() {
    printf 'tidy: %s\n' "$*"
    breaches=$((breaches + 1))
}

# --- who may include whom: room -> prefixes its includes may have ---------------------------------
declare -A MAY=(
    [core/base]="base/ fieldbook/ schema/"
    [core/catalog]="base/ catalog/ wire/json.h fieldbook/ schema/"
    [core/rules]="base/ catalog/ rules/ fieldbook/ schema/"
    [core/sql]="base/ sql/ fieldbook/ schema/"
    [core/wire]="base/ catalog/ wire/ fieldbook/ schema/"
    [core/replica]="base/ catalog/ rules/ sql/ wire/ replica/ fieldbook/ schema/"
    [core/sync]="base/ wire/ sync/ replica/replica.h fieldbook/ schema/"
    [core/api]="base/ catalog/ rules/ sql/ wire/ replica/ sync/ api/ fieldbook/ schema/"
    [core/include/fieldbook]="fieldbook/"
    [sync-server/http]="base/ sync-server/http/ fieldbook/ schema/"
    [sync-server/store]="base/ catalog/ sql/ wire/ sync-server/store/ fieldbook/ schema/"
    [sync-server/ledger]="base/ catalog/ rules/ wire/ sync-server/store/ sync-server/ledger/ sync-server/feed/ fieldbook/ schema/"
    [sync-server/feed]="base/ catalog/ rules/ wire/ sync-server/store/ sync-server/feed/ fieldbook/ schema/"
    [sync-server/blob]="base/ catalog/ wire/ sync-server/store/ sync-server/feed/ sync-server/blob/ fieldbook/ schema/"
    [sync-server/door]="base/ catalog/ rules/ wire/ sync-server/store/ sync-server/ledger/ sync-server/door/ fieldbook/ schema/"
    [sync-server/decide]="base/ catalog/ rules/ wire/ sync-server/store/ sync-server/ledger/ sync-server/feed/ sync-server/decide/ fieldbook/ schema/"
    [sync-server/erase]="base/ catalog/ rules/ wire/ sync-server/ fieldbook/ schema/"
    [sync-server/intake]="base/ catalog/ rules/ wire/ sync-server/ fieldbook/ schema/"
    [sync-server/jobs]="base/ catalog/ rules/ wire/ sync-server/ fieldbook/ schema/"
    [sync-server/admin]="base/ catalog/ rules/ sql/ wire/ sync-server/ platform/posix/ fieldbook/ schema/"
    [sync-server]="base/ catalog/ rules/ wire/ sync-server/ fieldbook/ schema/"
    [platform/posix]="base/ platform/ sync-server/server.h sync-server/http/ fieldbook/ schema/"
    [platform/cli]="base/ platform/ fieldbook/ schema/"
)
check_includes() {
    local room file line allowed prefix ok
    for room in "${!MAY[@]}"; do
        for file in "$room"/*.[ch]; do
            [[ -e $file ]] || continue
            [[ $file == sync-server/main.c ]] && continue
            while IFS= read -r line; do
                ok=no
                for prefix in ${MAY[$room]}; do
                    [[ $line == "$prefix"* ]] && ok=yes
                done
                [[ $line == */* ]] || ok=yes # a neighbour in the same folder
                [[ $ok == yes ]] || breach "$file includes \"$line\", which its room may not know"
            done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include "\([^"]*\)".*/\1/p' "$file")
        done
    done
}

# --- third-party and system headers: pattern -> folders -------------------------------------------
only_in() {
    local pattern=$1 places=$2 file
    while IFS= read -r file; do
        [[ $file =~ ^($places) ]] || breach "$file includes <$pattern>: only $places may"
    done < <(grep -rlE "^[[:space:]]*#[[:space:]]*include <($pattern)" core platform sync-server --include='*.[ch]' || true)
}
check_third_party() {
    only_in 'sqlite3\.h' 'core/sql/'
    only_in 'curl/' 'platform/'
    only_in 'uv\.h|llhttp\.h|sys/socket\.h|netinet/' 'platform/'
    only_in 'mbedtls/|psa/' 'platform/|core/base/digest\.c|core/base/sign\.c|sync-server/feed/feed_sign\.c'
    only_in 'cjson/|cJSON' 'core/catalog/|core/wire/|core/api/|platform/'
    only_in 'zstd\.h' 'core/wire/pack\.c'
    only_in 'time\.h|sys/time\.h' 'platform/|sync-server/admin/'
    only_in 'stdio\.h' 'platform/|sync-server/admin/|sync-server/main\.c|core/|sync-server/'
    local file
    while IFS= read -r file; do
        breach "$file uses file streams: files belong to platform/ and the tools"
    done < <(grep -rlE '\b(fopen|fread|fwrite|freopen|popen|tmpfile)[[:space:]]*\(' core sync-server --include='*.c' |
        grep -v '^sync-server/admin/' || true)
}

# The judge of histories shares nothing with what it judges.
check_judge() {
    local hit libraries
    while IFS= read -r hit; do
        breach "the judge includes more than its own folder and the C library: $hit"
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' tests/check/*.[ch] |
        grep -vE 'include ("[a-z0-9_]+\.(h|def)"|<(stdarg|stdbool|stddef|stdint|stdio|stdlib|string)\.h>)' || true)
    if [[ -e $build/fb-check ]]; then
        libraries=$(nm "$build/fb-check" | grep -cE ' [Tt] (fb_|sqlite3_|server_|store_|catalog_|merge_|digest_)' || true)
        [[ $libraries == 0 ]] || breach "fb-check holds $libraries functions of the product"
    fi
}

check_banned() {
    local hit
    while IFS= read -r hit; do
        breach "banned call: $hit"
    done < <(grep -rnE '\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|atoi|atol|rand|strtok)[[:space:]]*\(' core platform sync-server --include='*.[ch]' || true)
    while IFS= read -r hit; do
        breach "floating point: $hit"
    done < <(grep -rnE '\b(double|float)[[:space:]]+[a-z_*]' core sync-server --include='*.[ch]' | grep -vE '^\S+:[0-9]+:[[:space:]]*(\*|/\*)|through|no (double|float)' || true)
    while IFS= read -r hit; do
        breach "unfinished: $hit"
    done < <(grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' core platform sync-server schema tests --include='*.[ch]' --include='*.json' --include='*.md' || true)
}

# Function length: from the opening brace in column 0 to the closing one.
check_sizes() {
    local hit
    while IFS= read -r hit; do
        breach "$hit"
    done < <(find core platform sync-server -name '*.c' -print0 | xargs -0 awk '
        FNR == 1 { start = 0; table = 0 }
        /^\{/ { start = FNR }
        /^\}/ && start { n = FNR - start + 1; if (n > 72) printf "%s:%d: a function of %d lines (70 at most)\n", FILENAME, start, n; start = 0 }
    ')
    local file lines
    while IFS= read -r file; do
        [[ $file == *_table.c ]] && continue
        lines=$(wc -l <"$file")
        ((lines <= 600)) || breach "$file has $lines lines (600 at most)"
    done < <(find core platform sync-server -name '*.[ch]')
}

check_file_headers() {
    local file
    while IFS= read -r file; do
        head -c 3 "$file" | grep -q '^/\*' || breach "$file does not open with what it is for"
    done < <(find core platform sync-server tests -name '*.[ch]')
}

check_public_headers() {
    local header object
    object=$(mktemp)
    for header in core/include/fieldbook/*.h; do
        echo "#include \"fieldbook/${header##*/}\"" | gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -Wstrict-prototypes \
            -Icore/include -x c -c -o "$object" - || breach "$header does not compile alone as C11"
        echo "#include \"fieldbook/${header##*/}\"" | g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -Wold-style-cast \
            -Icore/include -x c++ -c -o "$object" - || breach "$header does not compile alone as C++17"
    done
    rm -f "$object"
}

# The example in README compiles against the public headers and the posix port.
check_example() {
    local folder
    folder=$(mktemp -d)
    awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md >"$folder/example.c"
    if ! gcc -std=c11 -Wall -Wextra -Werror -Icore/include -I. -Icore -fsyntax-only "$folder/example.c"; then
        breach "README: the example does not compile"
    fi
    (($(wc -l <"$folder/example.c") > 20)) || breach "README: the example is missing"
    rm -rf "$folder"
}

check_exports() {
    local library=$build/libfieldbook.so name
    [[ -e $library ]] || { breach "libfieldbook.so was not built"; return; }
    while IFS= read -r name; do
        [[ $name == fb_* || $name == __* || $name == _init || $name == _fini ]] || breach "the library exports $name"
    done < <(nm -D --defined-only "$library" | awk '{print $3}')
    while IFS= read -r name; do
        grep -qx "$name" core/include/exports.list || breach "$name is exported but not in exports.list"
    done < <(nm -D --defined-only "$library" | awk '$3 ~ /^fb_/ {print $3}')
    while IFS= read -r name; do
        nm -D --defined-only "$library" | awk '{print $3}' | grep -qx "$name" || breach "exports.list names $name, which is not exported"
    done < <(grep -E '^fb_' core/include/exports.list)
}

check_errors() {
    local name number
    while IFS=, read -r name number _; do
        grep -qE "FB_$name = $number,?$" core/include/fieldbook/error.h || breach "errors.def: $name = $number is not in error.h"
    done < <(sed -nE 's/^X\(([A-Z_]+), ([0-9]+), .*/\1,\2/p' schema/errors.def)
}

# README's table of stations: `file: function` must exist.
check_path() {
    local file function
    while IFS=$'\t' read -r file function; do
        [[ -e $file ]] || { breach "README: the path names $file, which does not exist"; continue; }
        grep -qE "\b$function\b" "$file" || breach "README: $file has no $function"
    done < <(sed -nE 's/^\| *[0-9]+ *\|[^|]*\| *`([^:`]+): ([a-z_0-9]+)`.*/\1\t\2/p' README.md)
    (($(sed -nE 's/^\| *[0-9]+ *\|[^|]*\| *`([^:`]+): ([a-z_0-9]+)`.*/x/p' README.md | wc -l) >= 12)) ||
        breach "README: the path of a write names fewer than 12 stations"
}

check_places() {
    local hit
    while IFS= read -r hit; do
        breach "a machine's path: $hit"
    done < <(grep -rnE '(/home/|/root/)[a-z]' core platform sync-server schema tests README.md CHANGELOG.md run CMakeLists.txt .ci 2>/dev/null |
        grep -v '^tests/tidy/tidy.sh' || true)
}

check_includes
check_third_party
check_judge
check_banned
check_sizes
check_file_headers
check_public_headers
check_example
check_exports
check_errors
check_path
check_places
if ((breaches > 0)); then
    printf 'tidy: %d breaches\n' "$breaches"
    exit 1
fi
echo "tidy: ok"

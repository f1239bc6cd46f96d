/* cases.c - the judge judged: case files hold many small histories, each with what it breaks.
 *
 *   define NAME           lines up to "end" stand for "use NAME a b ..."; $1 $2 ... are its words
 *   end
 *   case NAME | I2 | idea in plain words         "-": breaks nothing. Two: I2 I5
 *   {"ev":...}            lines of the history, and
 *   use NAME a b ...
 *
 * The head of each history is made here. A case passes when exactly the named invariants break. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 6, WORDS_MAX = 12, LINE_BYTES_MAX = 1 << 16 };

typedef struct block {
    char *name;
    char **lines;
} block;

typedef struct running {
    cases *c;
    block *blocks;
    judge j;
    table traces;
    bool open;
    char name[120], breaks[60];
    bool expected[INVARIANTS];
    char first[700];
} running;

static void first_keep(void *ctx, int64_t line, check_name check, const char *detail)
{
    running *r = ctx;
    size_t used = strlen(r->first);
    if (used + 200 < sizeof r->first) {
        snprintf(r->first + used, sizeof r->first - used, "\n    line %lld: %s %s: %.120s",
                 (long long)line, invariant_id(check_invariant(check)), check_id(check), detail);
    }
}

static bool expected_read(running *r)
{
    char words[60];
    char *rest = words;
    memset(r->expected, 0, sizeof r->expected);
    snprintf(words, sizeof words, "%s", r->breaks);
    for (char *w = strsep(&rest, " "); w != NULL; w = strsep(&rest, " ")) {
        bool known = *w == '\0' || strcmp(w, "-") == 0;
        for (int i = 0; i < INVARIANTS; i++) {
            if (strcmp(w, invariant_id((invariant)i)) == 0) {
                r->expected[i] = known = true;
            }
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

static void case_end(running *r)
{
    if (!r->open) {
        return;
    }
    r->open = false;
    bool read = r->j.error[0] == '\0' && judge_end(&r->j);
    bool right = read && memcmp(r->expected, r->j.by_invariant, sizeof r->expected) == 0;
    bool clean = strcmp(r->breaks, "-") == 0;
    r->c->clean += clean;
    r->c->broken += !clean;
    for (int i = 0; i < INVARIANTS; i++) {
        r->c->per_invariant[i] += r->expected[i];
    }
    if (!right) {
        r->c->wrong++;
        if (!r->c->silent) {
            printf("%s: breaks %s, and the judge says:%s%s\n", r->name, r->breaks,
                   read ? (r->first[0] != '\0' ? r->first : " nothing is broken") : " ",
                   read ? "" : r->j.error);
        }
    }
    judge_free(&r->j);
    table_clear(&r->traces);
}

static void line_give(running *r, const char *line)
{
    if (r->c->print != NULL && strcmp(r->c->print, r->name) == 0) {
        puts(line);
    }
    if (r->open && r->j.error[0] == '\0') {
        judge_line(&r->j, (str){line, strlen(line)});
    }
}

/* case NAME | breaks | idea */
static bool case_begin(running *r, char *rest)
{
    char head[1000], *name = strsep(&rest, "|"), *breaks = strsep(&rest, "|");
    case_end(r);
    if (breaks == NULL || rest == NULL) {
        return false;
    }
    name[strcspn(name, " ")] = '\0';
    breaks += strspn(breaks, " ");
    while (*breaks != '\0' && breaks[strlen(breaks) - 1] == ' ') {
        breaks[strlen(breaks) - 1] = '\0';
    }
    rest += strspn(rest, " ");
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->breaks, sizeof r->breaks, "%s", breaks);
    r->first[0] = '\0';
    if (!expected_read(r)) {
        return false;
    }
    if (r->c->some && !r->expected[r->c->only]) {
        return true; /* what follows is given to nobody */
    }
    judge_begin(&r->j, r->name, &r->traces);
    memcpy(r->j.without, r->c->without, sizeof r->j.without);
    r->j.report = first_keep;
    r->j.report_ctx = r;
    r->open = true;
    snprintf(head, sizeof head,
             "{\"ev\":\"history\",\"v\":1,\"name\":\"%s\",\"breaks\":\"%s\",\"idea\":\"%s\"}", name,
             breaks, rest);
    line_give(r, head);
    return true;
}

static void substitute(const char *line, char *const *words, int count, char *out, size_t room)
{
    size_t n = 0;
    for (; *line != '\0' && n + 1 < room; line++) {
        int k = *line == '$' && line[1] >= '1' && line[1] <= '9' ? line[1] - '1' : -1;
        if (k < 0 || k >= count) {
            out[n++] = *line;
            continue;
        }
        n += (size_t)snprintf(out + n, room - n, "%s", words[k]);
        line++;
    }
    out[n < room ? n : room - 1] = '\0';
}

static bool give(running *r, char *line, int depth);

static bool use(running *r, char *rest, int depth)
{
    char *words[WORDS_MAX], *name = strsep(&rest, " ");
    int count = 0;
    while (rest != NULL && count < WORDS_MAX) {
        words[count++] = strsep(&rest, " ");
    }
    for (size_t i = 0; depth < DEPTH_MAX && i < array_count(r->blocks); i++) {
        if (strcmp(r->blocks[i].name, name) != 0) {
            continue;
        }
        for (size_t n = 0; n < array_count(r->blocks[i].lines); n++) {
            char *line = must_take(NULL, LINE_BYTES_MAX);
            substitute(r->blocks[i].lines[n], words, count, line, LINE_BYTES_MAX);
            bool done = give(r, line, depth + 1);
            free(line);
            if (!done) {
                return false;
            }
        }
        return true;
    }
    printf("%s: no block is called %s\n", r->name, name);
    return false;
}

static bool give(running *r, char *line, int depth)
{
    if (!r->open) {
        return true;
    }
    if (strncmp(line, "use ", 4) == 0) {
        return use(r, line + 4, depth);
    }
    line_give(r, line);
    return true;
}

static char *copy(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(must_take(NULL, n), text, n);
}

static bool file_line(running *r, char *line, bool *defining)
{
    if (*defining) {
        *defining = strcmp(line, "end") != 0;
        block *b = &r->blocks[array_count(r->blocks) - 1];
        if (*defining) {
            char *kept = copy(line);
            array_add(b->lines, kept);
        }
        return true;
    }
    if (line[0] == '\0' || line[0] == '#') {
        return true;
    }
    if (strncmp(line, "define ", 7) == 0) {
        const block made = {.name = copy(line + 7)};
        array_add(r->blocks, made);
        *defining = true;
        return true;
    }
    return strncmp(line, "case ", 5) == 0 ? case_begin(r, line + 5) : give(r, line, 0);
}

bool cases_file(cases *c, const char *path)
{
    static running r; /* its judge is large */
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool defining = false, fine = true;
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        fprintf(stderr, "check: %s cannot be opened\n", path);
        return false;
    }
    r.c = c;
    r.blocks = c->blocks;
    for (int at = 1; fine && (n = getline(&line, &room, in)) > 0; at++) {
        line[n - (line[n - 1] == '\n')] = '\0';
        fine = file_line(&r, line, &defining);
        if (!fine) {
            fprintf(stderr, "check: %s:%d: this line is no line of a case file\n", path, at);
        }
    }
    case_end(&r);
    c->blocks = r.blocks;
    free(line);
    fclose(in);
    return fine;
}

void cases_free(cases *c)
{
    block *blocks = c->blocks;
    for (size_t i = 0; i < array_count(blocks); i++) {
        for (size_t n = 0; n < array_count(blocks[i].lines); n++) {
            free(blocks[i].lines[n]);
        }
        array_free(blocks[i].lines);
        free(blocks[i].name);
    }
    array_free(blocks);
}

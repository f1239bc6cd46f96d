/* main.c - fb-check: judges histories; --cases judges the judge. See README.md. */
#include "cases.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_BROKEN = 1, EXIT_MISUSE = 2, SHOWN_MAX = 20 };

static const char HELP[] =
    "fb-check [OPTIONS] FILE...     says whether histories of Fieldbook keep every promise\n"
    "\n"
    "  FILE            a history (tests/check/README.md has the format); - is standard input.\n"
    "                  Of several, those of one seed and build must have one trace\n"
    "  --json          one JSON object a line: each violation, then the summary\n"
    "  --need I1,L1    these invariants must be judged in one of the files, not only not broken\n"
    "  --all           print every violation (otherwise the first 20 of a file)\n"
    "  --list          the checks: name, invariant, what is broken\n"
    "  --cases FILE... the files hold cases: each must break what it names, and nothing else\n"
    "  --without NAME  leave a check out (--cases shows then that it is needed)\n"
    "  --each          with --cases: leave out each check in turn; each must make a case fail\n"
    "  --print NAME    with --cases: the lines of that case\n"
    "\n"
    "Exit code 0: nothing is broken. 1: something is, or was not judged though needed.\n"
    "2: a file is no history, or the call makes no sense.\n";

typedef struct options {
    bool json, all, list, cases, each;
    bool need[INVARIANTS], without[CHECKS];
    const char *print;
    const char **files;
    table traces;              /* of all files */
    bool evidence[INVARIANTS]; /* in any file */
} options;

typedef struct printing {
    const options *o;
    const char *file;
    int64_t shown;
} printing;

static void json_print(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        if ((unsigned char)*text >= 0x20) {
            putchar(*text);
        }
    }
    putchar('"');
}

static void violation_print(void *ctx, int64_t line, check_name check, const char *detail)
{
    printing *p = ctx;
    const char *id = invariant_id(check_invariant(check));
    if (!p->o->all && p->shown++ >= SHOWN_MAX) {
        return;
    }
    if (!p->o->json) {
        printf("%s:%lld: %s %s: %s: %s\n", p->file, (long long)line, id, check_id(check),
               check_words(check), detail);
        return;
    }
    printf("{\"file\":");
    json_print(p->file);
    printf(",\"line\":%lld,\"invariant\":\"%s\",\"check\":\"%s\",\"text\":\"%s\",\"detail\":",
           (long long)line, id, check_id(check), check_words(check));
    json_print(detail);
    printf("}\n");
}

static bool file_read(judge *j, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool fine = true;
    while (fine && (n = getline(&line, &room, in)) > 0) {
        str text = {line, (size_t)n - (line[n - 1] == '\n')};
        fine = judge_line(j, text);
    }
    free(line);
    return fine && judge_end(j);
}

static int judged_count(const judge *j)
{
    int n = 0;
    for (int i = 0; i < INVARIANTS; i++) {
        n += j->evidence[i];
    }
    return n;
}

/* In the files up to this one; all that is needed must be judged by the last. */
static bool needs_met(const options *o)
{
    bool met = true;
    for (int i = 0; i < INVARIANTS; i++) {
        met = met && (!o->need[i] || o->evidence[i]);
    }
    return met;
}

static void not_judged_print(const judge *j, const options *o)
{
    const char *mark = "not judged: ";
    for (int i = 0; i < INVARIANTS; i++) {
        if (j->evidence[i]) {
            continue;
        }
        if (o->json) {
            printf("%s\"%s\"", strcmp(mark, ", ") == 0 ? "," : "", invariant_id((invariant)i));
        } else {
            printf("%s%s (needs %s)", mark, invariant_id((invariant)i),
                   invariant_needs((invariant)i));
        }
        mark = ", ";
    }
    if (!o->json && strcmp(mark, ", ") == 0) {
        putchar('\n');
    }
}

static void summary_print(const judge *j, const options *o, bool good)
{
    if (o->json) {
        printf("{\"file\":");
        json_print(j->file);
        printf(",\"ok\":%s,\"events\":%lld,\"devices\":%zu,\"violations\":%lld,\"judged\":%d,"
               "\"not_judged\":[",
               good ? "true" : "false", (long long)j->events, array_count(j->devices),
               (long long)j->violations, judged_count(j));
        not_judged_print(j, o);
        printf("]}\n");
        return;
    }
    not_judged_print(j, o);
    if (good) {
        printf("check ok: events=%lld devices=%zu invariants=%d/%d\n", (long long)j->events,
               array_count(j->devices), judged_count(j), INVARIANTS);
    } else {
        printf("check failed: violations=%lld events=%lld devices=%zu invariants=%d/%d%s\n",
               (long long)j->violations, (long long)j->events, array_count(j->devices),
               judged_count(j), INVARIANTS,
               j->violations > 0 ? "" : ", and not all that was needed was judged");
    }
}

static int file_judge(options *o, const char *path, bool last)
{
    static judge j;
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    printing p = {o, path, 0};
    if (in == NULL) {
        fprintf(stderr, "check: %s cannot be opened: is the path right?\n", path);
        return EXIT_MISUSE;
    }
    judge_begin(&j, path, &o->traces);
    memcpy(j.without, o->without, sizeof j.without);
    j.report = violation_print;
    j.report_ctx = &p;
    bool fine = file_read(&j, in);
    for (int i = 0; i < INVARIANTS; i++) {
        o->evidence[i] |= j.evidence[i];
    }
    bool good = j.violations == 0 && (!last || needs_met(o));
    if (!fine) {
        fprintf(stderr, "check: %s:%lld: %s\n", path, (long long)j.line, j.error);
    } else {
        summary_print(&j, o, good);
    }
    judge_free(&j);
    if (in != stdin) {
        fclose(in);
    }
    return !fine ? EXIT_MISUSE : good ? 0 : EXIT_BROKEN;
}

static bool cases_run(const options *o, cases *c)
{
    bool fine = true;
    memcpy(c->without, o->without, sizeof c->without);
    c->print = o->print;
    for (size_t i = 0; i < array_count(o->files); i++) {
        fine = cases_file(c, o->files[i]) && fine;
    }
    cases_free(c);
    c->blocks = NULL;
    return fine;
}

/* Without each check in turn: one that no case misses is not proven. Only cases of its own
 * invariant can miss it. */
static int each_judge(const options *o)
{
    int needless = 0;
    for (int i = 0; i < CHECKS; i++) {
        options one = *o;
        cases c = {.silent = true, .some = true, .only = check_invariant((check_name)i)};
        one.without[i] = true;
        if (!cases_run(&one, &c)) {
            return EXIT_MISUSE;
        }
        if (c.wrong == 0) {
            printf("no case needs the check %s\n", check_id((check_name)i));
            needless++;
        }
    }
    printf("%s: checks=%d needed=%d\n", needless == 0 ? "check mutants ok" : "check mutants failed",
           CHECKS, CHECKS - needless);
    return needless == 0 ? 0 : EXIT_BROKEN;
}

static int cases_judge(const options *o)
{
    cases c = {0};
    int thin = 0;
    if (!cases_run(o, &c)) {
        return EXIT_MISUSE;
    }
    if (o->print != NULL) {
        return 0;
    }
    for (int i = 0; i < INVARIANTS; i++) {
        if (c.per_invariant[i] < 3) {
            printf("%s has only %d broken cases\n", invariant_id((invariant)i), c.per_invariant[i]);
            thin++;
        }
    }
    printf("%s: broken=%d clean=%d wrong=%d\n", c.wrong + thin == 0 ? "cases ok" : "cases failed",
           c.broken, c.clean, c.wrong);
    return c.wrong + thin == 0 ? 0 : EXIT_BROKEN;
}

static void list_print(void)
{
    for (int i = 0; i < CHECKS; i++) {
        printf("%-4s %-24s %s\n", invariant_id(check_invariant((check_name)i)),
               check_id((check_name)i), check_words((check_name)i));
    }
}

static bool need_read(options *o, char *words)
{
    for (char *w = strsep(&words, ","); w != NULL; w = strsep(&words, ",")) {
        bool known = false;
        for (int i = 0; i < INVARIANTS; i++) {
            if (strcmp(w, invariant_id((invariant)i)) == 0) {
                o->need[i] = known = true;
            }
        }
        if (!known) {
            fprintf(stderr, "check: there is no invariant '%s': I1 to I18, L1 to L3\n", w);
            return false;
        }
    }
    return true;
}

static bool without_read(options *o, const char *name)
{
    for (int i = 0; i < CHECKS; i++) {
        if (strcmp(name, check_id((check_name)i)) == 0) {
            o->without[i] = true;
            return true;
        }
    }
    fprintf(stderr, "check: there is no check '%s' (see --list)\n", name);
    return false;
}

static bool options_read(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool more = i + 1 < argc;
        if (strcmp(a, "--json") == 0) {
            o->json = true;
        } else if (strcmp(a, "--all") == 0) {
            o->all = true;
        } else if (strcmp(a, "--list") == 0) {
            o->list = true;
        } else if (strcmp(a, "--cases") == 0) {
            o->cases = true;
        } else if (strcmp(a, "--each") == 0) {
            o->each = true;
        } else if (strcmp(a, "--print") == 0 && more) {
            o->print = argv[++i];
        } else if (strcmp(a, "--need") == 0 && more) {
            if (!need_read(o, argv[++i])) {
                return false;
            }
        } else if (strcmp(a, "--without") == 0 && more) {
            if (!without_read(o, argv[++i])) {
                return false;
            }
        } else if (a[0] == '-' && a[1] != '\0') {
            fprintf(stderr, "check: '%s' is no option, or its value is missing (see --help)\n", a);
            return false;
        } else {
            array_add(o->files, a);
        }
    }
    return true;
}

static int run(options *o)
{
    int worst = 0;
    if (o->list) {
        list_print();
        return 0;
    }
    if (array_count(o->files) == 0) {
        fprintf(stderr, "check: which file? (see --help)\n");
        return EXIT_MISUSE;
    }
    if (o->cases) {
        return o->each ? each_judge(o) : cases_judge(o);
    }
    for (size_t i = 0; i < array_count(o->files); i++) {
        int code = file_judge(o, o->files[i], i + 1 == array_count(o->files));
        worst = code > worst ? code : worst;
    }
    table_clear(&o->traces);
    return worst;
}

int main(int argc, char **argv)
{
    options o = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(HELP, stdout);
            return 0;
        }
    }
    int code = options_read(&o, argc, argv) ? run(&o) : EXIT_MISUSE;
    array_free(o.files);
    return code;
}

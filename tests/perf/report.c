/* report.c - see bench.h: the table beside its floors, and the same as JSON. */
#include "perf/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "wire/json.h"

enum { FIGURES_MAX = 160, NAME_BYTES = 72 };

typedef struct line {
    figure f;
    char name[NAME_BYTES];
    int64_t value_milli, floor_milli; /* of the unit shown */
    int64_t ratio_milli;              /* 0: no floor */
    bool good;
} line;

static line lines[FIGURES_MAX];
static uint32_t lines_count;
static const char *workload_before = "";

static const char *unit_name(unit u)
{
    static const char *const NAMES[] = {"ms", "s", "", "/s", "B", "KiB", "x"};
    return NAMES[u];
}

int64_t per_milli(int64_t value, int64_t count)
{
    int64_t out = 0;
    return count > 0 && mul_div_round(value, 1000, 1, count, &out) ? out : 0;
}

/* Thousandths of the unit shown. */
static int64_t shown_milli(unit u, int64_t v)
{
    switch (u) {
    case UNIT_MS:
        return v / 1000;
    case UNIT_SECONDS:
        return v / 1000000;
    case UNIT_RATIO:
    case UNIT_BYTES:
        return v;
    default:
        return v * 1000;
    }
}

static bool is_good(const line *l)
{
    switch (l->f.goal) {
    case GOAL_RATIO_MAX:
        return l->ratio_milli <= l->f.target_milli;
    case GOAL_RATIO_MIN:
        return l->ratio_milli >= l->f.target_milli;
    case GOAL_VALUE_MAX:
        return l->value_milli <= l->f.target_milli;
    default:
        return true;
    }
}

static void milli_text(int64_t milli, char out[32])
{
    unsigned long long size = (unsigned long long)(milli < 0 ? -milli : milli);
    if (size >= 100000) {
        snprintf(out, 32, "%lld", (long long)((milli + 500) / 1000));
    } else {
        snprintf(out, 32, "%s%llu.%0*llu", milli < 0 ? "-" : "", size / 1000, size >= 10000 ? 1 : 3,
                 size >= 10000 ? size % 1000 / 100 : size % 1000);
    }
}

static void line_print(const line *l)
{
    char value[32], floor[32] = "", ratio[32] = "", target[32] = "", wish[32] = "";
    milli_text(l->value_milli, value);
    if (l->f.floor != 0) {
        milli_text(l->floor_milli, floor);
        milli_text(l->ratio_milli, ratio);
    }
    if (l->f.goal != GOAL_NONE) {
        milli_text(l->f.target_milli, target);
    }
    if (l->f.wish_milli != 0) {
        milli_text(l->f.wish_milli, wish);
    }
    if (strcmp(workload_before, l->f.workload) != 0) {
        printf("\n%-3s %-46s %12s %12s %9s  %-9s %-8s\n", l->f.workload, "", "ours", "floor",
               "ratio", "target", "aim");
        workload_before = l->f.workload;
    }
    const char *sign = l->f.goal == GOAL_NONE ? "" : l->good ? "ok" : "MISSED";
    printf("    %-43s %-3s %12s %12s %9s  %s%-8s %-8s %s\n", l->name, unit_name(l->f.unit), value,
           floor, ratio,
           l->f.goal == GOAL_NONE        ? " "
           : l->f.goal == GOAL_RATIO_MIN ? ">"
                                         : "<",
           target, wish, sign);
    fflush(stdout);
}

void report_add(const figure *f)
{
    if (lines_count == FIGURES_MAX) {
        bench_die("more than %d figures", FIGURES_MAX);
    }
    line *l = &lines[lines_count++];
    l->f = *f;
    snprintf(l->name, sizeof l->name, "%s", f->name);
    l->value_milli = shown_milli(f->unit, f->value);
    l->floor_milli = shown_milli(f->unit, f->floor);
    l->ratio_milli = f->floor == 0 ? 0 : per_milli(f->value, f->floor);
    l->good = is_good(l);
    line_print(l);
}

void report_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("    ", stdout);
    vprintf(format, args);
    fputc('\n', stdout);
    fflush(stdout);
    va_end(args);
}

/* Numbers go out as decimals, which strict JSON of ours has no writer for. */
static void number_put(buf *out, const char *key, int64_t milli, bool there)
{
    buf_printf(out, ", \"%s\": ", key);
    if (there) {
        decimal_put(out, milli, 3, true);
    } else {
        buf_put_str(out, "null");
    }
}

static void line_put(buf *out, const line *l)
{
    buf_printf(out, "{\"workload\": \"%s\", \"case\": \"%s\"", l->f.workload, l->name);
    number_put(out, "value", l->value_milli, true);
    buf_printf(out, ", \"unit\": \"%s\"", unit_name(l->f.unit));
    number_put(out, "floor", l->floor_milli, l->f.floor != 0);
    number_put(out, "ratio", l->ratio_milli, l->f.floor != 0);
    number_put(out, "target", l->f.target_milli, l->f.goal != GOAL_NONE);
    buf_printf(out, ", \"ok\": %s}", l->good ? "true" : "false");
}

static void json_write(const char *path)
{
    buf out;
    buf_init(&out, 1 << 20);
    buf_put_str(&out, "[\n");
    for (uint32_t i = 0; i < lines_count; i++) {
        line_put(&out, &lines[i]);
        buf_put_str(&out, i + 1 < lines_count ? ",\n" : "\n");
    }
    buf_put_str(&out, "]\n");
    FILE *f = fopen(path, "wb");
    bool good = f != NULL && out.code == FB_OK && fwrite(out.data, 1, out.size, f) == out.size;
    if (f == NULL || fclose(f) != 0 || !good) {
        bench_die("cannot write %s", path);
    }
    buf_clear(&out);
}

uint32_t report_end(const bench *b)
{
    uint32_t missed = 0, judged = 0;
    for (uint32_t i = 0; i < lines_count; i++) {
        judged += lines[i].f.goal != GOAL_NONE;
        missed += !lines[i].good;
    }
    if (b->json_path != NULL) {
        json_write(b->json_path);
    }
    printf("\n%u of %u targets met\n", judged - missed, judged);
    return missed;
}

/* show.c - JSON results as text for people: lists of flat objects as a table, everything else
 * indented.
 *
 * The JSON comes from our own library and is well formed. Control characters never reach the
 * terminal. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { COLUMNS_MAX = 40, CELL_WIDTH_MAX = 48, INDENT = 2 };

/* --- walking ---------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
    for (p++; *p != '"' && *p != '\0'; p++) {
        p += *p == '\\' && p[1] != '\0';
    }
    return *p == '"' ? p + 1 : p;
}

static const char *skip_value(const char *p)
{
    int depth = 0;

    p = skip_blanks(p);
    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        if (depth == 0 && strchr("}]", *p) == NULL) {
            return p + strcspn(p, ",}] \t\r\n");
        }
        p += *p != '\0';
    } while (depth > 0 && *p != '\0');
    return p;
}

/* The next member of an object or item of an array; false at its end. */
static bool next_item(const char **at)
{
    *at = skip_blanks(*at);
    *at += **at == ',';
    *at = skip_blanks(*at);
    return **at != '}' && **at != ']' && **at != '\0';
}

/* --- texts ------------------------------------------------------------------------------------ */

static unsigned long code_point(const char **at)
{
    const unsigned char *p = (const unsigned char *)*at;
    int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
    unsigned long c = more == 0 ? *p : *p & (0x3FU >> more);

    for (p++; more > 0 && (*p & 0xC0) == 0x80; more--, p++) {
        c = c << 6 | (*p & 0x3FU);
    }
    *at = (const char *)p;
    return c;
}

static int width_of(unsigned long c)
{
    bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                (c >= 0x20000 && c <= 0x3FFFD);
    return wide ? 2 : 1;
}

static int text_width(const char *text)
{
    int width = 0;

    while (*text != '\0') {
        width += width_of(code_point(&text));
    }
    return width;
}

static unsigned hex4(const char *p)
{
    char digits[5] = {p[0], p[1], p[2], p[3], '\0'};

    return (unsigned)strtoul(digits, NULL, 16);
}

static void put_escape(FILE *out, const char **at)
{
    char kind = (*at)[1];

    *at += 2;
    if (kind == 'u') {
        unsigned c = hex4(*at);
        *at += 4;
        fputc(c >= 0x20 && c < 0x7F ? (int)c : ' ', out);
    } else {
        fputc(kind == '"' || kind == '\\' || kind == '/' ? kind : ' ', out);
    }
}

/* A scalar as plain text; the caller frees. */
static char *scalar_text(const char *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    p = skip_blanks(p);
    if (*p != '"') {
        const char *end = skip_value(p);
        if (strncmp(p, "null", 4) != 0) {
            fprintf(out, "%.*s", (int)(end - p), p);
        }
    } else {
        for (p++; *p != '"' && *p != '\0';) {
            if (*p == '\\') {
                put_escape(out, &p);
            } else {
                fputc((unsigned char)*p < 0x20 || *p == 0x7F ? ' ' : *p, out);
                p++;
            }
        }
    }
    (void)fclose(out);
    return text;
}

static bool is_tree(const char *p)
{
    p = skip_blanks(p);
    return *p == '{' || *p == '[';
}

/* --- what is shown ---------------------------------------------------------------------------- */

static bool is_named(const char *key, size_t size, const char *name)
{
    return strlen(name) == size && memcmp(key, name, size) == 0;
}

/* Texts in two languages ("text", "text_zh"): only the person's is shown. `key` is a JSON string.
 */
static bool is_hidden(const cli *c, const char *key)
{
    static const char *const TWICE[] = {"text", "cure", "label"};
    const char *end = skip_string(key);
    size_t size = end > key + 2 ? (size_t)(end - key - 2) : 0;
    bool zh = strcmp(c->lang, "zh") == 0;

    key++;
    if (size > 3 && memcmp(key + size - 3, "_zh", 3) == 0) {
        return !zh;
    }
    for (size_t i = 0; zh && i < sizeof TWICE / sizeof TWICE[0]; i++) {
        if (is_named(key, size, TWICE[i])) {
            return true;
        }
    }
    return false;
}

static bool is_null(const char *value)
{
    return strncmp(skip_blanks(value), "null", 4) == 0;
}

/* --- indented --------------------------------------------------------------------------------- */

static void show_value(const cli *c, const char *p, int depth);

static void show_scalar(const char *p)
{
    char *text = scalar_text(p);

    printf("%s\n", text == NULL ? "" : text);
    free(text);
}

static bool is_empty_tree(const char *p)
{
    p = skip_blanks(skip_blanks(p) + 1);
    return *p == '}' || *p == ']';
}

/* A value behind its key or dash, on the same line or below. */
static void show_item(const cli *c, const char *value, int depth)
{
    if (!is_tree(value)) {
        printf(" ");
        show_scalar(value);
    } else if (is_empty_tree(value)) {
        printf(" -\n");
    } else {
        printf("\n");
        show_value(c, value, depth + 1);
    }
}

static void show_object(const cli *c, const char *p, int depth)
{
    for (p++; next_item(&p);) {
        const char *value = skip_blanks(skip_string(p)) + 1;
        if (!is_hidden(c, p) && !is_null(value)) {
            char *key = scalar_text(p);
            printf("%*s%s:", depth * INDENT, "", key == NULL ? "" : key);
            free(key);
            show_item(c, value, depth);
        }
        p = skip_value(value);
    }
}

static void show_array(const cli *c, const char *p, int depth)
{
    for (p++; next_item(&p); p = skip_value(p)) {
        printf("%*s-", depth * INDENT, "");
        show_item(c, p, depth);
    }
}

static void show_value(const cli *c, const char *p, int depth)
{
    p = skip_blanks(p);
    if (*p == '{') {
        show_object(c, p, depth);
    } else if (*p == '[') {
        show_array(c, p, depth);
    } else {
        show_scalar(p);
    }
}

/* --- table ------------------------------------------------------------------------------------ */

typedef struct table {
    char *names[COLUMNS_MAX];
    int widths[COLUMNS_MAX];
    int columns;
} table;

/* Every row an object of scalars, with the columns of the first. */
static bool is_flat_row(const char *row)
{
    row = skip_blanks(row);
    if (*row != '{') {
        return false;
    }
    for (row++; next_item(&row);) {
        row = skip_blanks(skip_string(row)) + 1;
        if (is_tree(row)) {
            return false;
        }
        row = skip_value(row);
    }
    return true;
}

static bool is_table(const char *json)
{
    json = skip_blanks(json);
    if (*json != '[' || is_empty_tree(json)) {
        return false;
    }
    for (json++; next_item(&json); json = skip_value(json)) {
        if (!is_flat_row(json)) {
            return false;
        }
    }
    return true;
}

static int column_of(const table *t, const char *name)
{
    for (int i = 0; i < t->columns; i++) {
        if (strcmp(t->names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static void widen(table *t, const char *name_json, const char *value)
{
    char *name = scalar_text(name_json);
    char *text = scalar_text(value);
    int column = name == NULL ? -1 : column_of(t, name);
    int width = text == NULL ? 0 : text_width(text);

    if (column < 0 && name != NULL && t->columns < COLUMNS_MAX) {
        column = t->columns++;
        t->names[column] = name;
        t->widths[column] = text_width(name);
        name = NULL;
    }
    if (column >= 0 && width > t->widths[column]) {
        t->widths[column] = width < CELL_WIDTH_MAX ? width : CELL_WIDTH_MAX;
    }
    free(name);
    free(text);
}

static void measure(const cli *c, table *t, const char *json)
{
    for (json = skip_blanks(json) + 1; next_item(&json); json = skip_value(json)) {
        const char *p = skip_blanks(json) + 1;
        while (next_item(&p)) {
            const char *value = skip_blanks(skip_string(p)) + 1;
            if (!is_hidden(c, p)) {
                widen(t, p, value);
            }
            p = skip_value(value);
        }
    }
}

static void put_cell(const char *text, int width, bool last)
{
    int used = text_width(text);

    if (last) {
        printf("%s\n", text);
        return;
    }
    printf("%s%*s", text, used < width ? width - used + 2 : 2, "");
}

static char *cell_of(const char *row, const char *name)
{
    const char *p = skip_blanks(row) + 1;

    while (next_item(&p)) {
        char *key = scalar_text(p);
        const char *value = skip_blanks(skip_string(p)) + 1;
        bool found = key != NULL && strcmp(key, name) == 0;
        free(key);
        if (found) {
            return scalar_text(value);
        }
        p = skip_value(value);
    }
    return NULL;
}

static void show_table(const cli *c, const char *json)
{
    table t = {.columns = 0};

    measure(c, &t, json);
    for (int i = 0; i < t.columns; i++) {
        put_cell(t.names[i], t.widths[i], i + 1 == t.columns);
    }
    for (json = skip_blanks(json) + 1; next_item(&json); json = skip_value(json)) {
        for (int i = 0; i < t.columns; i++) {
            char *text = cell_of(json, t.names[i]);
            put_cell(text == NULL ? "" : text, t.widths[i], i + 1 == t.columns);
            free(text);
        }
    }
    for (int i = 0; i < t.columns; i++) {
        free(t.names[i]);
    }
}

void show_json(const cli *c, const char *json)
{
    if (c->json) {
        printf("%s\n", json);
    } else if (is_table(json)) {
        show_table(c, json);
    } else if (is_tree(json) && is_empty_tree(json)) {
        printf("%s\n", say(c, TEXT_NOTHING));
    } else {
        show_value(c, json, 0);
    }
}

/* error.c - the error table, expanded from schema/errors.def; filling an error; ending on a bug.
 *
 * The bug hook is the one variable of core that changes: it is set once by a program's main, and
 * is atomic so that a late setter harms nobody. */
#include "fieldbook/error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

typedef struct error_row {
    fb_code code;
    fb_class class_;
    int http;
    const char *name, *text_en, *text_zh;
} error_row;

static const error_row ERRORS[] = {
#define X(name, number, class_, http, en, zh) \
    {(fb_code)(number), FB_CLASS_##class_, http, #name, en, zh},
#include "schema/errors.def"
#undef X
};

/* The public enum and the table are two writings of one list: a difference does not compile. */
#define X(name, number, class_, http, en, zh) \
    _Static_assert(FB_##name == (number), "error.h and errors.def differ: " #name);
#include "schema/errors.def"
#undef X

static const error_row UNKNOWN = {
    FB_E_BUG,          FB_CLASS_BUG, 500, "E_UNKNOWN", "unknown error: please report it",
    "未知错误，请报告"};

static const error_row *error_row_of(fb_code code)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        if (ERRORS[i].code == code) {
            return &ERRORS[i];
        }
    }
    return &UNKNOWN;
}

const char *fb_code_name(fb_code code)
{
    return error_row_of(code)->name;
}

fb_class fb_code_class(fb_code code)
{
    return error_row_of(code)->class_;
}

bool code_is_machines(fb_code code)
{
    fb_class c = fb_code_class(code);
    return (c == FB_CLASS_RETRY || c == FB_CLASS_STORAGE) && code != FB_E_CORRUPT;
}

int fb_code_http(fb_code code)
{
    return error_row_of(code)->http;
}

const char *fb_code_text(fb_code code, const char *lang)
{
    const error_row *row = error_row_of(code);
    bool chinese = lang != NULL && strncmp(lang, "zh", 2) == 0;
    return chinese ? row->text_zh : row->text_en;
}

fb_code fb_code_from_name(const char *name, size_t size_bytes)
{
    for (size_t i = 0; name != NULL && i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        const char *known = ERRORS[i].name;
        if (strlen(known) == size_bytes && memcmp(known, name, size_bytes) == 0) {
            return ERRORS[i].code;
        }
    }
    return FB_E_BUG;
}

/* A text that was cut may end inside a character: cut it back to the last whole one. */
static void text_end_whole(char *text)
{
    size_t n = strlen(text);
    size_t tail = 0;
    while (tail < n && tail < 4 && ((unsigned char)text[n - 1 - tail] & 0xC0) == 0x80) {
        tail++;
    }
    if (tail == n) {
        return;
    }
    unsigned char lead = (unsigned char)text[n - 1 - tail];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (tail < want) {
        text[n - 1 - tail] = '\0';
    }
}

fb_code fail(fb_error *err, fb_code code, const char *field, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    fb_error made;
    memset(&made, 0, sizeof made);
    made.code = code;
    snprintf(made.field, sizeof made.field, "%s", field != NULL ? field : "");
    va_list args;
    va_start(args, format);
    vsnprintf(made.message, sizeof made.message, format, args);
    va_end(args);
    text_end_whole(made.field);
    text_end_whole(made.message);
    *err = made; /* last: field or an argument may point into *err */
    return code;
}

static _Atomic(bug_hook) hook_now;

void bug_hook_set(bug_hook hook)
{
    atomic_store(&hook_now, hook);
}

void fb_bug_hook_set(fb_bug_hook hook)
{
    bug_hook_set(hook);
}

_Noreturn void bug_report(const char *expr, const char *file, int line)
{
    bug_hook hook = atomic_load(&hook_now);
    if (hook != NULL) {
        hook(expr, file, line);
    }
    abort();
}

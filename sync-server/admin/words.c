/* words.c - what every command of fieldbook-admin shares: its texts in two languages, its options.
 * See admin.h. */
#include <stdarg.h>
#include <string.h>

#include "sync-server/admin/admin.h"
#include "sync-server/server.h"

static const char *const TEXT_EN[] = {
#define X(name, en, zh) en,
#include "sync-server/admin/text.def"
#undef X
};
static const char *const TEXT_ZH[] = {
#define X(name, en, zh) zh,
#include "sync-server/admin/text.def"
#undef X
};

const char *admin_text(const admin *a, text_id id)
{
    return a->chinese ? TEXT_ZH[id] : TEXT_EN[id];
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void admin_say(const admin *a, text_id id, ...)
{
    if (a->json) {
        return;
    }
    va_list args;
    va_start(args, id);
    vprintf(admin_text(a, id), args);
    va_end(args);
}

void admin_warn(const admin *a, text_id id, ...)
{
    va_list args;
    va_start(args, id);
    fputs("fieldbook-admin: ", stderr);
    vfprintf(stderr, admin_text(a, id), args);
    fputc('\n', stderr);
    va_end(args);
}
#pragma GCC diagnostic pop

int admin_failed(const admin *a, fb_code code, const fb_error *err)
{
    bool told = err != NULL && err->code == code && err->message[0] != '\0';
    fprintf(stderr, "fieldbook-admin: %s (%s)", fb_code_text(code, a->chinese ? "zh" : "en"),
            fb_code_name(code));
    if (told && err->field[0] != '\0') {
        fprintf(stderr, ": %s", err->field);
    }
    if (told) {
        fprintf(stderr, ": %s", err->message);
    }
    fputc('\n', stderr);
    return fb_code_class(code) == FB_CLASS_USER ? EXIT_REFUSED : EXIT_FAILED;
}

static void arguments_drop(admin *a, int at, int count)
{
    memmove(&a->argv[at], &a->argv[at + count], (size_t)(a->argc - at - count) * sizeof *a->argv);
    a->argc -= count;
}

const char *option_take(admin *a, const char *name)
{
    for (int i = 0; i + 1 < a->argc; i++) {
        if (strcmp(a->argv[i], name) == 0 && strncmp(a->argv[i + 1], "--", 2) != 0) {
            const char *value = a->argv[i + 1];
            arguments_drop(a, i, 2);
            return value;
        }
    }
    return NULL;
}

bool flag_take(admin *a, const char *name)
{
    for (int i = 0; i < a->argc; i++) {
        if (strcmp(a->argv[i], name) == 0) {
            arguments_drop(a, i, 1);
            return true;
        }
    }
    return false;
}

/* "--name VALUE" stands in the command's usage. */
static bool takes_value(const char *usage, const char *option)
{
    size_t size = strlen(option);
    const char *at = usage != NULL ? strstr(usage, option) : NULL;
    while (at != NULL && at[size] != ' ' && at[size] != ']' && at[size] != '\0') {
        at = strstr(at + size, option);
    }
    return at != NULL && at[size] == ' ' && at[size + 1] != '[' && at[size + 1] != '|';
}

bool options_left(admin *a)
{
    for (int i = 0; i < a->argc; i++) {
        if (strncmp(a->argv[i], "--", 2) == 0) {
            bool bare = takes_value(a->usage, a->argv[i]);
            admin_warn(a, bare ? TEXT_OPTION_VALUE : TEXT_UNKNOWN_OPTION, a->argv[i], a->command);
            return true;
        }
    }
    return false;
}

int admin_no_company(const admin *a)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/master.db", a->home);
    admin_warn(a, server_restore_was_cut(path) ? TEXT_RESTORE_CUT : TEXT_NO_COMPANY, a->home);
    return EXIT_FAILED;
}

/* say.c - texts in two languages, and how a failure is told. See cli.h. */
#include <string.h>

#include "cli.h"

static const struct {
    const char *en, *zh;
} TEXTS[TEXT_COUNT] = {
#define X(name, en, zh) [TEXT_##name] = {en, zh},
#include "text.def"
#undef X
};

const char *say(const cli *c, cli_text t)
{
    return strcmp(c->lang, "zh") == 0 ? TEXTS[t].zh : TEXTS[t].en;
}

static int exit_code_of(fb_code code)
{
    if (code == FB_E_OFFLINE || code == FB_E_TIMEOUT || code == FB_E_TLS) {
        return EXIT_OFFLINE;
    }
    if (code == FB_E_NOT_FOUND || code == FB_E_FORBIDDEN || code == FB_E_SCOPE ||
        code == FB_E_CODE || fb_code_class(code) == FB_CLASS_USER) {
        return EXIT_REFUSED;
    }
    return EXIT_FAILED;
}

int report(const cli *c, const fb_error *err)
{
    if (c->json) {
        fprintf(stderr, "{\"error\":\"%s\",\"field\":", fb_code_name(err->code));
        put_json_string(stderr, err->field);
        fputs(",\"message\":", stderr);
        put_json_string(stderr, err->message);
        fputs(",\"text\":", stderr);
        put_json_string(stderr, fb_code_text(err->code, c->lang));
        fputs("}\n", stderr);
    } else {
        bool named = err->field[0] != '\0' && strcmp(err->field, "server") != 0;
        fprintf(stderr, "fieldbook: %s: %s%s%s\n", fb_code_name(err->code),
                fb_code_text(err->code, c->lang), named ? ": " : "", named ? err->field : "");
        if (strcmp(err->message, fb_code_text(err->code, "en")) != 0) {
            fprintf(stderr, "           %s\n", err->message);
        }
    }
    return exit_code_of(err->code);
}

int usage_error(const cli *c, cli_text t, const char *what)
{
    fprintf(stderr, "fieldbook: %s%s%s\n", what == NULL ? "" : what, what == NULL ? "" : ": ",
            say(c, t));
    return EXIT_USAGE;
}

/* args.c - argv becomes the JSON arguments of a command. See cli.h.
 *
 * Everything travels as a text: the library knows the columns and reads decimals, dates and codes
 * itself. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { NAME_BYTES = 64 };

const char *option(const cli *c, const char *name)
{
    for (int i = c->options_count - 1; i >= 0; i--) {
        if (strcmp(c->options[i].name, name) == 0) {
            return c->options[i].value;
        }
    }
    return NULL;
}

bool options_only(const cli *c, const char *names)
{
    for (int i = 0; i < c->options_count; i++) {
        const char *name = c->options[i].name;
        size_t size = strlen(name);
        const char *p = names;
        while (*p != '\0' && (strncmp(p, name, size) != 0 || (p[size] != ' ' && p[size] != '\0'))) {
            p += strcspn(p, " ");
            p += strspn(p, " ");
        }
        if (*p == '\0' || size == 0) {
            (void)usage_error(c, TEXT_NO_OPTION, name);
            return false;
        }
    }
    return true;
}

bool is_flag(const char *name)
{
    static const char *const FLAGS[] = {"mock",  "free", "all",   "continue",  "wait",    "json",
                                        "quiet", "help", "again", "thumbnail", "no-files"};

    for (size_t i = 0; i < sizeof FLAGS / sizeof FLAGS[0]; i++) {
        if (strcmp(FLAGS[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void put_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char b = (unsigned char)*p;
        if (b == '"' || b == '\\') {
            fprintf(out, "\\%c", b);
        } else if (b < 0x20) {
            fprintf(out, "\\u%04x", b);
        } else {
            fputc(b, out);
        }
    }
    fputc('"', out);
}

static void put_key(FILE *out, bool *first, const char *name)
{
    char key[NAME_BYTES];
    size_t size = strnlen(name, sizeof key - 1);

    for (size_t i = 0; i < size; i++) {
        key[i] = name[i] == '-' ? '_' : name[i];
    }
    key[size] = '\0';
    fputs(*first ? "" : ",", out);
    *first = false;
    put_json_string(out, key);
    fputc(':', out);
}

static void put_json_text(FILE *out, const char *text, size_t size)
{
    char *copy = strndup(text, size);

    put_json_string(out, copy == NULL ? "" : copy);
    free(copy);
}

/* column=value ... , or one JSON object as it is. */
static bool put_data(FILE *out, const cli *c, int word)
{
    if (word + 1 == c->words_count && c->words[word][0] == '{') {
        fputs(c->words[word], out);
        return true;
    }
    fputc('{', out);
    for (int i = word; i < c->words_count; i++) {
        const char *equals = strchr(c->words[i], '=');
        if (equals == NULL || equals == c->words[i]) {
            (void)usage_error(c, TEXT_NOT_PAIR, c->words[i]);
            return false;
        }
        fputs(i == word ? "" : ",", out);
        put_json_text(out, c->words[i], (size_t)(equals - c->words[i]));
        fputc(':', out);
        put_json_string(out, equals + 1);
    }
    fputc('}', out);
    return true;
}

/* "entity[3].column=value" or "entity.column=value" */
static bool put_patch(FILE *out, const cli *c, const char *word)
{
    size_t entity = strcspn(word, "[.=");
    const char *at = word + entity;
    const char *line = NULL;
    size_t line_size = 0;

    if (*at == '[') {
        line = at + 1;
        line_size = strspn(line, "0123456789");
        at = line + line_size + (line[line_size] == ']');
    }
    const char *equals = strchr(at, '=');
    if (entity == 0 || *at != '.' || equals == NULL || equals == at + 1 ||
        (line != NULL && line_size == 0)) {
        (void)usage_error(c, TEXT_NOT_PAIR, word);
        return false;
    }
    fputs("{\"entity\":", out);
    put_json_text(out, word, entity);
    if (line != NULL) {
        fprintf(out, ",\"line\":%.*s", (int)line_size, line);
    }
    fputs(",\"column\":", out);
    put_json_text(out, at + 1, (size_t)(equals - at - 1));
    fputs(",\"value\":", out);
    put_json_string(out, equals + 1);
    fputc('}', out);
    return true;
}

static bool put_patches(FILE *out, const cli *c, int word)
{
    fputc('[', out);
    for (int i = word; i < c->words_count; i++) {
        fputs(i == word ? "" : ",", out);
        if (!put_patch(out, c, c->words[i])) {
            return false;
        }
    }
    fputc(']', out);
    return true;
}

/* --allocate ORDER=AMOUNT, any number of them. */
static void put_allocations(FILE *out, const cli *c, bool *first)
{
    bool open = false;

    for (int i = 0; i < c->options_count; i++) {
        const char *equals = strrchr(c->options[i].value, '=');
        if (strcmp(c->options[i].name, "allocate") != 0 || equals == NULL) {
            continue;
        }
        if (!open) {
            put_key(out, first, "allocations");
        }
        fputs(open ? ",{\"order\":" : "[{\"order\":", out);
        open = true;
        put_json_text(out, c->options[i].value, (size_t)(equals - c->options[i].value));
        fputs(",\"amount\":", out);
        put_json_string(out, equals + 1);
        fputc('}', out);
    }
    fputs(open ? "]" : "", out);
}

/* --near LAT,LON */
static bool put_near(FILE *out, bool *first, const char *value)
{
    const char *comma = strchr(value, ',');

    if (comma == NULL) {
        return false;
    }
    put_key(out, first, "lat");
    put_json_text(out, value, (size_t)(comma - value));
    put_key(out, first, "lon");
    put_json_string(out, comma + 1);
    return true;
}

static bool put_options(FILE *out, const cli *c, bool *first)
{
    for (int i = 0; i < c->options_count; i++) {
        const cli_option *o = &c->options[i];
        if (strcmp(o->name, "allocate") == 0) {
            continue;
        }
        if (strcmp(o->name, "near") == 0) {
            if (!put_near(out, first, o->value)) {
                (void)usage_error(c, TEXT_NO_VALUE, "--near LAT,LON");
                return false;
            }
            continue;
        }
        put_key(out, first, o->name);
        if (strcmp(o->name, "params") == 0) {
            fputs(o->value, out);
        } else {
            put_json_string(out, o->value);
        }
    }
    put_allocations(out, c, first);
    return true;
}

/* One positional argument; *word goes past what it took. */
static bool put_positional(FILE *out, const cli *c, const char *name, int *word, bool *first)
{
    bool is_data = strcmp(name, "data") == 0;

    if (is_data || strcmp(name, "patches") == 0) {
        put_key(out, first, name);
        int from = *word;
        *word = c->words_count;
        return is_data ? put_data(out, c, from) : put_patches(out, c, from);
    }
    put_key(out, first, name);
    put_json_string(out, c->words[*word]);
    (*word)++;
    return true;
}

static bool put_words(FILE *out, const cli *c, const char *positional, int word, bool *first)
{
    char name[NAME_BYTES];

    while (*positional != '\0' && word < c->words_count) {
        positional += strspn(positional, "[ ");
        size_t size = strcspn(positional, "] ");
        (void)snprintf(name, sizeof name, "%.*s", (int)size, positional);
        positional += size + strspn(positional + size, "] ");
        if (!put_positional(out, c, name, &word, first)) {
            return false;
        }
    }
    if (word < c->words_count) {
        (void)usage_error(c, TEXT_TOO_MANY, c->words[word]);
        return false;
    }
    return true;
}

char *args_json(const cli *c, const cli_command *cmd, int first_word)
{
    char *json = NULL;
    size_t size = 0;
    bool first = true;
    FILE *out = open_memstream(&json, &size);

    if (out == NULL) {
        return NULL;
    }
    fputc('{', out);
    bool good =
        put_words(out, c, cmd->positional, first_word, &first) && put_options(out, c, &first);
    fputc('}', out);
    if (fclose(out) != 0 || !good) {
        free(json);
        return NULL;
    }
    return json;
}

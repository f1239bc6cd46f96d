/* batch.c - many groups from a file of JSON lines: each line is one atomic group
 * (fb_command_group). */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { PROGRESS_LINES = 500 };

typedef struct batch {
    cli *c;
    long line, saved, failed;
    bool go_on;
    int exit_code;
} batch;

static void tell_line(const batch *b)
{
    fprintf(stderr, "%s %ld: ", say(b->c, TEXT_LINE), b->line);
}

static bool take_line(batch *b, const char *json)
{
    char *result = NULL;
    fb_error err;

    if (json[strspn(json, " \t\r\n")] == '\0') {
        return true;
    }
    if (fb_command_group(b->c->db, json, &result, &err) == FB_OK) {
        fb_string_free(result);
        b->saved++;
        return true;
    }
    b->failed++;
    tell_line(b);
    b->exit_code = report(b->c, &err);
    return b->go_on;
}

static void read_lines(batch *b, FILE *in)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    bool more = true;

    while (more && (size = getline(&line, &capacity, in)) >= 0) {
        b->line++;
        if (strlen(line) != (size_t)size) {
            tell_line(b);
            b->exit_code = usage_error(b->c, TEXT_NO_FILE, "NUL");
            break;
        }
        more = take_line(b, line);
        if (!b->c->quiet && b->line % PROGRESS_LINES == 0 && isatty(STDERR_FILENO)) {
            fprintf(stderr, "  %ld %s\n", b->saved, say(b->c, TEXT_SAVED));
        }
    }
    free(line);
}

static uint64_t mono_ms(const cli *c)
{
    return c->port.mono_ms(c->port.ctx);
}

static void show_summary(const batch *b, uint64_t ms)
{
    if (b->c->json) {
        printf("{\"lines\":%ld,\"saved\":%ld,\"failed\":%ld,\"ms\":%llu}\n", b->line, b->saved,
               b->failed, (unsigned long long)ms);
    } else {
        printf("%ld %s, %ld %s, %llu %s\n", b->saved, say(b->c, TEXT_SAVED), b->failed,
               say(b->c, TEXT_FAILED), (unsigned long long)ms, say(b->c, TEXT_MS));
    }
}

int run_batch(cli *c, const cli_command *cmd)
{
    batch b = {.c = c, .go_on = option(c, "continue") != NULL};

    if (!options_only(c, "continue")) {
        return EXIT_USAGE;
    }
    if (c->words_count < 2) {
        return usage_error(c, TEXT_TOO_FEW, cmd->positional);
    }
    bool is_stdin = strcmp(c->words[1], "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(c->words[1], "rb");
    if (in == NULL) {
        return usage_error(c, TEXT_NO_FILE, c->words[1]);
    }
    int rc = open_db(c, false);
    if (rc == EXIT_DONE) {
        uint64_t begin_ms = mono_ms(c);
        read_lines(&b, in);
        show_summary(&b, mono_ms(c) - begin_ms);
        rc = b.exit_code;
    }
    if (!is_stdin) {
        (void)fclose(in);
    }
    return rc;
}

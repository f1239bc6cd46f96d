/* outbox.c - `fieldbook outbox export` and `outbox import`: saved groups out of a file that does
 * not open, into a new one. See fieldbook/outbox.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct exporting {
    FILE *out;
    long groups;
    bool failed; /* to be written */
} exporting;

static fb_code put_line(void *ctx, const fb_outbox_group *group)
{
    exporting *e = ctx;

    if (group->closed) {
        return FB_OK;
    }
    e->groups++;
    bool written = fwrite(group->line.data, 1, group->line.size, e->out) == group->line.size &&
                   fputc('\n', e->out) != EOF;
    e->failed = !written;
    return written ? FB_OK : FB_E_IO;
}

static void say_count(const cli *c, long groups)
{
    if (c->json) {
        printf("{\"groups\":%ld}\n", groups);
    } else {
        printf("%ld %s\n", groups, say(c, TEXT_GROUPS));
    }
}

static const char *file_word(cli *c)
{
    if (c->words_count != 3) {
        (void)usage_error(c, TEXT_NO_VALUE, "FILE");
        return NULL;
    }
    return c->words[2];
}

static int file_failed(const char *name)
{
    fprintf(stderr, "fieldbook: %s: %s\n", name, strerror(errno));
    return EXIT_FAILED;
}

int run_outbox_export(cli *c, const cli_command *cmd)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fb_error err;
    const char *name = file_word(c);

    (void)cmd;
    if (name == NULL) {
        return EXIT_USAGE;
    }
    if (c->db_path == NULL) {
        return usage_error(c, TEXT_NO_DB, NULL);
    }
    exporting e = {.out = fopen(name, "wx")}; /* an export that exists is not written over */
    if (e.out == NULL) {
        return file_failed(name);
    }
    o.port = &c->port;
    fb_code rc = fb_outbox_each(c->db_path, &o, put_line, &e, &err);
    bool closed = fclose(e.out) == 0;
    if (rc != FB_OK || !closed) {
        if (e.groups == 0 || e.failed || !closed) { /* else it is what could be read */
            (void)remove(name);
        }
        return rc != FB_OK ? report(c, &err) : file_failed(name);
    }
    say_count(c, e.groups);
    return EXIT_DONE;
}

static int take_lines(cli *c, FILE *in)
{
    fb_error err;
    char *line = NULL;
    size_t room = 0;
    ssize_t size = 0;
    long groups = 0;
    int rc = EXIT_DONE;

    while (rc == EXIT_DONE && (size = getline(&line, &room, in)) > 0) {
        int64_t gseq = 0;
        size_t bytes = (size_t)size - (line[size - 1] == '\n');
        if (fb_outbox_take(c->db, (fb_text){line, bytes}, &gseq, &err) != FB_OK) {
            rc = report(c, &err);
        }
        groups += gseq != 0;
    }
    free(line);
    if (rc == EXIT_DONE) {
        say_count(c, groups);
    }
    return rc;
}

int run_outbox_import(cli *c, const cli_command *cmd)
{
    const char *name = file_word(c);

    (void)cmd;
    if (name == NULL) {
        return EXIT_USAGE;
    }
    FILE *in = fopen(name, "r");
    if (in == NULL) {
        return file_failed(name);
    }
    int rc = open_db(c, false);
    if (rc == EXIT_DONE) {
        rc = take_lines(c, in);
    }
    (void)fclose(in);
    return rc;
}

/* pull.c - everything in this device's scope, merged, into files: one per entity, or one SQLite
 * file.
 *
 * CSV keeps RFC 4180; a text that a spreadsheet would run as a formula (= + - @ TAB CR first) gets
 * an apostrophe before it. Files are written beside their name and renamed when complete. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { ENTITIES_MAX = 400, COLUMNS_MAX = 128 };

typedef struct puller {
    cli *c;
    const char *folder;
    bool csv;
    FILE *out;
    bool textual[COLUMNS_MAX]; /* texts a person wrote */
    bool first_row;
    long long rows;
    int files;
    int exit_code;
} puller;

/* --- one row ---------------------------------------------------------------------------------- */

static void put_csv_field(FILE *out, fb_text t, bool neutralise)
{
    bool formula = neutralise && t.size > 0 && strchr("=+-@\t\r", t.data[0]) != NULL;
    bool quoted = formula || (t.size > 0 && memchr(t.data, '"', t.size) != NULL);

    for (size_t i = 0; i < t.size && !quoted; i++) {
        quoted = strchr(",\r\n", t.data[i]) != NULL && t.data[i] != '\0';
    }
    if (quoted) {
        fputc('"', out);
    }
    if (formula) {
        fputc('\'', out);
    }
    for (size_t i = 0; i < t.size; i++) {
        if (t.data[i] == '"') {
            fputc('"', out);
        }
        fputc(t.data[i], out);
    }
    if (quoted) {
        fputc('"', out);
    }
}

static void put_csv(puller *p, const fb_row *row)
{
    for (uint32_t i = 0; i < row->columns_count; i++) {
        fputs(i == 0 ? "" : ",", p->out);
        if (row->values[i].kind == FB_KIND_TEXT) {
            put_csv_field(p->out, row->values[i].u.text, i < COLUMNS_MAX && p->textual[i]);
        }
    }
    fputs("\r\n", p->out);
}

static void put_json_value(FILE *out, const fb_value *v)
{
    if (v->kind != FB_KIND_TEXT) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < v->u.text.size; i++) {
        unsigned char b = (unsigned char)v->u.text.data[i];
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

static void put_ndjson(puller *p, const fb_row *row)
{
    for (uint32_t i = 0; i < row->columns_count; i++) {
        fputs(i == 0 ? "{" : ",", p->out);
        put_json_string(p->out, row->names[i]);
        fputc(':', p->out);
        put_json_value(p->out, &row->values[i]);
    }
    fputs("}\n", p->out);
}

static fb_code put_row(void *ctx, const fb_row *row)
{
    puller *p = ctx;

    if (p->csv) {
        put_csv(p, row);
    } else {
        put_ndjson(p, row);
    }
    p->rows++;
    return ferror(p->out) != 0 ? FB_E_IO : FB_OK;
}

/* --- one entity ------------------------------------------------------------------------------- */

static bool is_written_by_people(fb_text type)
{
    return (type.size == 4 &&
            (memcmp(type.data, "text", 4) == 0 || memcmp(type.data, "json", 4) == 0)) ||
           (type.size == 4 && memcmp(type.data, "enum", 4) == 0);
}

static void put_header(puller *p, const fb_entity *e)
{
    for (uint32_t i = 0; i < e->columns_count && i < COLUMNS_MAX; i++) {
        p->textual[i] = is_written_by_people(e->columns[i].type);
        if (p->csv) {
            fprintf(p->out, "%s%.*s", i == 0 ? "" : ",", (int)e->columns[i].name.size,
                    e->columns[i].name.data);
        }
    }
    fputs(p->csv ? "\r\n" : "", p->out);
}

static fb_code pull_rows(puller *p, const fb_entity *e, const char *name, fb_error *err)
{
    put_header(p, e);
    return fb_record_each(p->c->db, name, FB_FORM_TEXT, put_row, p, err);
}

static bool paths(const puller *p, const char *name, char path[PATH_BYTES_MAX],
                  char part[PATH_BYTES_MAX])
{
    int size =
        snprintf(path, PATH_BYTES_MAX, "%s/%s.%s", p->folder, name, p->csv ? "csv" : "ndjson");
    int part_size = snprintf(part, PATH_BYTES_MAX, "%s/%s.part", p->folder, name);

    return size > 0 && size < PATH_BYTES_MAX && part_size > 0 && part_size < PATH_BYTES_MAX;
}

static fb_code pull_entity(void *ctx, const fb_entity *e)
{
    puller *p = ctx;
    char name[64];
    char path[PATH_BYTES_MAX];
    char part[PATH_BYTES_MAX];
    fb_error err;

    (void)snprintf(name, sizeof name, "%.*s", (int)e->name.size, e->name.data);
    p->out = paths(p, name, path, part) ? fopen(part, "wb") : NULL;
    if (p->out == NULL) {
        p->exit_code = usage_error(p->c, TEXT_NO_WRITE, path);
        return FB_E_IO;
    }
    fb_code rc = pull_rows(p, e, name, &err);
    bool closed = fclose(p->out) == 0;
    if (rc != FB_OK) {
        p->exit_code = report(p->c, &err);
    } else if (!closed || rename(part, path) != 0) {
        p->exit_code = usage_error(p->c, TEXT_NO_WRITE, path);
        rc = FB_E_IO;
    }
    p->files++;
    return rc;
}

/* --- the command ------------------------------------------------------------------------------ */

static int done(const cli *c, int entities, long long rows)
{
    if (c->json) {
        printf("{\"entities\":%d,\"rows\":%lld}\n", entities, rows);
    } else {
        printf("%d %s, %lld %s\n", entities, say(c, TEXT_WRITTEN), rows, say(c, TEXT_ROWS));
    }
    return EXIT_DONE;
}

static int pull_sqlite(cli *c, const char *path)
{
    fb_export_report r;
    fb_error err;

    if (fb_export_sqlite(c->db, path, &r, &err) != FB_OK) {
        return report(c, &err);
    }
    return done(c, (int)r.entities_count, (long long)r.rows_count);
}

static int pull_folder(cli *c, const char *folder, bool csv)
{
    puller p = {.c = c, .folder = folder, .csv = csv};
    fb_error err;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return usage_error(c, TEXT_NO_WRITE, folder);
    }
    if (fb_snapshot_begin(c->db, &err) != FB_OK) {
        return report(c, &err);
    }
    fb_code rc = fb_entity_each(c->db, pull_entity, &p, &err);
    fb_snapshot_end(c->db);
    if (rc != FB_OK) {
        return p.exit_code != EXIT_DONE ? EXIT_FAILED : report(c, &err);
    }
    return done(c, p.files, p.rows);
}

int run_pull(cli *c, const cli_command *cmd)
{
    const char *out = option(c, "out");
    const char *format = option(c, "format");

    if (!options_only(c, "out format")) {
        return EXIT_USAGE;
    }
    if (out == NULL) {
        return usage_error(c, TEXT_TOO_FEW, cmd->positional);
    }
    format = format == NULL ? "csv" : format;
    bool sqlite = strcmp(format, "sqlite") == 0;
    bool csv = strcmp(format, "csv") == 0;
    if (!sqlite && !csv && strcmp(format, "ndjson") != 0) {
        return usage_error(c, TEXT_BAD_FORMAT, format);
    }
    int rc = open_db(c, false);
    if (rc != EXIT_DONE) {
        return rc;
    }
    return sqlite ? pull_sqlite(c, out) : pull_folder(c, out, csv);
}

/* phone.c - processes that this program becomes: the app that saves, and a manager's long query.
 * See soak.h.
 *
 * The app reads its groups from a file of "MARKER<tab>GROUP" lines and writes one line for each
 * into the file of acknowledgements, with one write, after the call returned (SOK-1). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fieldbook/fieldbook.h"
#include "platform/posix/files.h"
#include "platform/posix/port.h"
#include "soak/soak.h"

static bool acknowledge(int fd, const char *word, const char *marker, const char *detail)
{
    char line[300];
    int size = snprintf(line, sizeof line, "%s %s %s\n", word, marker, detail);
    return write(fd, line, (size_t)size) == size;
}

static bool save_one(fb_db *db, int acks, char *line)
{
    fb_error err = {.code = FB_OK};
    char *result = NULL, detail[200];
    char *body = strchr(line, '\t');
    if (body == NULL) {
        return false;
    }
    *body++ = '\0';
    if (fb_command_group(db, body, &result, &err) == FB_OK) {
        fb_string_free(result);
        return acknowledge(acks, "saved", line, "-");
    }
    snprintf(detail, sizeof detail, "%s %.60s %.100s", fb_code_name(err.code), err.field,
             err.message);
    detail[strcspn(detail, "\n")] = '\0';
    return acknowledge(acks, "failed", line, detail);
}

/* --phone DB LINES ACKS */
int phone_main(int argc, char **argv)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fb_db *db = NULL;
    fb_error err = {.code = FB_OK};
    char *line = NULL;
    size_t capacity = 0;
    FILE *in = argc == 5 ? fopen(argv[3], "rbe") : NULL;
    int acks = argc == 5 ? open(argv[4], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (in == NULL || acks < 0) {
        fprintf(stderr, "fb-soak --phone DB LINES ACKS: cannot open them\n");
        return 2;
    }
    o.port = fb_port_posix();
    o.files = fb_files_posix();
    if (fb_db_open(argv[2], &o, &db, &err) != FB_OK) {
        fprintf(stderr, "%s: %s: %s\n", fb_code_name(err.code), err.field, err.message);
        (void)fclose(in);
        return 1;
    }
    bool good = true;
    for (ssize_t n; good && (n = getline(&line, &capacity, in)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        good = save_one(db, acks, line);
    }
    free(line);
    (void)fclose(in);
    fb_db_close(db);
    close(acks);
    return good ? 0 : 1;
}

/* --reader DB: a read transaction over everything, until it is killed. */
int reader_main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    if (argc != 3 || sqlite3_open_v2(argv[2], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, 10000) != SQLITE_OK ||
        sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sales_order; SELECT count(*) FROM fs_commit;",
                     NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "fb-soak --reader: %s\n", sqlite3_errmsg(db));
        sqlite3_close(db);
        return 1;
    }
    printf("reading\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

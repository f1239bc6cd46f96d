/* sync_run.c - enrolment and synchronisation on the command line. See cli.h.
 *
 * The company's certificate authority is kept beside the replica as FILE.ca.pem, so that later
 * synchronisations need no option. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "platform/posix/link_curl.h"

enum { WAIT_MS = 55000, STEP_MS = 1 };

static bool ca_path(const cli *c, char out[PATH_BYTES_MAX])
{
    int size = snprintf(out, PATH_BYTES_MAX, "%s.ca.pem", c->db_path);

    return size > 0 && size < PATH_BYTES_MAX;
}

static bool copy_stream(FILE *from, FILE *to)
{
    char block[4096];
    size_t size = 0;

    while ((size = fread(block, 1, sizeof block, from)) > 0) {
        if (fwrite(block, 1, size, to) != size) {
            return false;
        }
    }
    return ferror(from) == 0 && fflush(to) == 0 && fsync(fileno(to)) == 0;
}

static int copy_file(const cli *c, const char *from_path, const char *to_path)
{
    FILE *from = fopen(from_path, "rb");

    if (from == NULL) {
        return usage_error(c, TEXT_NO_FILE, from_path);
    }
    FILE *to = fopen(to_path, "wb");
    bool good = to != NULL && copy_stream(from, to);
    if (to != NULL) {
        good = fclose(to) == 0 && good;
    }
    (void)fclose(from);
    return good ? EXIT_DONE : usage_error(c, TEXT_NO_WRITE, to_path);
}

static int open_link(const cli *c, const char *url, const char *ca, fb_link **out)
{
    fb_error err;

    return fb_link_curl_new(url, ca, out, &err) == FB_OK ? EXIT_DONE : report(c, &err);
}

/* What the library says, with the transport's own words when it was the transport. */
static int report_link(const cli *c, const fb_link *link, fb_error *err)
{
    const char *why = fb_link_curl_get_message(link);

    if (why[0] != '\0' &&
        (err->code == FB_E_OFFLINE || err->code == FB_E_TLS || err->code == FB_E_TIMEOUT)) {
        (void)snprintf(err->message, sizeof err->message, "%s", why);
    }
    int exit_code = report(c, err);
    if (!c->json && (err->code == FB_E_AUTH || err->code == FB_E_DEVICE)) {
        fprintf(stderr, "           %s\n", say(c, TEXT_ENROL_AGAIN));
    }
    return exit_code;
}

/* --- enrol ------------------------------------------------------------------------------------ */

static void show_enrolled(const cli *c)
{
    fb_identity who = {.size_bytes = sizeof who};
    fb_error err;

    if (fb_db_identity(c->db, &who, &err) != FB_OK) {
        (void)report(c, &err);
        return;
    }
    if (c->json) {
        fputs("{\"enrolled\":true,\"device\":", stdout);
        put_json_string(stdout, who.device_code);
        fputs(",\"user\":", stdout);
        put_json_string(stdout, who.user_code);
        fputs(",\"name\":", stdout);
        put_json_string(stdout, who.user_name);
        fputs("}\n", stdout);
    } else {
        printf("%s %s (%s), %s %s\n", say(c, TEXT_ENROLLED), who.user_name, who.user_code,
               say(c, TEXT_DEVICE), who.device_code);
    }
}

static int enrol(cli *c, const char *url, const char *ca)
{
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    fb_link *link = NULL;
    fb_error err;

    o.server_url = url;
    o.code = option(c, "code");
    o.device_name = option(c, "name");
    o.again = option(c, "again") != NULL;
    int rc = open_link(c, o.server_url, ca, &link);
    if (rc == EXIT_DONE && fb_enrol(c->db, link, &o, &err) != FB_OK) {
        rc = report_link(c, link, &err);
    }
    fb_link_curl_free(link);
    return rc;
}

int run_enrol(cli *c, const cli_command *cmd)
{
    char ca[PATH_BYTES_MAX];
    fb_identity who = {.size_bytes = sizeof who};
    fb_error err;
    const char *given = option(c, "ca");
    const char *url = option(c, "server");
    bool again = option(c, "again") != NULL;

    if (!options_only(c, "server ca code name again")) {
        return EXIT_USAGE;
    }
    if (option(c, "code") == NULL || (!again && (url == NULL || given == NULL))) {
        return usage_error(c, TEXT_TOO_FEW, cmd->positional);
    }
    int rc = open_db(c, !again);
    if (rc != EXIT_DONE) {
        return rc;
    }
    if (!ca_path(c, ca)) {
        return usage_error(c, TEXT_NO_WRITE, c->db_path);
    }
    if (fb_db_identity(c->db, &who, &err) != FB_OK) {
        return report(c, &err);
    }
    /* Again: address and authority are known from the first time. */
    rc = enrol(c, url != NULL ? url : who.server_url, given != NULL ? given : ca);
    if (rc == EXIT_DONE && given != NULL && strcmp(given, ca) != 0) {
        rc = copy_file(c, given, ca);
    }
    if (rc == EXIT_DONE) {
        show_enrolled(c);
    }
    return rc;
}

/* --- sync ------------------------------------------------------------------------------------- */

static void show_json_report(const fb_sync_report *r)
{
    printf(
        "{\"complete\":%s,\"requests\":%u,\"groups_sent\":%u,\"verdicts\":%u,\"applied\":%u,"
        "\"merged\":%u,"
        "\"rejected\":%u,\"held\":%u,\"rows\":%u,\"bytes_up\":%llu,\"bytes_down\":%llu,\"ms\":%llu,"
        "\"rebirths\":%u,\"epoch_changed\":%s,\"catalog_changed\":%s,"
        "\"digest_faults\":%u,\"digest_buckets\":%u,\"digest_alarm\":%s,"
        "\"chunks\":%u,\"chunks_left\":%u}\n",
        r->complete ? "true" : "false", r->requests_count, r->groups_sent, r->verdicts_count,
        r->applied_count, r->merged_count, r->rejected_count, r->held_count, r->rows_count,
        (unsigned long long)r->bytes_up, (unsigned long long)r->bytes_down,
        (unsigned long long)r->elapsed_ms, r->rebirths_count, r->epoch_changed ? "true" : "false",
        r->catalog_changed ? "true" : "false", r->digest_faults_count, r->digest_buckets_count,
        r->digest_alarm ? "true" : "false", r->chunks_count, r->chunks_left);
}

static void show_report(const cli *c, const fb_sync_report *r)
{
    if (c->json) {
        show_json_report(r);
        return;
    }
    printf("%s: %u %s, %u %s, %u %s, %u %s, %u %s, %u %s, %llu %s, %llu %s, %llu %s\n",
           say(c, r->complete ? TEXT_SYNCED : TEXT_NOT_COMPLETE), r->groups_sent, say(c, TEXT_SENT),
           r->applied_count, say(c, TEXT_APPLIED), r->merged_count, say(c, TEXT_MERGED),
           r->rejected_count, say(c, TEXT_REJECTED), r->held_count, say(c, TEXT_HELD),
           r->rows_count, say(c, TEXT_ROWS), (unsigned long long)r->bytes_up, say(c, TEXT_UP),
           (unsigned long long)r->bytes_down, say(c, TEXT_DOWN), (unsigned long long)r->elapsed_ms,
           say(c, TEXT_MS));
    if (r->chunks_count + r->chunks_left > 0) {
        printf("%s: %u, %s: %u\n", say(c, TEXT_CHUNKS), r->chunks_count, say(c, TEXT_CHUNKS_LEFT),
               r->chunks_left);
    }
    if (r->epoch_changed) {
        printf("%s\n", say(c, TEXT_RESTORED));
    }
    if (r->rebirths_count > 0) {
        printf("%s\n", say(c, TEXT_REBORN));
    }
    if (r->digest_alarm || r->digest_faults_count > 0) {
        printf("%s\n", say(c, r->digest_alarm ? TEXT_DIGEST_ALARM : TEXT_DIGEST_MENDED));
    }
    if (r->rejected_count + r->held_count > 0) {
        printf("%s\n", say(c, TEXT_SEE_PROBLEMS));
    }
}

static void show_progress(const cli *c, const fb_sync_report *r)
{
    if (!c->quiet && !r->complete) {
        fprintf(stderr, "  %u %s, %u %s, %llu %s, %llu %s\n", r->groups_sent, say(c, TEXT_SENT),
                r->rows_count, say(c, TEXT_ROWS), (unsigned long long)r->bytes_up, say(c, TEXT_UP),
                (unsigned long long)r->bytes_down, say(c, TEXT_DOWN));
    }
}

/* One round: exchange by exchange, so that progress can be shown. */
static fb_code sync_round(const cli *c, fb_sync *sync, const fb_link *link, fb_sync_report *r,
                          fb_error *err)
{
    fb_code rc = FB_OK;

    do {
        rc = fb_sync_step(sync, link, STEP_MS, r, err);
        if (rc == FB_OK) {
            show_progress(c, r);
        }
    } while (rc == FB_OK && !r->complete);
    return rc;
}

static void sleep_ms(uint32_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};

    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

/* --wait: stay, and fetch news as they come, until interrupted or --rounds are done. */
static int sync_loop(const cli *c, fb_sync *sync, const fb_link *link, long left)
{
    fb_sync_report r;
    fb_error err;
    int exit_code = EXIT_DONE;

    for (; left != 0; left -= left > 0) {
        if (sync_round(c, sync, link, &r, &err) == FB_OK) {
            exit_code = EXIT_DONE;
            show_report(c, &r);
            if (option(c, "no-files") == NULL) {
                exit_code = run_lane(c, link); /* rows first, then bytes */
            }
            (void)fflush(stdout);
            continue;
        }
        exit_code = report_link(c, link, &err);
        fb_class klass = fb_code_class(err.code);
        if (left == 1 || (klass != FB_CLASS_RETRY && klass != FB_CLASS_PEER) || r.retry_ms == 0) {
            return exit_code;
        }
        sleep_ms(r.retry_ms);
    }
    return exit_code;
}

/* -1: for ever. */
static bool rounds_get(const cli *c, long *out)
{
    const char *text = option(c, "rounds");
    char *end = NULL;

    if (text == NULL) {
        *out = option(c, "wait") != NULL ? -1 : 1;
        return true;
    }
    *out = strtol(text, &end, 10);
    return *end == '\0' && *out > 0;
}

int run_sync(cli *c, const cli_command *cmd)
{
    char ca[PATH_BYTES_MAX];
    fb_identity who = {.size_bytes = sizeof who};
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;
    fb_sync *sync = NULL;
    fb_link *link = NULL;
    fb_error err;
    long rounds = 1;
    const char *given_ca = option(c, "ca");
    const char *given_url = option(c, "server");

    (void)cmd;
    if (!options_only(c, "wait rounds server ca no-files metered")) {
        return EXIT_USAGE;
    }
    if (!rounds_get(c, &rounds)) {
        return usage_error(c, TEXT_NO_NUMBER, "--rounds");
    }
    int rc = open_db(c, false);
    if (rc != EXIT_DONE) {
        return rc;
    }
    o.wait_ms = option(c, "wait") != NULL ? WAIT_MS : 0;
    if (fb_db_identity(c->db, &who, &err) != FB_OK ||
        fb_sync_open(c->db, &o, &sync, &err) != FB_OK) {
        return report(c, &err);
    }
    if (!ca_path(c, ca)) {
        fb_sync_close(sync);
        return usage_error(c, TEXT_NO_FILE, c->db_path);
    }
    rc = open_link(c, given_url != NULL ? given_url : who.server_url,
                   given_ca != NULL ? given_ca : ca, &link);
    if (rc == EXIT_DONE) {
        rc = sync_loop(c, sync, link, rounds);
    }
    fb_sync_close(sync);
    fb_link_curl_free(link);
    return rc;
}

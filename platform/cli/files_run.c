/* files_run.c - the bytes of attachments on the command line: the lane, and one file written out.
 * See cli.h. */
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void show_lane(const cli *c, const fb_lane_report *r)
{
    if (r->requests_count == 0) {
        return;
    }
    if (c->json) {
        printf("{\"files_complete\":%s,\"files_sent\":%u,\"files_fetched\":%u,\"files_failed\":%u,"
               "\"bytes_up\":%llu,\"bytes_down\":%llu}\n",
               r->complete ? "true" : "false", r->stored_count, r->fetched_count, r->failed_count,
               (unsigned long long)r->bytes_up, (unsigned long long)r->bytes_down);
    } else {
        printf("%s: %u %s, %u %s, %u %s, %llu %s, %llu %s\n", say(c, TEXT_FILES), r->stored_count,
               say(c, TEXT_SENT_FILES), r->fetched_count, say(c, TEXT_FETCHED), r->failed_count,
               say(c, TEXT_FAILED), (unsigned long long)r->bytes_up, say(c, TEXT_UP),
               (unsigned long long)r->bytes_down, say(c, TEXT_DOWN));
    }
}

/* --metered thumbs|nothing|all: this network costs money. */
static bool metered_get(const cli *c, fb_lane_options *o)
{
    static const char *const NAMES[] = {
        [FB_METERED_THUMBS] = "thumbs", [FB_METERED_NOTHING] = "nothing", [FB_METERED_ALL] = "all"};
    const char *text = option(c, "metered");

    o->metered = text != NULL;
    for (int i = 0; text != NULL && i < 3; i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            o->policy = (fb_metered)i;
            return true;
        }
    }
    return text == NULL;
}

int run_lane(const cli *c, const fb_link *link)
{
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    fb_lane_report r = {.complete = false};
    fb_lane *lane = NULL;
    fb_error err;

    if (!metered_get(c, &o)) {
        return usage_error(c, TEXT_BAD_METERED, option(c, "metered"));
    }
    if (fb_lane_open(c->db, &o, &lane, &err) != FB_OK) {
        return report(c, &err);
    }
    fb_code rc = fb_lane_step(lane, link, 0, &r, &err);
    fb_lane_close(lane);
    show_lane(c, &r);
    return rc == FB_OK ? EXIT_DONE : report(c, &err);
}

static fb_code write_piece(void *ctx, fb_text piece)
{
    return fwrite(piece.data, 1, piece.size, ctx) == piece.size ? FB_OK : FB_E_IO;
}

static int save(const cli *c, const fb_id *id, fb_part part, FILE *out)
{
    fb_error err;

    if (fb_attachment_read(c->db, id, part, write_piece, out, &err) != FB_OK) {
        return report(c, &err);
    }
    return fflush(out) == 0 && fsync(fileno(out)) == 0 ? EXIT_DONE
                                                       : usage_error(c, TEXT_NO_WRITE, "FILE");
}

int run_attachment_save(cli *c, const cli_command *cmd)
{
    fb_id id;
    fb_part part = option(c, "thumbnail") != NULL ? FB_PART_THUMB : FB_PART_ORIGINAL;

    if (!options_only(c, "thumbnail")) {
        return EXIT_USAGE;
    }
    if (c->words_count < 4) {
        return usage_error(c, TEXT_TOO_FEW, cmd->positional);
    }
    if (!fb_id_get(c->words[2], &id)) {
        return usage_error(c, TEXT_NO_ID, c->words[2]);
    }
    int rc = open_db(c, false);
    if (rc != EXIT_DONE) {
        return rc;
    }
    FILE *out = fopen(c->words[3], "wb");
    if (out == NULL) {
        return usage_error(c, TEXT_NO_WRITE, c->words[3]);
    }
    rc = save(c, &id, part, out);
    if (fclose(out) != 0 && rc == EXIT_DONE) {
        rc = usage_error(c, TEXT_NO_WRITE, c->words[3]);
    }
    if (rc != EXIT_DONE) {
        (void)remove(c->words[3]); /* half a file is worse than none */
    }
    return rc;
}

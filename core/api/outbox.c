/* outbox.c - groups out of a file that does not open, and into another one. See
 * fieldbook/outbox.h. */
#include "fieldbook/outbox.h"

#include "api/handle.h"

enum { STATE_GIVEN_UP = 4 };

typedef struct lending {
    fb_code (*fn)(void *ctx, const fb_outbox_group *group);
    void *ctx;
} lending;

static fb_code lend(void *ctx, const rescued *r)
{
    const lending *l = ctx;
    const fb_outbox_group g = {.gseq = r->gseq,
                               .captured_at_ms = r->captured_at_ms,
                               .closed = r->state == STATE_GIVEN_UP,
                               .kind = r->kind,
                               .line = r->line};

    return l->fn(l->ctx, &g);
}

fb_code fb_outbox_each(const char *path, const fb_db_options *options,
                       fb_code (*fn)(void *ctx, const fb_outbox_group *group), void *ctx,
                       fb_error *err)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    lending l = {fn, ctx};

    FB_REQUIRE(path != NULL && fn != NULL);
    api_clear(err);
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_REQUIRE(o.port != NULL);
    const replica_options ro = {.path = path, .port = o.port, .vfs = o.vfs, .read_only = true};
    return api_said(NULL, rescue_each(&ro, lend, &l, err), err);
}

fb_code fb_outbox_take(fb_db *db, fb_text line, int64_t *gseq_out, fb_error *err)
{
    int64_t gseq = 0;

    FB_REQUIRE(db != NULL && line.data != NULL);
    api_clear(err);
    if (capture_is_open(db->r)) {
        return fail(err, FB_E_STATE, "group", "a group is open: commit or abort it first");
    }
    fb_code rc = rescue_take(db->r, line, &gseq, err);
    if (rc == FB_OK && gseq_out != NULL) {
        *gseq_out = gseq;
    }
    return api_said(db, rc, err);
}

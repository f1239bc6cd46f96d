/* push.c - see push.h. */
#include "sync/push.h"

#include "base/check.h"
#include "base/trace.h"
#include "schema/limits.h"
#include "wire/pack.h"

enum { HEAD_BYTES_MAX = 8 << 10, PACK_BYTES_EXTRA = 8 << 10 };
_Static_assert(GROUP_BYTES_MAX + TOKEN_BYTES_MAX + HEAD_BYTES_MAX + PACK_BYTES_EXTRA <=
                   SYNC_BODY_BYTES_MAX,
               "a group that does not shrink fits a body, whatever stands before it");

/* What one request is made of, read from the replica. */
typedef struct push_source {
    replica_identity who;
    outbox_state outbox;
    bool takes_packs, no_page, no_catalog;
    buf token;
    buf buckets; /* the digest, where it is asked to be compared */
    bool check;
    buf groups; /* body lines */
    buf plain;  /* the whole body before packing */
} push_source;

static void source_init(push_source *s)
{
    *s = (push_source){0};
    buf_init(&s->token, TOKEN_BYTES_MAX);
    buf_init(&s->buckets, HEAD_BYTES_MAX);
    buf_init(&s->groups, PUSH_BYTES_TARGET + 2 * GROUP_BYTES_MAX);
    buf_init(&s->plain, SYNC_BODY_UNPACKED_BYTES_MAX);
}

static void source_clear(push_source *s)
{
    bytes_wipe(&s->who, sizeof s->who);
    buf_clear(&s->token);
    buf_clear(&s->buckets);
    buf_clear(&s->groups);
    buf_clear(&s->plain);
}

static fb_code read_source(replica *r, const push_plan *plan, push_source *s, fb_error *err)
{
    FB_TRY(replica_identity_get(r, &s->who));
    if (!s->who.enrolled) {
        return fail(err, FB_E_AUTH, "device",
                    "this device is not enrolled: enrol it with a code first");
    }
    pack_want want;
    FB_TRY(outbox_state_get(r, &s->outbox));
    FB_TRY(pack_wanted_get(r, &s->takes_packs));
    s->takes_packs = s->takes_packs && !plan->thin; /* thousands of chunks may be named at once */
    FB_TRY(pack_want_get(r, &want));
    buf_reset(&s->token);
    FB_TRY(digest_ask(r, plan->thin, &s->check, &s->buckets));
    FB_TRY(stage_token(r, &s->token));
    /* Of a server that is met anew the catalogue comes before any row: both wait for the groups. */
    bool rows_wait = plan->thin && s->token.size == 0 && s->outbox.acked < s->outbox.last;
    s->no_page = want.any || rows_wait;
    s->no_catalog = plan->thin && (s->token.size > 0 || rows_wait);
    return FB_OK;
}

/* Groups from acked + 1 on. Without any the chain of the last group goes along instead. */
static fb_code read_groups(replica *r, push_source *s, uint32_t groups_max, size_t bytes_target,
                           sync_request *m)
{
    int64_t first = s->outbox.acked + 1;

    buf_reset(&s->groups);
    m->chain_before = s->outbox.chain_last;
    if (first > s->outbox.last) {
        return FB_OK;
    }
    FB_TRY(outbox_read(r, first, groups_max, bytes_target, &s->groups, &m->groups_count,
                       &m->chain_before));
    FB_ASSERT(m->groups_count > 0);
    m->first = first;
    return s->groups.code;
}

static void fill_request(replica *r, const push_source *s, const push_plan *plan, sync_request *m)
{
    *m = (sync_request){
        .protocol = PROTOCOL_VERSION,
        .device = s->who.device,
        .incarnation = s->who.incarnation,
        /* Without a token the server is met anew: what is built in may not be what it has. */
        .catalog_version = s->token.size > 0 ? replica_catalog(r)->version : 0,
        .epoch = s->who.epoch,
        .token = buf_text(&s->token),
        .settled = s->outbox.settled,
        .acked = s->outbox.acked,
        .last = s->outbox.last,
        .old_base = s->outbox.old_base,
        .wall_ms = plan->wall_ms,
        .page_bytes = plan->page_bytes,
        .check = s->check,
        .buckets = buf_text(&s->buckets),
        .takes_packs = s->takes_packs,
        .takes_moves = s->token.size > 0,
        .no_page = s->no_page,
        .no_catalog = s->no_catalog,
    };
}

static fb_code write_body(push_source *s, const sync_request *m, buf *body, bool *zstd_out)
{
    buf_reset(&s->plain);
    buf_reset(body);
    sync_request_put(&s->plain, m);
    buf_put_text(&s->plain, buf_text(&s->groups));
    sync_end_put(&s->plain);
    FB_TRY(s->plain.code);
    *zstd_out = s->plain.size > PUSH_PLAIN_BYTES_MAX;
    if (*zstd_out) {
        return pack_put(body, buf_text(&s->plain));
    }
    buf_put_text(body, buf_text(&s->plain));
    return body->code;
}

/* As many groups as fit. */
static fb_code read_body(replica *r, push_source *s, const push_plan *plan, sync_request *m,
                         buf *body, bool *zstd_out, fb_error *err)
{
    size_t most = plan->group_bytes > 0 ? plan->group_bytes : PUSH_BYTES_TARGET;
    uint32_t groups_max = plan->groups_max > 0 ? plan->groups_max : PUSH_GROUPS_MAX;
    FB_TRY(read_source(r, plan, s, err));
    for (size_t target = most;; target /= 4) {
        fill_request(r, s, plan, m);
        FB_TRY(read_groups(r, s, groups_max, target, m));
        m->wait_ms = m->groups_count == 0 && !m->no_page ? plan->wait_ms : 0;
        FB_TRY(write_body(s, m, body, zstd_out));
        if (body->size <= PUSH_BODY_BYTES_TARGET || m->groups_count <= 1) {
            return FB_OK;
        }
    }
}

fb_code push_build(replica *r, const push_plan *plan, buf *body, push_request *out, fb_error *err)
{
    push_source s;
    sync_request m = {0};
    bool zstd = false;
    bool own = false;

    FB_REQUIRE(r != NULL && plan != NULL && body != NULL && out != NULL);
    source_init(&s);
    fb_code rc = replica_view_begin(r, &own); /* where no lock keeps other syncs away (SES-4) */
    if (rc == FB_OK) {
        rc = read_body(r, &s, plan, &m, body, &zstd, err);
    }
    replica_view_end(r, own);
    source_clear(&s);
    if (rc != FB_OK) {
        return rc == FB_E_AUTH ? rc
                               : fail(err, rc, "outbox", "the outbox could not be read: try again");
    }
    trace(replica_port(r), TRACE_PUSH, "first=%lld groups=%u bytes=%zu", (long long)m.first,
          (unsigned)m.groups_count, body->size);
    *out = (push_request){
        .first = m.first, .groups_count = m.groups_count, .wait_ms = m.wait_ms, .zstd = zstd};
    return FB_OK;
}

fb_code push_authorization(replica *r, buf *out)
{
    replica_identity who;
    char device[FB_ID_TEXT_BYTES];
    fb_code rc = replica_identity_get(r, &who);

    if (rc == FB_OK) {
        id_put(&who.device, device);
        buf_put_str(out, "Fieldbook ");
        buf_put_str(out, device);
        buf_put_char(out, ':');
        hex_put(out, who.token.b, DIGEST_BYTES);
        rc = out->code;
    }
    bytes_wipe(&who, sizeof who);
    return rc;
}

/* pack.c - see cut.h: a first download in packs. The offer with its manifests and the answer to
 * every chunk are cut after every byte, each time on a copy of the replica as it stood there. What
 * a cut leaves is compared every time; that it heals is tried for every byte too, in a sample for
 * every 32nd and the last ones. A sample takes longer steps here, an image being dear. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/cut/cut.h"
#include "support/fleet.h"

enum { CUSTOMERS = 12, CHUNK_BYTES = 12000, HEAL_EVERY = 32, TAIL = 2, STAGES_MAX = 60 };

typedef struct pack_run {
    fleet f;
    const cut_options *o;
    cut_counters *n;
    fleet_device *d, *twin; /* twin: the copy, broken anew for every cut */
    fb_sync *sync;
    char *answer, *again; /* own copies: those of the link do not last */
    size_t size;
    fb_link_response reply; /* its body is `answer` */
    char path[160];
    int64_t rows; /* of a replica that is whole */
} pack_run;

static const char ROWS[] = "SELECT (SELECT count(*) FROM customer) * 1000000 + (SELECT "
                           "coalesce(sum(ver % 997), 0) FROM customer) + (SELECT count(*) FROM "
                           "setting) + (SELECT count(*) FROM role_permission)";

static fb_status status_of(fleet_device *d)
{
    fb_status s = FB_STATUS_INIT;
    fb_error err = {0};
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    return s;
}

/* The next request; its answer is kept. False: nothing is left. */
static bool asked(pack_run *w, fleet_device *d, fb_link_request *q)
{
    fb_error err = {0};
    fb_sync_action action;
    uint32_t wait_ms = 0;
    w->f.now_ms += 2000;
    fleet_must(fb_sync_open(d->db, NULL, &w->sync, &err), &err, "fb_sync_open");
    fleet_must(fb_sync_next(w->sync, &action, q, &wait_ms, &err), &err, "fb_sync_next");
    return action == FB_SYNC_SEND;
}

static void answer_keep(pack_run *w, const fb_link_request *q, char *to)
{
    fb_link link = fleet_link(w->d);
    fleet_must(link.exchange(link.ctx, q, &w->reply), NULL, "exchange");
    w->size = w->reply.body.size;
    memcpy(to, w->reply.body.data, w->size);
    w->reply.body.data = to;
}

static void twin_make(pack_run *w)
{
    crash_vfs_remove(w->f.vfs, "dev2");
    crash_vfs_copy(w->f.vfs, "dev1", "dev2");
    fleet_open_again(w->twin);
}

/* CUT-4: over a good line the copy gets there, and shows each row once. */
static void twin_heals(pack_run *w, size_t k)
{
    fb_error err = {0};
    fleet_sync(w->twin);
    if (fleet_number(w->twin, ROWS) != w->rows || status_of(w->twin).chunks_left != 0) {
        cut_bad(w->n, w->path, "down", k, "the download does not end with the rows of others");
    }
    if (fb_db_check(w->twin->db, &err) != FB_OK) {
        cut_bad(w->n, w->path, "down", k, err.message);
    }
}

/* The link notices the cut (`noticed`), or hands on what came as if it were all. */
static void down_cut(pack_run *w, size_t k, bool noticed)
{
    fb_error err = {0};
    fb_link_request q;
    twin_make(w);
    fb_status before = status_of(w->twin);
    if (!asked(w, w->twin, &q) || strcmp(q.path, w->path) != 0) {
        cut_bad(w->n, w->path, "down", k, "the copy asks for something else");
    }
    fb_link_response r = w->reply;
    r.body.size = k;
    if (noticed) {
        fleet_must(fb_sync_failed(w->sync, FB_E_TRUNCATED, &err), &err, "fb_sync_failed");
    } else {
        fb_code said = fb_sync_reply(w->sync, &r, &err);
        (void)said; /* an error, or "ask anew": what counts is what it kept */
    }
    fb_sync_close(w->sync);
    fb_status after = status_of(w->twin);
    if (after.chunks_count > before.chunks_count || after.chunks_left > before.chunks_left) {
        cut_bad(w->n, w->path, "down", k, "a cut answer was kept"); /* CUT-2 */
    }
    if (noticed && after.chunks_count != before.chunks_count) {
        cut_bad(w->n, w->path, "down", k, "a cut line took away what was here");
    }
    if (noticed || w->o->every == 1 || k % HEAL_EVERY == 0 || k + TAIL >= w->size) {
        twin_heals(w, k);
    }
    fb_db_close(w->twin->db);
    w->twin->db = NULL;
    w->n->packed += w->reply.zstd;
    w->n->plain += !w->reply.zstd;
}

static void up_cuts(pack_run *w, const fb_link_request *q)
{
    fb_link link = fleet_link(w->d);
    for (size_t k = 0; k < q->body.size; k += (size_t)w->o->every) {
        fb_link_request cut = *q;
        fb_link_response r = {.status = 0};
        cut.body.size = k;
        w->f.now_ms += 2000;
        fleet_must(link.exchange(link.ctx, &cut, &r), NULL, "exchange");
        w->n->plain++;
        if (r.status == 200) {
            cut_bad(w->n, w->path, "up", k, "a cut request was answered with 200"); /* CUT-1 */
        }
    }
}

/* Every byte, or a sample of them; the last ones always. */
static size_t next_cut(const pack_run *w, size_t k)
{
    size_t step = w->o->every == 1 ? 1 : (size_t)w->o->every * 6;
    size_t tail = w->size > TAIL ? w->size - TAIL : 0;
    return k < tail && k + step > tail ? tail : k + (k < tail ? step : 1);
}

/* What dev1 would ask next, cut everywhere; dev1 itself then gets it whole. False: all is here. */
static bool stage_cuts(pack_run *w)
{
    fb_error err = {0};
    fb_link_request q;
    bool done = false;
    bool more = asked(w, w->d, &q);
    if (more) {
        snprintf(w->path, sizeof w->path, "%s", q.path);
        up_cuts(w, &q);
        answer_keep(w, &q, w->answer);
        size_t size = w->size;
        answer_keep(w, &q, w->again);
        if (strncmp(w->path, "/v1/pack/", 9) == 0 &&
            (w->size != size || memcmp(w->answer, w->again, size) != 0)) { /* CUT-3 */
            cut_bad(w->n, w->path, "down", size, "the repeated chunk differs");
        }
    }
    fb_sync_close(w->sync);
    fb_db_close(w->d->db);
    w->n->messages += more ? 2 : 0;
    for (size_t k = 0; more && k < w->size; k = next_cut(w, k)) {
        down_cut(w, k, false);
    }
    if (more) {
        down_cut(w, w->size / 2, true);
    }
    fleet_open_again(w->d);
    fleet_must(fleet_exchange(w->d, &done, &err), &err, "exchange");
    return more && !done;
}

static void company_make(pack_run *w)
{
    for (int i = 0; i < CUSTOMERS; i++) {
        char code[12];
        snprintf(code, sizeof code, "K%d", i);
        company_add(&w->f.company, "customer",
                    PAIRS("code", code, "name", code, "party_type", "customer", "status", "active",
                          "territory_id", id_text(&w->f.territories[0])));
    }
}

void pack_cuts(const cut_options *o, cut_counters *n)
{
    pack_run *w = calloc(1, sizeof *w);
    int stages = 0;
    if (w == NULL || (w->answer = malloc(CUT_BODY_BYTES_MAX)) == NULL ||
        (w->again = malloc(CUT_BODY_BYTES_MAX)) == NULL) {
        abort();
    }
    w->o = o;
    w->n = n;
    w->f.packing = (server_packing){
        .rows_min = 10, .chunk_bytes = CHUNK_BYTES, .rest_ms = 1000, .age_ms = 1000};
    fleet_open(&w->f);
    company_make(w);
    fleet_build(&w->f);
    w->d = fleet_device_new(&w->f, &w->f.users[0]);
    w->twin = &w->f.devices[w->f.devices_count++];
    *w->twin = *w->d;
    w->twin->port.ctx = w->twin;
    w->twin->db = NULL;
    snprintf(w->twin->path, sizeof w->twin->path, "dev2/replica.db");
    fb_db_close(w->d->db);
    twin_make(w);
    fleet_sync(w->twin);
    w->rows = fleet_number(w->twin, ROWS);
    fb_db_close(w->twin->db);
    w->twin->db = NULL;
    fleet_open_again(w->d);
    while (stages < STAGES_MAX && stage_cuts(w)) {
        stages++;
    }
    if (stages < 4 || fleet_number(w->d, ROWS) != w->rows) {
        cut_bad(n, "pack", "down", (uint64_t)stages, "dev1 did not download in packs");
    }
    fleet_close(&w->f);
    free(w->answer);
    free(w->again);
    free(w);
}

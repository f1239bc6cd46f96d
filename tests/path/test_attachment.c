/* test_attachment.c - a photo from the tap to the manager's screen: the row in its group, the bytes
 * in their lane, over a network that is cut at every piece and a server that is stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "support/fleet.h"
#include "sync-server/blob/blob.h"

#include <cmocka.h>

enum { PHOTO_BYTES = 150000, THUMB_BYTES = 3000, PIECE_BYTES = 16 << 10 };

typedef struct stage {
    fleet f;
    fleet_device *rep, *manager;
    char photo[PHOTO_BYTES], thumb[THUMB_BYTES];
    fb_id visit, attachment;
} stage;

/* A link that loses requests, answers, or changes bytes. */
typedef struct bad_link {
    fb_link real;
    uint32_t seen;
    uint32_t lose_request; /* every n-th never arrives; 0: none */
    uint32_t lose_answer;  /* every n-th is carried out and the answer lost */
    int64_t flip_at;       /* byte of the body of pieces that is changed on the way; -1: none */
    char copy[5 << 20];
} bad_link;

static fb_code bad_exchange(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    bad_link *b = ctx;
    fb_link_request changed = *q;
    b->seen++;
    if (b->lose_request > 0 && b->seen % b->lose_request == 0) {
        return FB_E_OFFLINE;
    }
    if (b->flip_at >= 0 && strcmp(q->path, "/v1/blob/put") == 0) {
        memcpy(b->copy, q->body.data, q->body.size);
        b->copy[q->body.size - 1 - (size_t)b->flip_at] ^= 1;
        changed.body = (fb_text){b->copy, q->body.size};
    }
    fb_code rc = b->real.exchange(b->real.ctx, &changed, out);
    return b->lose_answer > 0 && b->seen % b->lose_answer == 0 ? FB_E_TRUNCATED : rc;
}

static bad_link *bad_link_new(fleet *f)
{
    static bad_link b;
    memset(&b, 0, sizeof b);
    b.real = fleet_link(&f->devices[0]);
    b.flip_at = -1;
    return &b;
}

static fb_code lane_once(fleet_device *d, const fb_link *link, const fb_lane_options *o,
                         fb_lane_report *report)
{
    fb_lane *lane = NULL;
    fb_error err = {0};
    d->world->now_ms += 1000;
    fleet_must(fb_lane_open(d->db, o, &lane, &err), &err, "fb_lane_open");
    fb_code rc = fb_lane_step(lane, link, 0, report, &err);
    fb_lane_close(lane);
    return rc;
}

/* The lane over a perfect network, until nothing is left. */
static fb_lane_report lane_run(fleet_device *d)
{
    fb_lane_report r;
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    fb_link link = fleet_link(d);
    o.piece_bytes_max = PIECE_BYTES;
    fleet_must(lane_once(d, &link, &o, &r), NULL, "lane");
    assert_true(r.complete);
    return r;
}

static void photo_add(stage *s)
{
    fb_error err = {0};
    fb_visit_in in;
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/jpeg";
    a.kind = "shelf";
    a.data = (fb_text){s->photo, PHOTO_BYTES};
    a.thumb = (fb_text){s->thumb, THUMB_BYTES};
    fleet_must(fb_group_begin(s->rep->db, "visit.photo", 0, &err), &err, "begin");
    fleet_must(fb_visit_check_in(s->rep->db, &s->f.customers[0], NULL, &in, &err), &err, "in");
    a.visit = in.visit;
    fleet_must(fb_attachment_add(s->rep->db, &a, &s->attachment, &err), &err, "add");
    fleet_must(fb_visit_check_out(s->rep->db, &in.visit, NULL, &err), &err, "out");
    fleet_must(fb_group_commit(s->rep->db, NULL, &err), &err, "commit");
    s->visit = in.visit;
}

static int setup(void **state)
{
    static stage s;
    memset(&s, 0, sizeof s);
    fleet_open(&s.f);
    for (int i = 0; i < PHOTO_BYTES; i++) {
        s.photo[i] = (char)(i * 7 + i / 251);
    }
    for (int i = 0; i < THUMB_BYTES; i++) {
        s.thumb[i] = (char)(i * 3 + i / 19);
    }
    s.rep = fleet_device_add(&s.f, &s.f.users[0]);
    s.manager = fleet_device_add(&s.f, &s.f.manager);
    photo_add(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    stage *s = *state;
    fleet_close(&s->f);
    return 0;
}

static fb_part_status status_of(fleet_device *d, const fb_id *id, fb_part part)
{
    fb_attachment_state a = {.size_bytes = sizeof a};
    fb_error err = {0};
    fleet_must(fb_attachment_status(d->db, id, &a, &err), &err, "status");
    return part == FB_PART_THUMB ? a.thumb : a.original;
}

#define STATE(device, part) status_of(device, &s->attachment, part).state

typedef struct taken {
    char bytes[PHOTO_BYTES];
    size_t size;
} taken;

static fb_code take(void *ctx, fb_text piece)
{
    taken *t = ctx;
    assert_true(t->size + piece.size <= sizeof t->bytes);
    memcpy(t->bytes + t->size, piece.data, piece.size);
    t->size += piece.size;
    return FB_OK;
}

static void assert_reads(fleet_device *d, const fb_id *id, fb_part part, const char *bytes,
                         size_t size)
{
    static taken t;
    fb_error err = {0};
    t.size = 0;
    fleet_must(fb_attachment_read(d->db, id, part, take, &t, &err), &err, "read");
    assert_int_equal(t.size, size);
    assert_memory_equal(t.bytes, bytes, size);
}

static fb_code read_code(fleet_device *d, const fb_id *id, fb_part part)
{
    static taken t;
    fb_error err = {0};
    t.size = 0;
    return fb_attachment_read(d->db, id, part, take, &t, &err);
}

/* The path: tap, row at the manager before the bytes, thumbnail, original on demand. */
static void photo_reaches_the_manager(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_UNSENT);
    assert_reads(s->rep, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
    fleet_sync(s->rep);
    fleet_sync(s->manager);
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_AWAY);
    (void)lane_run(s->manager); /* asks for the thumbnail: the rep has not sent it yet */
    assert_int_equal(STATE(s->manager, FB_PART_THUMB), FB_BYTES_ABSENT);
    assert_int_equal(read_code(s->manager, &s->attachment, FB_PART_THUMB), FB_E_NOT_FOUND);

    fb_lane_report up = lane_run(s->rep);
    assert_int_equal(up.stored_count, 2);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_SENT);
    s->f.now_ms += 6 * 60000; /* absent: asked again after five minutes */
    fb_lane_report down = lane_run(s->manager);
    assert_int_equal(down.fetched_count, 1);
    assert_reads(s->manager, &s->attachment, FB_PART_THUMB, s->thumb, THUMB_BYTES);
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_AWAY);

    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, false, &err),
               &err, "want");
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_WANTED);
    down = lane_run(s->manager);
    assert_int_equal(down.fetched_count, 1);
    assert_reads(s->manager, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_HERE);
    fleet_must(fb_db_check(s->manager->db, &err), &err, "check");
}

/* No row says any more what is owed to the server: the files themselves do. */
static void photo_outlives_the_database(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    fleet_lose_database(s->rep);
    fleet_sync(s->rep);
    fb_lane_report up = lane_run(s->rep);
    assert_int_equal(up.stored_count, 2);
    assert_reads(s->rep, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_SENT);
    fleet_sync(s->manager);
    (void)lane_run(s->manager);
    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, false, &err),
               &err, "want");
    (void)lane_run(s->manager);
    assert_reads(s->manager, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
    fleet_must(fb_db_check(s->rep->db, &err), &err, "check");
}

/* Every second request or answer is lost, in turn; the server is stopped after each. */
static void every_piece_is_cut_and_none_is_lost(void **state)
{
    stage *s = *state;
    fb_lane_report r = {0};
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    o.piece_bytes_max = PIECE_BYTES;
    fleet_sync(s->rep);
    uint64_t up = 0;
    uint32_t requests = 0;
    int rounds = 0;
    for (bool done = false; !done && rounds < 200; rounds++) {
        bad_link *b = bad_link_new(&s->f);
        b->lose_request = rounds % 2 == 0 ? 2 : 0;
        b->lose_answer = rounds % 2 == 0 ? 0 : 2;
        fb_link link = {b, bad_exchange};
        fb_code rc = lane_once(s->rep, &link, &o, &r);
        assert_true(rc == FB_OK || rc == FB_E_OFFLINE || rc == FB_E_TRUNCATED);
        up += r.bytes_up;
        requests += r.requests_count;
        done = r.complete;
        fleet_server_restart(&s->f);
        s->f.now_ms += 16 * 60000;
    }
    assert_true(rounds > 5 && rounds < 200);
    assert_true(requests > PHOTO_BYTES / PIECE_BYTES);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_SENT);
    /* What got through stayed: not more than each piece twice. */
    assert_true(up < 2 * (PHOTO_BYTES + THUMB_BYTES) + 400 * requests);
    fleet_sync(s->manager);
    fb_error err = {0};
    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, false, &err),
               &err, "want");
    for (int i = 0; i < 100 && STATE(s->manager, FB_PART_ORIGINAL) != FB_BYTES_HERE; i++) {
        bad_link *b = bad_link_new(&s->f);
        b->lose_answer = 2;
        fb_link link = {b, bad_exchange};
        fb_code rc = lane_once(s->manager, &link, &o, &r);
        assert_true(rc == FB_OK || rc == FB_E_TRUNCATED);
        s->f.now_ms += 16 * 60000;
    }
    assert_reads(s->manager, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
    assert_reads(s->manager, &s->attachment, FB_PART_THUMB, s->thumb, THUMB_BYTES);
}

static void count_path(void *ctx, const char *path, const void *data, size_t size)
{
    (void)data;
    (void)size;
    const char *name = strrchr(path, '/');
    if (strncmp(path, "server/master.db.blobs/", 23) == 0 && strlen(name + 1) == 64) {
        ++*(int *)ctx;
    }
}

static int server_files(stage *s)
{
    int count = 0;
    mem_files_each(s->f.files, count_path, &count);
    return count;
}

static void same_bytes_are_kept_once(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    fb_id second;
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    a.media_type = "image/jpeg";
    a.data = (fb_text){s->photo, PHOTO_BYTES};
    a.customer = s->f.customers[0];
    fleet_must(fb_attachment_add(s->rep->db, &a, &second, &err), &err, "add");
    fleet_sync(s->rep);
    fb_lane_report r = lane_run(s->rep);
    assert_int_equal(r.stored_count, 2); /* one photo and the thumbnail, though two rows */
    assert_int_equal(server_files(s), 2);
    assert_int_equal(status_of(s->rep, &second, FB_PART_ORIGINAL).state, FB_BYTES_SENT);
}

/* Bytes that are not what their hash says are dropped by the server, and the device begins again.
 */
static void changed_bytes_are_refused(void **state)
{
    stage *s = *state;
    fb_lane_report r = {0};
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    bad_link *b = bad_link_new(&s->f);
    fb_link link = {b, bad_exchange};
    fleet_sync(s->rep);
    b->flip_at = 10;
    fleet_must(lane_once(s->rep, &link, &o, &r), NULL, "lane");
    assert_int_equal(r.stored_count, 0);
    assert_int_equal(r.failed_count, 2);
    assert_int_equal(r.trouble, FB_E_INVALID);
    assert_int_equal(server_files(s), 0);
    fb_part_status st = status_of(s->rep, &s->attachment, FB_PART_ORIGINAL);
    assert_int_equal(st.error, FB_E_INVALID);
    assert_int_equal(st.tries, 1);
    s->f.now_ms += 60000;
    r = lane_run(s->rep);
    assert_int_equal(r.stored_count, 2);
}

/* A rep of another territory gets the answer that a hash nobody has would get. */
static void outsider_learns_nothing(void **state)
{
    stage *s = *state;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    fleet_device *other = fleet_device_add(&s->f, &s->f.users[1]);
    fb_error err = {0};
    fb_id forged;
    /* They know the hash from somewhere and refer to it from a row of their own. */
    char hash[80], json[512], customer[FB_ID_TEXT_BYTES];
    fleet_text(s->rep, "SELECT sha256 FROM attachment", hash, sizeof hash);
    fb_id_put(&s->f.customers[1], customer);
    snprintf(json, sizeof json,
             "{\"kind\":\"photo\",\"media_type\":\"image/jpeg\",\"size_bytes\":%d,"
             "\"sha256\":\"%s\",\"taken_at\":\"1760000000000\",\"customer_id\":\"%s\"}",
             PHOTO_BYTES, hash, customer);
    fleet_must(fb_record_put_json(other->db, "attachment", json, &forged, &err), &err, "put");
    fleet_sync(other);
    fleet_must(fb_attachment_want(other->db, &forged, FB_PART_ORIGINAL, false, &err), &err, "want");
    (void)lane_run(other);
    assert_int_equal(status_of(other, &forged, FB_PART_ORIGINAL).state, FB_BYTES_ABSENT);
}

/* The manager loses the region in the middle of a download: nothing more comes, and what came
 * goes with the row. */
static void revoked_scope_ends_the_download(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    fb_lane_report r = {0};
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    fleet_sync(s->manager);
    (void)lane_run(s->manager);
    assert_int_equal(STATE(s->manager, FB_PART_THUMB), FB_BYTES_HERE);
    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, false, &err),
               &err, "want");
    bad_link *b = bad_link_new(&s->f);
    fb_link link = {b, bad_exchange};
    b->lose_request = 2;
    o.piece_bytes_max = PIECE_BYTES;
    assert_int_equal(lane_once(s->manager, &link, &o, &r), FB_E_OFFLINE);
    fb_id nowhere = company_add(&s->f.company, "org_unit",
                                PAIRS("code", "R9", "name", "West", "kind", "region"));
    company_set(&s->f.company, "app_user", &s->f.manager, PAIRS("org_unit_id", id_text(&nowhere)));
    s->f.now_ms += 16 * 60000;
    r = lane_run(s->manager); /* rows are not synced yet: the device still thinks it may */
    assert_int_equal(r.trouble, FB_E_NOT_FOUND);
    assert_int_equal(r.fetched_count, 0);
    fleet_sync(s->manager);
    assert_int_equal(fleet_number(s->manager, "SELECT count(*) FROM attachment"), 0);
    (void)lane_run(s->manager);
    fb_attachment_totals t = {.size_bytes = sizeof t};
    fleet_must(fb_attachment_count(s->manager->db, &t, &err), &err, "count");
    assert_int_equal(t.here_count, 0);
}

/* The region goes and comes back between two of the manager's syncs: their device never saw the row
 * go, so nothing else would ever ask for its thumbnail again. */
static void thumbnail_refused_for_a_while_comes_when_it_may(void **state)
{
    stage *s = *state;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    fleet_sync(s->manager);
    fb_id home = s->f.region;
    fb_id nowhere = company_add(&s->f.company, "org_unit",
                                PAIRS("code", "R9", "name", "West", "kind", "region"));
    company_set(&s->f.company, "app_user", &s->f.manager, PAIRS("org_unit_id", id_text(&nowhere)));
    assert_int_equal(lane_run(s->manager).trouble, FB_E_NOT_FOUND);
    assert_int_equal(STATE(s->manager, FB_PART_THUMB), FB_BYTES_ABSENT);
    company_set(&s->f.company, "app_user", &s->f.manager, PAIRS("org_unit_id", id_text(&home)));
    fleet_sync(s->manager);
    s->f.now_ms += 16 * 60000;
    assert_int_equal(lane_run(s->manager).fetched_count, 1);
    assert_reads(s->manager, &s->attachment, FB_PART_THUMB, s->thumb, THUMB_BYTES);
}

/* The customer moves: the visit and its photo follow without a new version, and so do the bytes. */
static void bytes_follow_their_customer(void **state)
{
    stage *s = *state;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    fleet_device *other = fleet_device_add(&s->f, &s->f.users[1]);
    (void)lane_run(other);
    assert_int_equal(fleet_number(other, "SELECT count(*) FROM attachment"), 0);
    company_set(&s->f.company, "customer", &s->f.customers[0],
                PAIRS("territory_id", id_text(&s->f.territories[1])));
    fleet_sync(other);
    (void)lane_run(other);
    assert_int_equal(status_of(other, &s->attachment, FB_PART_THUMB).state, FB_BYTES_HERE);
    assert_reads(other, &s->attachment, FB_PART_THUMB, s->thumb, THUMB_BYTES);
}

/* `copy`: the backup of the database. */
static blob_report backup_of(stage *s, store *copy, int64_t hold_ms)
{
    const blob_moment at = {s->f.now_ms, hold_ms};
    blob_place p;
    blob_report r = {0};
    fb_error err = {0};
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(s->f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fleet_must(blob_backup(&p, copy, s->f.admin, "safe/backup.blobs", &at, &r, &err), &err,
               "backup");
    blob_report v = {0};
    fleet_must(blob_backup_verify(p.files, copy, "safe/backup.blobs", &v, &err), &err, "verify");
    assert_int_equal(v.files, r.files);
    blob_place_clear(&p);
    return r;
}

static blob_report backup(stage *s)
{
    return backup_of(s, s->f.admin, 0);
}

/* BAK-2: a moment before the newest backup may be restored too. */
static void originals_wait_for_a_backup_that_is_old_enough(void **state)
{
    enum { HOLD_MS = 24 * 3600000, STEP_MS = 9 * 3600000 };
    stage *s = *state;
    fb_error err = {0};
    int64_t freed = -1;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    for (int i = 0; i < 4; i++) { /* at 0, 9, 18 and 27 hours */
        assert_int_equal(backup_of(s, s->f.admin, HOLD_MS).files, 2);
        s->f.now_ms += STEP_MS;
        (void)lane_run(s->rep);
        fleet_must(fb_attachment_free(s->rep->db, 0, &freed, &err), &err, "free");
        assert_int_equal(freed, i < 3 ? 0 : PHOTO_BYTES);
    }
}

/* A restore puts back what its database counts. Bytes that arrive after that copy was made, while
 * the backup still runs, would be gone from the device and from the restored server. */
static void bytes_that_arrive_after_the_copy_wait_for_the_next(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    store *copy = NULL;
    int64_t freed = -1;
    fleet_sync(s->rep);
    crash_vfs_copy(s->f.vfs, "server", "copy");
    fleet_must(
        store_open(&(store_options){.path = "copy/master.db", .vfs = "fleetfs"}, &copy, &err), &err,
        "store_open");
    (void)lane_run(s->rep);
    assert_int_equal(backup_of(s, copy, 0).files, 0);
    store_close(copy);
    s->f.now_ms += 7 * 3600000LL; /* asked again after six hours */
    (void)lane_run(s->rep);
    fleet_must(fb_attachment_free(s->rep->db, 0, &freed, &err), &err, "free");
    assert_int_equal(freed, 0);
    assert_int_equal(backup(s).copied, 2);
}

/* Originals leave the device only after a verified backup has them; thumbnails stay. */
static void originals_leave_only_when_safe(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    int64_t freed = -1;
    fleet_sync(s->rep);
    fleet_must(fb_attachment_free(s->rep->db, 0, &freed, &err), &err, "free");
    assert_int_equal(freed, 0); /* unsent */
    (void)lane_run(s->rep);
    fleet_must(fb_attachment_free(s->rep->db, 0, &freed, &err), &err, "free");
    assert_int_equal(freed, 0); /* the server has it, no backup has */
    assert_int_equal(backup(s).copied, 2);
    assert_int_equal(backup(s).copied, 0); /* a folder that only grows */
    s->f.now_ms += 7 * 3600000LL;          /* asked again after six hours */
    (void)lane_run(s->rep);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_HERE);
    fleet_must(fb_attachment_free(s->rep->db, 0, &freed, &err), &err, "free");
    assert_int_equal(freed, PHOTO_BYTES);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_AWAY);
    assert_reads(s->rep, &s->attachment, FB_PART_THUMB, s->thumb, THUMB_BYTES);
    fleet_must(fb_attachment_want(s->rep->db, &s->attachment, FB_PART_ORIGINAL, false, &err), &err,
               "want");
    (void)lane_run(s->rep);
    assert_reads(s->rep, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
}

static void server_path(stage *s, const char *column, char out[160])
{
    char hash[80], sql[80];
    snprintf(sql, sizeof sql, "SELECT %s FROM attachment", column);
    fleet_text(s->rep, sql, hash, sizeof hash);
    snprintf(out, 160, "server/master.db.blobs/%.2s/%.2s/%s", hash, hash + 2, hash);
}

/* A flipped bit on the server is found by the check, and the device that has the bytes sends them
 * again. */
static void damaged_file_is_found_and_sent_again(void **state)
{
    stage *s = *state;
    char path[160];
    blob_report r = {0};
    blob_place p;
    memset(&p, 0, sizeof p);
    fleet_must(blob_place_init(&p, mem_files_port(s->f.files), "server/master.db",
                               &(blob_limits){.unnamed_days = 30}),
               NULL, "place");
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    server_path(s, "sha256", path);
    assert_true(mem_files_flip(s->f.files, path, 77777));
    fleet_must(blob_check(&p, s->f.admin, s->f.now_ms, false, NULL, NULL, &r), NULL, "check");
    assert_int_equal(r.damaged, 1);
    r = (blob_report){0};
    fleet_must(blob_check(&p, s->f.admin, s->f.now_ms, true, NULL, NULL, &r), NULL, "repair");
    assert_int_equal(server_files(s), 1);
    s->f.now_ms += 7 * 3600000LL;
    fb_lane_report up = lane_run(s->rep);
    assert_int_equal(up.stored_count, 1);
    r = (blob_report){0};
    fleet_must(blob_check(&p, s->f.admin, s->f.now_ms, false, NULL, NULL, &r), NULL, "check");
    assert_int_equal(r.damaged + r.missing + r.waiting, 0);
    assert_int_equal(r.files, 2);
    blob_place_clear(&p);
}

static void device_path(stage *s, char out[160])
{
    char hash[80];
    fleet_text(s->rep, "SELECT sha256 FROM attachment", hash, sizeof hash);
    snprintf(out, 160, "%s.blobs/%s", s->rep->path, hash);
}

/* A copy that went bad on the device is noticed when it is read, and fetched again. */
static void damaged_copy_is_fetched_again(void **state)
{
    stage *s = *state;
    char path[160];
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    device_path(s, path);
    assert_true(mem_files_flip(s->f.files, path, 100));
    assert_int_equal(read_code(s->rep, &s->attachment, FB_PART_ORIGINAL), FB_E_CORRUPT);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_WANTED);
    (void)lane_run(s->rep);
    assert_reads(s->rep, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
}

/* One that went bad before the server had it is lost: the server refuses it, the device looks at
 * its file, says so, and does not send it for ever. */
static void damaged_before_it_was_sent_is_told(void **state)
{
    stage *s = *state;
    char path[160];
    fb_attachment_state st = {.size_bytes = sizeof st};
    fleet_sync(s->rep);
    device_path(s, path);
    assert_true(mem_files_flip(s->f.files, path, 100));
    fb_lane_report r = lane_run(s->rep);
    assert_int_equal(r.trouble, FB_E_INVALID);
    assert_int_equal(r.stored_count, 1); /* the thumbnail */
    fleet_must(fb_attachment_status(s->rep->db, &s->attachment, &st, NULL), NULL, "status");
    assert_int_equal(st.original.state, FB_BYTES_AWAY);
    assert_int_equal(st.original.error, FB_E_CORRUPT);
    s->f.now_ms += 3600000LL;
    assert_int_equal(lane_run(s->rep).failed_count, 0);
}

/* The device is about to ask again whether the server still has it: it may well. */
static void damaged_while_asked_is_fetched_again(void **state)
{
    stage *s = *state;
    char path[160];
    fb_lane *lane = NULL;
    fb_sync_action action;
    fb_link_request q;
    uint32_t wait_ms = 0;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    s->f.now_ms += 7 * 3600000LL;
    fleet_must(fb_lane_open(s->rep->db, NULL, &lane, NULL), NULL, "open");
    fleet_must(fb_lane_next(lane, &action, &q, &wait_ms, NULL), NULL, "next");
    fb_lane_close(lane);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_UNSENT);
    device_path(s, path);
    assert_true(mem_files_flip(s->f.files, path, 100));
    assert_int_equal(read_code(s->rep, &s->attachment, FB_PART_ORIGINAL), FB_E_CORRUPT);
    (void)lane_run(s->rep);
    assert_reads(s->rep, &s->attachment, FB_PART_ORIGINAL, s->photo, PHOTO_BYTES);
}

static void metered_network_carries_thumbnails_only(void **state)
{
    stage *s = *state;
    fb_lane_report r = {0};
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    fb_link link = fleet_link(&s->f.devices[0]);
    fb_error err = {0};
    fleet_sync(s->rep);
    o.metered = true;
    o.policy = FB_METERED_NOTHING;
    fleet_must(lane_once(s->rep, &link, &o, &r), NULL, "lane");
    assert_int_equal(r.requests_count, 0);
    o.policy = FB_METERED_THUMBS;
    fleet_must(lane_once(s->rep, &link, &o, &r), NULL, "lane");
    assert_int_equal(STATE(s->rep, FB_PART_THUMB), FB_BYTES_SENT);
    assert_int_equal(STATE(s->rep, FB_PART_ORIGINAL), FB_BYTES_UNSENT);
    (void)lane_run(s->rep);
    fleet_sync(s->manager);
    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, false, &err),
               &err, "want");
    fleet_must(lane_once(s->manager, &link, &o, &r), NULL, "lane");
    assert_int_equal(STATE(s->manager, FB_PART_THUMB), FB_BYTES_HERE);
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_WANTED);
    fleet_must(fb_attachment_want(s->manager->db, &s->attachment, FB_PART_ORIGINAL, true, &err),
               &err, "want, whatever it costs");
    fleet_must(lane_once(s->manager, &link, &o, &r), NULL, "lane");
    assert_int_equal(STATE(s->manager, FB_PART_ORIGINAL), FB_BYTES_HERE);
}

/* No room on the device: the photo and its visit are refused together. No room at the server: the
 * rows go on, the bytes wait. */
static void full_disks_lose_nothing(void **state)
{
    stage *s = *state;
    fb_error err = {0};
    fb_lane_report r = {0};
    fb_lane_options o = FB_LANE_OPTIONS_INIT;
    fb_link link = fleet_link(&s->f.devices[0]);
    fb_attachment_in a = FB_ATTACHMENT_IN_INIT;
    s->photo[0] ^= 1;
    a.media_type = "image/jpeg";
    a.data = (fb_text){s->photo, PHOTO_BYTES};
    a.customer = s->f.customers[0];
    mem_files_quota(s->f.files, PHOTO_BYTES + THUMB_BYTES + 1000);
    assert_int_equal(fb_attachment_add(s->rep->db, &a, NULL, &err), FB_E_DISK_FULL);
    assert_int_equal(fleet_number(s->rep, "SELECT count(*) FROM attachment"), 1);
    fleet_sync(s->rep);
    assert_int_equal(lane_once(s->rep, &link, &o, &r), FB_E_BUSY);
    assert_true(r.waiting);
    assert_int_equal(server_files(s), 0);
    mem_files_quota(s->f.files, 0);
    s->f.now_ms += 16 * 60000;
    assert_int_equal(lane_run(s->rep).stored_count, 2);
}

/* The server comes back without its photos: the device offers again what was lost. */
static void restored_server_gets_them_again(void **state)
{
    stage *s = *state;
    fleet_sync(s->rep);
    (void)lane_run(s->rep);
    char path[160];
    server_path(s, "sha256", path);
    const fb_files *files = mem_files_port(s->f.files);
    fleet_must(files->remove(files->ctx, path), NULL, "remove");
    s->f.now_ms += 7 * 3600000LL;
    assert_int_equal(lane_run(s->rep).stored_count, 1);
    assert_int_equal(server_files(s), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(photo_reaches_the_manager, setup, teardown),
        cmocka_unit_test_setup_teardown(photo_outlives_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(every_piece_is_cut_and_none_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(same_bytes_are_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_bytes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(outsider_learns_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(revoked_scope_ends_the_download, setup, teardown),
        cmocka_unit_test_setup_teardown(thumbnail_refused_for_a_while_comes_when_it_may, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_follow_their_customer, setup, teardown),
        cmocka_unit_test_setup_teardown(originals_leave_only_when_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(originals_wait_for_a_backup_that_is_old_enough, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_that_arrive_after_the_copy_wait_for_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_file_is_found_and_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_copy_is_fetched_again, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_before_it_was_sent_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_while_asked_is_fetched_again, setup, teardown),
        cmocka_unit_test_setup_teardown(metered_network_carries_thumbnails_only, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disks_lose_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(restored_server_gets_them_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_more_statements_fail.c - smaller steps than those of test_statement_fails.c: changes of a
 * row that has another name by now, buckets that are mended, packs that are refused, a server that
 * was restored, what is saved after a refused reply, bytes of attachments. Method: steps_fixture.h.
 */
#include "person_fixture.h"
#include "replica/blob.h"
#include "sql/sql.h"
#include "steps_fixture.h"
#include "support/mem_files.h"
#include "wire/pack.h"
#include "wire/pack_msg.h"
#include "wire/sync_msg.h"

#define DB lab_path("more_statements_fail")
#define PHOTO "a photo of a shelf"

static void sql(lab *l, const char *text)
{
    if (sql_exec(replica_sql(l->r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(l->r)));
    }
}

/* --- scenes --------------------------------------------------------------------------------- */

static void nothing_make(lab *l)
{
    (void)l;
}

static void rows_make(lab *l)
{
    buf out;
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    for (unsigned i = 5; i <= 7; i++) {
        reply_row(l, &out, i, "of the server", "note", 10, 50);
    }
    reply_take(l, &out);
}

static void pending_make(lab *l)
{
    rows_make(l);
    lab_save(l, 1, "one", 1);
}

/* Row 1 is known to the server as row 9, row 2 as row 8. */
static void renamed_make(lab *l)
{
    buf out;
    char from[FB_ID_TEXT_BYTES], to[FB_ID_TEXT_BYTES];
    reply_begin(l, &out, 2, 0, 7);
    for (unsigned n = 1; n <= 2; n++) {
        const fb_id mine = lab_id(n), theirs = lab_id(10 - n);
        lab_save(l, n, "double", 1);
        id_put(&mine, from);
        id_put(&theirs, to);
        struct verdict_alias alias = {T("lab_item"), text_of(from), text_of(to)};
        const verdict_msg v = {
            .gseq = n, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
        verdict_put(&out, &v);
    }
    reply_page(&out, "0.7", true, false);
    reply_row(l, &out, 9, "single", NULL, 1, 70);
    reply_row(l, &out, 8, "single", NULL, 1, 71);
    reply_take(l, &out);
}

/* Every kind of change, by the names the rows had. */
static fb_code renamed_change(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    const fb_id one = lab_id(1), two = lab_id(2);
    const int columns[] = {l->name, l->parent};
    const fb_value values[] = {{.kind = FB_KIND_TEXT, .u.text = T("mine")},
                               {.kind = FB_KIND_ID, .u.id = lab_id(1)}};
    fb_code rc = capture_begin(l->r, "lab.save", 0, 0, err);
    if (rc == FB_OK) {
        rc = capture_update(l->r, l->item, &one, columns, values, 2, err);
    }
    if (rc == FB_OK) {
        rc = capture_delta(l->r, l->item, &one, l->qty, 3, err);
    }
    if (rc == FB_OK) {
        rc = capture_delete(l->r, l->item, &two, err);
    }
    if (rc == FB_OK) {
        return capture_commit(l->r, &gseq, err);
    }
    capture_abort(l->r);
    return rc;
}

static void renamed_pending_make(lab *l)
{
    fb_error err = {.code = FB_OK};
    renamed_make(l);
    assert_int_equal(renamed_change(l, &err), FB_OK);
}

static fb_code another_row(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    outbox_state box = {.acked = 0};
    fb_code rc = outbox_state_get(l->r, &box);
    if (rc != FB_OK) {
        return rc;
    }
    reply_begin(l, &out, box.acked, 0, 9);
    reply_page(&out, "0.9", true, false);
    reply_row(l, &out, 6, "another", NULL, 1, 90);
    return reply_try(l, &out, &got, err);
}

static fb_code taken_over(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    return rescue_take(
        l->r,
        T("{\"k\":\"lab.save\",\"at\":\"1750000000000\",\"cv\":2,\"ops\":[[\"+\",\"lab_item\","
          "[\"id\",\"name\",\"qty\"],[[\"01900000-0000-7000-8000-000000000001\",\"x\",\"5\"]]]]}"),
        &gseq, err);
}

/* --- sums ----------------------------------------------------------------------------------- */

/* Three rows and the two that say what the person may. */
#define WRONG T("5:0123456789abcdef")

static fb_code wrong_page(lab *l, const char *token, bool complete, bool fixes, fb_error *err)
{
    buf out;
    stage_result got;
    page_head page = {.token = text_of(token), .complete = complete};
    page.totals = complete ? WRONG : (fb_text){"", 0};
    for (unsigned b = 0; fixes && b < ROW_BUCKETS; b++) {
        bucket_set_add(&page.fix, b);
    }
    reply_begin(l, &out, 0, 0, 8);
    page_head_put(&out, &page);
    if (fixes) {
        reply_rights(l, &out);
    }
    return reply_try(l, &out, &got, err);
}

static fb_code totals_differ(lab *l, fb_error *err)
{
    return wrong_page(l, "0.8", true, false, err);
}

/* They were counted a moment ago. */
static void counted_make(lab *l)
{
    char text[120];
    rows_make(l);
    snprintf(text, sizeof text, "INSERT OR REPLACE INTO fb_meta VALUES ('digest_checked_ms', %lld)",
             (long long)l->wall_ms);
    sql(l, text);
}

static void mending_make(lab *l)
{
    fb_error err = {.code = FB_OK};
    counted_make(l);
    assert_int_equal(totals_differ(l, &err), FB_OK);
}

static fb_code buckets_come(lab *l, fb_error *err)
{
    return wrong_page(l, "0.9", true, true, err);
}

static void mending_staged_make(lab *l)
{
    fb_error err = {.code = FB_OK};
    mending_make(l);
    assert_int_equal(wrong_page(l, "0.8.5", false, false, &err), FB_OK);
}

/* --- replies -------------------------------------------------------------------------------- */

static void put_offer(lab *l, buf *out)
{
    buf manifest;
    pack_count count = {T("lab_item"), 1};
    pack_chunk chunk = {.size_bytes = 10, .raw_bytes = 10};
    const pack_manifest m = {.version = PACK_VERSION,
                             .epoch = l->epoch,
                             .scope = 1,
                             .position = 5,
                             .catalog_version = 2,
                             .rows = 1,
                             .counts = &count,
                             .counts_count = 1,
                             .chunks = &chunk,
                             .chunks_count = 1};
    const sign_public key = {{1}};
    const signature sig = {{2}};
    buf_init(&manifest, 4096);
    pack_manifest_put(&manifest, &m);
    pack_offer_put(out, &key, &sig, buf_text(&manifest));
    buf_clear(&manifest);
}

/* Nobody has told this device whose they are (PAK-4). */
static fb_code packs_come(lab *l, fb_error *err)
{
    buf out;
    stage_result got = {.packs_refused = false};
    reply_begin(l, &out, 0, 0, 9);
    put_offer(l, &out);
    reply_page(&out, "0.9", false, true);
    fb_code rc = reply_try(l, &out, &got, err);
    assert_true(rc != FB_OK || got.packs_refused);
    return rc;
}

/* A chunk was fetched whose row has no id: what the server packed wrongly. */
static void wrong_chunk_make(lab *l)
{
    static const char ROWS[] =
        "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"name\",\"id\",\"ver\"]}\n[\"x\",null,\"5\"]\n";
    buf out, chunk;
    stage_result got;
    fb_error err = {.code = FB_OK};
    rows_make(l);
    reply_begin(l, &out, 0, 0, 7);
    reply_page(&out, "0.7", false, true);
    reply_rights(l, &out);
    assert_int_equal(reply_try(l, &out, &got, &err), FB_OK);
    buf_init(&chunk, 1 << 12);
    assert_int_equal(pack_put(&chunk, T(ROWS)), FB_OK);
    sql_stmt *s = sql_prepare(replica_sql(l->r), "INSERT INTO fb_stage (applied, reset, rows, "
                                                 "counts, body) VALUES (0, 2, 1, '', ?1)");
    sql_bind_blob(s, 1, chunk.data, chunk.size);
    assert_int_equal(sql_run(s), FB_OK);
    buf_clear(&chunk);
}

/* The first failure is the one to report; what was fetched goes, if only that can be done too. */
static fb_code wrong_chunk_shown(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    fb_code rc = reply_try(l, &out, &got, err);
    assert_true(rc != FB_OK);
    if (rc != FB_E_PROTOCOL) {
        return rc;
    }
    int64_t staged = 0;
    rc = count_try(l, "SELECT count(*) FROM fb_stage", &staged);
    return rc == FB_OK && staged > 0 ? FB_E_IO : rc;
}

/* Names and values are escaped: reading them takes memory each time. */
static fb_code unknown_comes(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    buf_put_str(&out,
                "{\"e\":\"lab_item\",\"k\":\"row\",\"\\u0063\":[\"id\",\"ver\",\"l\\u0061ter\"]}\n"
                "[\"01900000-0000-7000-8000-000000000005\",\"90\",{\"\\u0061\":\"\\u0062\"}]\n");
    return reply_try(l, &out, &got, err);
}

static void changes_make(lab *l)
{
    rows_make(l);
    lab_change(l, 5, l->name, "mine");
    lab_change(l, 6, l->name, "mine");
}

static fb_code both_stand(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 2, 0, 9);
    verdict_run_put(&out, 1, 2, 8);
    reply_page(&out, "0.9", true, false);
    return reply_try(l, &out, &got, err);
}

/* The page was read before the group, whose verdict comes with it. */
static fb_code page_before_group(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    verdict_run_put(&out, 1, 1, 10);
    reply_page(&out, "0.9", true, false);
    reply_row(l, &out, 6, "another", NULL, 1, 90);
    return reply_try(l, &out, &got, err);
}

static void backed_up_make(lab *l)
{
    buf out;
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
    reply_begin(l, &out, 2, 2, 6);
    verdict_run_put(&out, 1, 2, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
    lab_save(l, 3, "three", 3);
}

/* From a backup that is older than the one it spoke of. */
static fb_code server_restored(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    const fb_id epoch = l->epoch;
    l->epoch.b[15] ^= 1;
    reply_begin(l, &out, 0, 0, 3);
    fb_code rc = reply_try(l, &out, &got, err);
    l->epoch = epoch;
    assert_true(rc != FB_OK || got.reborn);
    return rc;
}

/* What memory holds is read again after it, and the second copy is looked at. */
static fb_code refused_reply(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_verdict(&out, 77, VERDICT_HELD, false);
    fb_code rc = reply_try(l, &out, &got, err);
    return rc == FB_E_PROTOCOL ? FB_OK : rc;
}

static fb_code save_after(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    const fb_id five = lab_id(5);
    const fb_value mine = {.kind = FB_KIND_TEXT, .u.text = T("mine")};
    fb_code rc = refused_reply(l, err);
    if (rc == FB_OK) {
        rc = capture_begin(l->r, "lab.save", 0, 0, err);
    }
    if (rc != FB_OK) {
        return rc;
    }
    rc = capture_update(l->r, l->item, &five, &l->name, &mine, 1, err);
    if (rc == FB_OK) {
        return capture_commit(l->r, &gseq, err);
    }
    capture_abort(l->r);
    return rc;
}

static fb_code draft_after(lab *l, fb_error *err)
{
    const draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{}")};
    fb_code rc = refused_reply(l, err);
    return rc == FB_OK ? draft_put(l->r, &d) : rc;
}

/* --- bytes ---------------------------------------------------------------------------------- */

static mem_files *files;

static const char *photo_name(char name[BLOB_NAME_BYTES + 1])
{
    digest hash;
    digest_of(PHOTO, sizeof PHOTO - 1, &hash);
    blob_name_put(&hash, name);
    return name;
}

/* A step may remove it, and the next one finds it again. */
static void photo_file_put(const lab *l)
{
    char name[BLOB_NAME_BYTES + 1], path[300];
    snprintf(path, sizeof path, "%s.blobs/%s", l->path, photo_name(name));
    mem_files_put(files, path, PHOTO, sizeof PHOTO - 1);
}

static void photo_make(lab *l, const char *state)
{
    char text[300], name[BLOB_NAME_BYTES + 1];
    l->files = mem_files_port(files);
    lab_reopen(l);
    snprintf(text, sizeof text,
             "INSERT INTO fb_blob (hash, size, thumb, direction, state, at_ms) VALUES "
             "('%s', %d, 0, 2, %s, 1)",
             photo_name(name), (int)sizeof PHOTO - 1, state);
    sql(l, text);
}

static void attachment_make(lab *l)
{
    buf out;
    rows_make(l);
    reply_begin(l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, false);
    buf_put_str(&out, "{\"e\":\"attachment\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"sha256\"]}\n"
                      "[\"01900000-0000-7000-8000-000000000051\",\"60\",\"no hash\"]\n");
    reply_take(l, &out);
}

static fb_code attachment_erased(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 8);
    reply_page(&out, "0.8", true, false);
    buf_put_str(&out, "{\"e\":\"attachment\",\"k\":\"delete\"}\n"
                      "[\"01900000-0000-7000-8000-000000000051\"]\n");
    return reply_try(l, &out, &got, err);
}

static void photo_wanted_make(lab *l)
{
    pending_make(l);
    photo_make(l, "7");
}

static fb_code photo_want(lab *l, fb_error *err)
{
    digest hash;
    (void)err;
    digest_of(PHOTO, sizeof PHOTO - 1, &hash);
    return blob_want(l->r, &hash, sizeof PHOTO - 1, false, true);
}

static void photo_unnamed_make(lab *l)
{
    rows_make(l);
    photo_make(l, "6");
}

static void photo_arrived_make(lab *l)
{
    pending_make(l); /* nothing is forgotten before it is judged */
    photo_make(l, "5");
}

static fb_code round_begins(lab *l, fb_error *err)
{
    (void)err;
    photo_file_put(l);
    return blob_round_begin(l->r, 5000);
}

static void photo_lost_make(lab *l)
{
    pending_make(l);
    photo_make(l, "2");
}

static fb_code piece_is_read(lab *l, fb_error *err)
{
    buf piece;
    blob_info b = {.stage = BLOB_SEND, .size = sizeof PHOTO - 1};
    (void)err;
    digest_of(PHOTO, sizeof PHOTO - 1, &b.hash);
    char name[BLOB_NAME_BYTES + 1], path[300];
    snprintf(path, sizeof path, "%s.blobs/%s", l->path, photo_name(name));
    (void)!l->files->remove(l->files->ctx, path);
    buf_init(&piece, 1 << 10);
    fb_code rc = blob_piece(l->r, &b, 10, &piece);
    buf_clear(&piece);
    return rc == FB_E_CORRUPT ? FB_OK : rc; /* as it must be told */
}

static fb_code room_is_made(lab *l, fb_error *err)
{
    int64_t freed = 0;
    (void)err;
    photo_file_put(l);
    return blob_evict(l->r, 0, &freed);
}

#define NO_GROUP(gseq) "SELECT NOT EXISTS (SELECT 1 FROM fb_outbox WHERE gseq=" gseq ")"
#define NO_OTHER_ROW "SELECT NOT EXISTS (SELECT 1 FROM lab_item WHERE ver=90)"

/* And some row has another name: each id of a group is looked up. */
static void renamed_person_make(lab *l)
{
    person_make(l);
    sql(l, "INSERT INTO fb_alias VALUES (x'01900000000070008000000000000061', 'lab_item',"
           " x'01900000000070008000000000000062', 0)");
    lab_reopen(l);
}

static const struct step STEPS[] = {
    {"a person is erased where a row has another name", renamed_person_make, erased,
     "SELECT EXISTS (SELECT 1 FROM fb_verdict WHERE instr(body, '0303') > 0)"},
    {"changes of a row by its earlier name are saved", renamed_make, renamed_change, NO_GROUP("3")},
    {"they are put on again", renamed_pending_make, another_row, NO_OTHER_ROW},
    {"a group is taken over whose row has another name", renamed_make, taken_over, NO_GROUP("3")},
    {"the totals differ from what was counted", counted_make, totals_differ,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_meta WHERE key='digest_faults' AND value > 0)"},
    {"buckets are mended", mending_make, buckets_come,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_meta WHERE key='digest_fixed')"},
    {"buckets are mended by the last page of a download", mending_staged_make, buckets_come,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_meta WHERE key='digest_fixed')"},
    {"packs are refused", rows_make, packs_come,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_meta WHERE key='packs_failed')"},
    {"what was packed wrongly is given up", wrong_chunk_make, wrong_chunk_shown,
     "SELECT EXISTS (SELECT 1 FROM fb_stage)"},
    {"a row comes with a column of later", rows_make, unknown_comes,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_unknown)"},
    {"changes stand as sent", changes_make, both_stand, "SELECT EXISTS (SELECT 1 FROM fb_undo)"},
    {"a page was read before the group that stands", pending_make, page_before_group, NO_OTHER_ROW},
    {"a server was restored", backed_up_make, server_restored,
     "SELECT value=1 FROM fb_meta WHERE key='life'"},
    {"a change is saved after a refused reply", pending_make, save_after, NO_GROUP("2")},
    {"a draft is put after a refused reply", nothing_make, draft_after,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_draft)"},
    {"an attachment is erased", attachment_make, attachment_erased,
     "SELECT EXISTS (SELECT 1 FROM attachment)"},
    {"bytes are wanted again", photo_wanted_make, photo_want,
     "SELECT EXISTS (SELECT 1 FROM fb_blob WHERE state=7)"},
    {"bytes are let go that no row names", photo_unnamed_make, round_begins,
     "SELECT EXISTS (SELECT 1 FROM fb_blob)"},
    {"bytes are here whose row does not know", photo_arrived_make, round_begins,
     "SELECT EXISTS (SELECT 1 FROM fb_blob WHERE state=5)"},
    {"bytes are lost before they were sent", photo_lost_make, piece_is_read,
     "SELECT EXISTS (SELECT 1 FROM fb_blob WHERE state=2)"},
    {"bytes make room", photo_unnamed_make, room_is_made,
     "SELECT EXISTS (SELECT 1 FROM fb_blob WHERE state=6)"},
};

static void step__fails_whole_or_succeeds(void **state)
{
    (void)state;
    files = mem_files_new(7);
    steps_fail(STEPS, sizeof STEPS / sizeof STEPS[0], DB);
    mem_files_free(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step__fails_whole_or_succeeds),
    };
    return cmocka_run_group_tests_name("more_statements_fail", tests, NULL, NULL);
}

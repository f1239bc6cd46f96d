/* test_odd_pages.c - pages that no server of ours sends, and that are no mistake: rows without a
 * version, moves of what is not known, names for entities that are not here, many rows into a table
 * that has some, all buckets at once; and packs that were kept and do not fit what comes. */
#include "schema/limits.h"
#include "sql/sql.h"
#include "support/lab.h"
#include "sync-server/feed/feed_sign.h"
#include "wire/pack_msg.h"
#include "wire/sync_msg.h"

#define DB lab_path("odd_pages")
enum { LATE_ROWS = 2000 }; /* so many that indexes may wait */
#define ID "01900000-0000-7000-8000-00000000000"

static void sql(lab *l, const char *text)
{
    if (sql_exec(replica_sql(l->r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(l->r)));
    }
}

static void lines_take(lab *l, const char *token, const char *lines)
{
    buf out;
    outbox_state box;
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    reply_begin(l, &out, box.acked, 0, 9);
    reply_page(&out, token, true, false);
    buf_put_str(&out, lines);
    reply_take(l, &out);
}

/* --- rows ----------------------------------------------------------------------------------- */

static void row__that_says_little_is_taken(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    lines_take(&l, "0.2",
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\"]}\n"
               "[\"" ID "5\",\"50\",\"five\"]\n"
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"name\"]}\n"
               "[\"" ID "5\",\"no version\"]\n"
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\"]}\n"
               "[\"" ID "5\"]\n");
    assert_string_equal(lab_text(&l, 5, l.name), "no version");
    lab_check(&l);
    lab_stop(&l);
}

/* Of a row that is here only what the catalogue knows moves; what it does not know at all waits for
 * the digest to say so. */
static void move__of_what_is_not_known_is_no_fault(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    lines_take(&l, "0.2",
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\"]}\n"
               "[\"" ID "5\",\"50\",\"five\"]\n"
               "{\"e\":\"lab_item\",\"k\":\"move\",\"c\":[\"id\",\"ver\",\"later\",\"name\"]}\n"
               "[\"" ID "5\",\"51\",\"x\",\"moved\"]\n"
               "{\"e\":\"of_later\",\"k\":\"move\",\"c\":[\"id\",\"ver\",\"x\"]}\n"
               "[\"" ID "6\",\"51\",\"x\"]\n");
    assert_string_equal(lab_text(&l, 5, l.name), "moved");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* What this device cannot show may still be named by what it is writing. */
static void alias__of_an_entity_that_is_not_here_goes_into_drafts(void **state)
{
    lab l;
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "one", 1);
    const draft d = {
        .id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = T("{\"c\":\"" ID "1\"}")};
    assert_int_equal(draft_put(l.r, &d), FB_OK);
    buf out;
    reply_begin(&l, &out, 1, 0, 7);
    buf_put_str(&out, "{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"alias\",\"cid\":\"8\",\"echo\":1,"
                      "\"alias\":[[\"of_later\",\"" ID "1\",\"" ID "9\"]]}\n");
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_int_equal(
        lab_count(&l, "SELECT count(*) FROM fb_draft WHERE instr(body, '" ID "9') > 0"), 1);
    lab_check(&l);
    lab_stop(&l);
}

/* Looked at when it comes, not when it is shown: nothing of it is kept. */
static void row__without_an_id_is_refused_at_once(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 1);
    reply_begin(&l, &out, 0, 0, 9);
    reply_page(&out, "0.9", false, false);
    buf_put_str(&out, "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"name\",\"id\"]}\n[\"x\",null]\n");
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_PROTOCOL);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_stage"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* What a later catalogue will know may be as much as a line holds: with the names of its columns it
 * is more than that, and no sync got past it. */
static void row__with_much_that_is_not_known_is_kept(void **state)
{
    enum { ROOM = LINE_BYTES_MAX - 600, NAMES = 60 };
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    reply_begin(&l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    buf_put_str(&out, "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\"");
    for (int i = 0; i < NAMES; i++) {
        buf_printf(&out, ",\"a_column_of_which_nobody_knows_anything_%d\"", i);
    }
    buf_put_str(&out, "]}\n[\"" ID "5\",\"50\",[1");
    for (int i = 0; i < ROOM; i += 2) {
        buf_put_str(&out, ",1");
    }
    buf_put_str(&out, "]");
    for (int i = 1; i < NAMES; i++) {
        buf_put_str(&out, ",1");
    }
    buf_put_str(&out, "]\n");
    reply_take(&l, &out);
    assert_true(lab_has(&l, 5));
    assert_int_equal(lab_count(&l, "SELECT length(body) > 1048576 FROM fb_unknown"), 1);
    lab_check(&l);
    lab_stop(&l);
}

/* As much as a company has of an entity that this device's catalogue lacks: the walk over what is
 * kept held all of it at once, and from 64 MiB on nothing could be promoted any more. */
static void rows__of_an_unknown_entity_may_be_many(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    assert_int_equal(
        sql_exec(replica_sql(l.r),
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
                 " INSERT INTO fb_unknown (entity, id, body) SELECT 'lab_never', randomblob(16),"
                 " '{\"e\":\"lab_never\",\"k\":\"row\",\"c\":[\"id\",\"t\"]}' || char(10) ||"
                 " '[\"x\",\"' || hex(zeroblob(30000)) || '\"]' || char(10) FROM n"),
        FB_OK);
    reply_begin(&l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    reply_row(&l, &out, 5, "known", NULL, 1, 50);
    reply_take(&l, &out);
    assert_true(lab_has(&l, 5));
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 1200);
    lab_stop(&l);
}

/* --- many rows ------------------------------------------------------------------------------ */

static void rows_put(lab *l, buf *out, unsigned from, unsigned count, int64_t ver)
{
    for (unsigned i = 0; i < count; i++) {
        reply_row(l, out, from + i, "row", NULL, 1, ver + i);
    }
}

/* Indexes are made afterwards only where nobody needs them meanwhile. */
static void many_rows__join_those_that_are_here(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "waits", 1);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    rows_put(&l, &out, 100, 1, 50);
    reply_take(&l, &out);
    reply_begin(&l, &out, 0, 0, 7);
    reply_page(&out, "0.7", true, false);
    rows_put(&l, &out, 101, LATE_ROWS + 1, 60);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), LATE_ROWS + 3);
    assert_true(lab_count(&l, "SELECT count(*) FROM sqlite_schema WHERE type='index' AND"
                              " tbl_name='lab_item' AND sql IS NOT NULL") >= 2);
    lab_check(&l);
    lab_stop(&l);
}

/* A page that holds every bucket holds every row: what it does not name goes. */
static void buckets__all_at_once_replace_every_row(void **state)
{
    enum { ROWS = 200 };
    lab l;
    buf out;
    page_head page = {.token = T("0.7"), .complete = true};
    (void)state;
    lab_start(&l, DB, 1);
    reply_begin(&l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    rows_put(&l, &out, 100, ROWS, 50);
    reply_take(&l, &out);
    for (unsigned b = 0; b < ROW_BUCKETS; b++) {
        bucket_set_add(&page.fix, b);
    }
    reply_begin(&l, &out, 0, 0, 7);
    page_head_put(&out, &page);
    reply_rights(&l, &out);
    rows_put(&l, &out, 100, ROWS / 2, 500);
    reply_take(&l, &out);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), ROWS / 2);
    assert_int_equal(lab_count(&l, "SELECT min(ver) FROM lab_item"), 500);
    lab_check(&l);
    lab_stop(&l);
}

/* --- versions of one's own rows --------------------------------------------------------------- */

/* A commit that the server does not number: its rows have no version until a page brings one. */
static void commit__without_a_number_gives_no_version(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "one", 1);
    reply_begin(&l, &out, 1, 0, 6);
    buf_put_str(&out, "{\"m\":\"verdict\",\"g\":\"1\",\"code\":\"applied\",\"cid\":\"0\"}\n");
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    lines_take(&l, "0.7",
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\"]}\n"
               "[\"" ID "5\",\"50\",\"five\"]\n");
    assert_int_equal(lab_count(&l, "SELECT ver FROM lab_item WHERE name='one'"), 0);
    lab_check(&l);
    lab_stop(&l);
}

/* Its row is gone all the same, against all rules: nothing gets its version. */
static void commit__whose_row_is_gone_gives_no_version(void **state)
{
    lab l;
    buf out;
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "one", 1);
    reply_begin(&l, &out, 1, 0, 6);
    verdict_run_put(&out, 1, 1, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(&l, &out);
    sql(&l, "DELETE FROM lab_item");
    lines_take(&l, "0.7",
               "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\"]}\n"
               "[\"" ID "5\",\"50\",\"five\"]\n");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item"), 1);
    lab_check(&l);
    lab_stop(&l);
}

/* --- packs ---------------------------------------------------------------------------------- */

/* Of RFC 6979 A.2.5, as in test_sign.c. */
#define SECRET "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"
#define PUBLIC                                                         \
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" \
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"

static void put_offer(buf *out, const fb_id *epoch, int64_t position)
{
    buf manifest;
    pack_count count = {T("lab_item"), 1};
    pack_chunk chunk = {.size_bytes = 10, .raw_bytes = 10};
    const pack_manifest m = {.version = PACK_VERSION,
                             .epoch = *epoch,
                             .scope = position,
                             .position = position,
                             .catalog_version = 2,
                             .rows = 1,
                             .counts = &count,
                             .counts_count = 1,
                             .chunks = &chunk,
                             .chunks_count = 1};
    sign_key key;
    signature sig;
    assert_true(hex_get(T(SECRET), key.secret, sizeof key.secret));
    assert_true(hex_get(T(PUBLIC), key.open.b, sizeof key.open.b));
    buf_init(&manifest, 4096);
    pack_manifest_put(&manifest, &m);
    assert_int_equal(sign_make(&key, buf_text(&manifest), &sig), FB_OK);
    pack_offer_put(out, &key.open, &sig, buf_text(&manifest));
    buf_clear(&manifest);
}

/* All are signed. Each but the first is got around: the download comes as pages (PAK-3). */
static void offers__that_cannot_be_so_are_refused(void **state)
{
    enum { AS_IT_SHOULD_BE, OTHER_EPOCH, BACKWARDS, OF_NOBODY, TOO_MANY, CASES };
    enum { MANY = 12000 }; /* more than are kept */
    (void)state;
    for (int i = 0; i < CASES; i++) {
        lab l;
        buf out, line;
        lab_start(&l, DB, 1);
        if (i != OF_NOBODY) {
            sql(&l, "INSERT INTO fb_meta VALUES ('pack_key', x'" PUBLIC "')");
        }
        fb_id epoch = l.epoch;
        epoch.b[0] ^= i == OTHER_EPOCH ? 1 : 0;
        buf_init(&line, 1 << 16);
        put_offer(&line, &epoch, 5);
        reply_begin(&l, &out, 0, 0, 9);
        for (int n = 0; n < (i == TOO_MANY ? MANY : 1); n++) {
            buf_put_text(&out, buf_text(&line));
        }
        if (i == BACKWARDS) {
            put_offer(&out, &epoch, 4);
        }
        reply_page(&out, "0.9", false, true);
        const stage_result got = reply_take(&l, &out);
        bool refused = i != AS_IT_SHOULD_BE;
        assert_int_equal(got.packs_refused, refused);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_meta WHERE key='packs_failed'"),
                         refused);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_stage"), !refused);
        buf_clear(&line);
        lab_check(&l);
        lab_stop(&l);
    }
}

static void reply__that_ends_behind_an_offer_was_cut(void **state)
{
    lab l;
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 1);
    reply_begin(&l, &out, 0, 0, 9);
    put_offer(&out, &l.epoch, 5);
    assert_int_equal(stage_reply(l.r, buf_text(&out), l.wall_ms, &got, &err), FB_E_TRUNCATED);
    assert_int_equal(reply_try(&l, &out, &got, &err), FB_E_PROTOCOL); /* and with an end: no page */
    lab_check(&l);
    lab_stop(&l);
}

/* Two packs of a chunk each are being fetched. */
static void packs_begin(lab *l)
{
    buf out;
    lab_start(l, DB, 1);
    buf_init(&out, 1 << 16);
    put_offer(&out, &l->epoch, 5);
    put_offer(&out, &l->epoch, 6);
    sql_stmt *s = sql_prepare(replica_sql(l->r), "INSERT INTO fb_meta VALUES ('packs', ?1)");
    sql_bind_text(s, 1, buf_text(&out));
    assert_int_equal(sql_run(s), FB_OK);
    sql(l, "INSERT INTO fb_stage (applied, reset, rows, counts, body) VALUES (0, 1, 0, '', x'00')");
    buf_clear(&out);
}

static void chunk__that_is_not_wanted_any_more_is_left(void **state)
{
    lab l;
    pack_want want, other;
    pack_taken taken;
    fb_error err = {.code = FB_OK};
    (void)state;
    packs_begin(&l);
    assert_int_equal(pack_want_get(l.r, &want), FB_OK);
    assert_true(want.any && want.chunk == 0 && want.left == 2);
    other = want;
    other.name.b[0] ^= 1; /* of another pack */
    assert_int_equal(pack_chunk_take(l.r, &other, T("0123456789"), &taken, &err), FB_OK);
    other = want;
    other.chunk++; /* another one of it */
    assert_int_equal(pack_chunk_take(l.r, &other, T("0123456789"), &taken, &err), FB_OK);
    assert_false(taken.refused);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_stage"), 1);
    sql(&l, "DELETE FROM fb_meta WHERE key='packs'"); /* another process has everything */
    assert_int_equal(pack_chunk_take(l.r, &want, T("0123456789"), &taken, &err), FB_OK);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_stage"), 1);
    lab_stop(&l);
}

/* Two processes asked for the same piece; and an answer that is longer or shorter than asked. */
static void piece__counts_once_and_as_it_was_asked_for(void **state)
{
    static const char *const ODD[] = {"", "12", "1234"};
    lab l;
    pack_want want, next;
    pack_taken taken;
    fb_error err = {.code = FB_OK};
    (void)state;
    packs_begin(&l);
    assert_int_equal(pack_want_get(l.r, &want), FB_OK);
    assert_true(want.offset == 0 && want.bytes == 10 && want.size_bytes == 10);
    want.bytes = 4;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pack_chunk_take(l.r, &want, T("0123"), &taken, &err), FB_OK);
        assert_false(taken.refused);
        assert_int_equal(pack_want_get(l.r, &next), FB_OK);
        assert_true(next.chunk == 0 && next.left == 2 && next.offset == 4 && next.bytes == 6);
    }
    sql(&l, "UPDATE fb_stage SET body=x'30313233343536373839' WHERE reset=3");
    assert_int_equal(pack_want_get(l.r, &next), FB_E_CORRUPT); /* more than is missing */
    lab_stop(&l);
    for (size_t i = 0; i < sizeof ODD / sizeof *ODD; i++) {
        packs_begin(&l);
        assert_int_equal(pack_want_get(l.r, &want), FB_OK);
        want.bytes = 3;
        assert_int_equal(pack_chunk_take(l.r, &want, T(ODD[i]), &taken, &err), FB_OK);
        assert_true(taken.refused);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_stage"), 0);
        lab_stop(&l);
    }
}

static void offers__damaged_where_they_are_kept_are_told(void **state)
{
    static const struct {
        const char *sql;
        fb_code code;
    } CASES[] = {
        {"UPDATE fb_meta SET value=substr(value, 1, length(value) - 1) WHERE key='packs'",
         FB_E_TRUNCATED},
        {"INSERT INTO fb_stage (applied, reset, rows, counts, body) VALUES (0, 2, 0, '', x'00'),"
         " (0, 2, 0, '', x'00')",
         FB_E_CORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        lab l;
        pack_want want;
        packs_begin(&l);
        sql(&l, CASES[i].sql);
        assert_int_equal(pack_want_get(l.r, &want), CASES[i].code);
        lab_stop(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row__that_says_little_is_taken),
        cmocka_unit_test(move__of_what_is_not_known_is_no_fault),
        cmocka_unit_test(alias__of_an_entity_that_is_not_here_goes_into_drafts),
        cmocka_unit_test(row__without_an_id_is_refused_at_once),
        cmocka_unit_test(row__with_much_that_is_not_known_is_kept),
        cmocka_unit_test(rows__of_an_unknown_entity_may_be_many),
        cmocka_unit_test(many_rows__join_those_that_are_here),
        cmocka_unit_test(buckets__all_at_once_replace_every_row),
        cmocka_unit_test(commit__without_a_number_gives_no_version),
        cmocka_unit_test(commit__whose_row_is_gone_gives_no_version),
        cmocka_unit_test(offers__that_cannot_be_so_are_refused),
        cmocka_unit_test(reply__that_ends_behind_an_offer_was_cut),
        cmocka_unit_test(chunk__that_is_not_wanted_any_more_is_left),
        cmocka_unit_test(piece__counts_once_and_as_it_was_asked_for),
        cmocka_unit_test(offers__damaged_where_they_are_kept_are_told),
    };
    return cmocka_run_group_tests_name("odd_pages", tests, NULL, NULL);
}

/* test_damaged_rows.c - bytes of a database that are not what this library wrote, and replies that
 * no server of ours sends: each is refused with a code that says what it is, and nothing moves. */
#include "sql/sql.h"
#include "support/lab.h"
#include "wire/sync_msg.h"

#define DB lab_path("damaged")

typedef enum deed {
    PROMOTE,
    SAVE,
    REOPEN,
    CHECK,
    PARKED,
    GROW,
    WARNINGS,
    BACKUP,
    STANDS,
    NEW_LIFE
} deed;

typedef struct damage {
    const char *sql;
    deed deed;
    fb_code code;
    bool staged; /* a first page waits for its last one */
} damage;

/* Group 1 inserted a row and stands, group 2 changed it and waits; row 5 came from the server. */
static void world(lab *l, bool staged)
{
    buf out;
    lab_start(l, DB, 3);
    lab_save(l, 1, "one", 1);
    reply_begin(l, &out, 1, 0, 5);
    verdict_run_put(&out, 1, 1, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(l, &out, 5, "five", "of the server", 5, 50);
    reply_take(l, &out);
    lab_change(l, 1, l->name, "changed");
    lab_save(l, 2, "two", 2);
    if (staged) {
        reply_begin(l, &out, 1, 0, 6);
        reply_page(&out, "0.6", false, false);
        reply_row(l, &out, 6, "six", NULL, 6, 60);
        reply_take(l, &out);
    }
}

static fb_code promote(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 1, 0, 7);
    reply_page(&out, "0.7", true, false);
    reply_row(l, &out, 7, "seven", NULL, 7, 70);
    return reply_try(l, &out, &got, err);
}

/* What stood as sent is in a backup, or stands now; no row comes. */
static fb_code stand(lab *l, int64_t applied, int64_t backed_up, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, applied, backed_up, 7);
    if (applied > 1) {
        verdict_run_put(&out, 2, applied, 6);
    }
    reply_page(&out, "0.7", true, false);
    return reply_try(l, &out, &got, err);
}

static fb_code save(lab *l, fb_error *err)
{
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    int64_t gseq = 0;
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(30)};
    values[l->name] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("thirty")};
    lab_begin(l, "lab.save");
    fb_code rc = capture_insert(l->r, l->item, values, err);
    rc = rc == FB_OK ? capture_commit(l->r, &gseq, err) : rc;
    if (rc != FB_OK) {
        capture_abort(l->r);
    }
    return rc;
}

static fb_code nobody(void *ctx, const parked_row *row)
{
    (void)ctx;
    (void)row;
    return FB_OK;
}

/* A catalogue that knows more: what was kept for it is put in. */
static fb_code grow(lab *l, fb_error *err)
{
    buf out;
    buf more = lab_catalog(true);
    stage_result got;
    reply_begin(l, &out, 1, 0, 7);
    catalog_line_put(&out, buf_text(&more));
    reply_page(&out, "0.7", true, false);
    fb_code rc = reply_try(l, &out, &got, err);
    buf_clear(&more);
    return rc;
}

static fb_code no_warning(void *ctx, const warning *w)
{
    (void)ctx;
    return w->text_en.size > 0 && w->text_zh.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code deed_do(lab *l, deed what, fb_error *err)
{
    switch (what) {
    case PROMOTE:
        return promote(l, err);
    case SAVE:
        return save(l, err);
    case CHECK:
        return replica_check(l->r, err);
    case PARKED:
        return parked_each(l->r, nobody, NULL);
    case GROW:
        return grow(l, err);
    case WARNINGS:
        return warning_each(l->r, no_warning, NULL);
    case BACKUP:
        return stand(l, 1, 1, err);
    case NEW_LIFE:
        return replica_rebirth(l->r, err);
    case STANDS:
        return stand(l, 2, 0, err);
    case REOPEN:
        break;
    }
    lab_close(l);
    return lab_open(l, err);
}

/* A row that is kept until the catalogue knows what it is of. */
#define KEPT(entity, body)                                                                         \
    "INSERT INTO fb_unknown VALUES ('" entity "', x'00000000000000000000000000000007', '" body "'" \
    ")"

/* Images of rows: a sign, the entity, an id, so many columns. */
#define NO_ID "00000000000000000000000000000000"
#define SOME_ID "x'00000000000000000000000000000007'"
#define ITEM "086c61625f6974656d"
#define IMAGE(hex) "UPDATE fb_undo SET body=x'" hex "' WHERE gseq=2"
#define STANDS_ASIDE(hex) "INSERT INTO fb_parked VALUES ('lab_item', " SOME_ID ", 5, 2, x'" hex "')"

static const damage DAMAGES[] = {
    {"UPDATE fb_outbox SET body=x'' WHERE gseq=2", PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_outbox SET body=x'28b52ffd0001' WHERE gseq=2", PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_undo SET body=x'3d' WHERE gseq=2", PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_undo SET body=substr(body, 1, length(body) - 1) WHERE gseq=2", PROMOTE,
     FB_E_CORRUPT, false},
    {"UPDATE fb_undo SET body=substr(body, 1, 12) WHERE gseq=2", PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_stage SET body=x''", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET body=x'28b52ffd0001'", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='lab_item'", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='lab_item'||char(10)", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='lab_item x'||char(10)", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='lab_item -1'||char(10)", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='lab_item 99999999999'||char(10)", PROMOTE, FB_E_CORRUPT, true},
    {"UPDATE fb_stage SET counts='no_such_thing 3'||char(10)", PROMOTE, FB_OK, true},
    {"UPDATE fb_outbox SET state=1 WHERE gseq=1;"
     "INSERT INTO fb_verdict (gseq, code, cid, echo, body) VALUES (1, 77, 0, 0, '')",
     PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_outbox SET state=1 WHERE gseq=1;"
     "INSERT INTO fb_verdict (gseq, code, cid, echo, body) VALUES (1, -1, 0, 0, '')",
     PROMOTE, FB_E_CORRUPT, false},
    {"UPDATE fb_outbox SET state=1 WHERE gseq=1;"
     "INSERT INTO fb_verdict (gseq, code, cid, echo, body) VALUES (1, 5, 0, 0, 'no line')",
     PROMOTE, FB_E_CORRUPT, false},
    {"INSERT INTO fb_verdict (gseq, code, cid, echo, body) VALUES (2, 3, 0, 0, '')", PROMOTE, FB_OK,
     false}, /* nobody has answered it */
    {"UPDATE fb_digest SET buckets=x'00'", PROMOTE, FB_OK, false},
    {"DELETE FROM fb_digest", PROMOTE, FB_OK, false},
    {"UPDATE fb_outbox SET chain=x'01' WHERE gseq=3", CHECK, FB_E_CORRUPT, false},
    {"UPDATE fb_outbox SET chain=zeroblob(32) WHERE gseq=3", CHECK, FB_E_CORRUPT, false},
    {"DELETE FROM fb_outbox WHERE gseq=3", CHECK, FB_E_CORRUPT, false},
    {"UPDATE lab_item SET name='another'", CHECK, FB_E_CORRUPT, false},
    {"UPDATE fb_meta SET value=99 WHERE key='settled'", REOPEN, FB_OK, false},
    {"UPDATE fb_meta SET value=99 WHERE key='acked'", REOPEN, FB_OK, false},
    {"UPDATE fb_meta SET value=99 WHERE key='backed_up'", REOPEN, FB_OK, false},
    {"UPDATE fb_meta SET value=99 WHERE key='pruned'", REOPEN, FB_OK, false},
    {KEPT("lab_more", "one line"), GROW, FB_E_CORRUPT, false},
    {KEPT("lab_more", ""), GROW, FB_E_CORRUPT, false},
    {KEPT("lab_more", "{}'||char(10)||'"), GROW, FB_E_CORRUPT, false},
    {KEPT("lab_item", "{\"e\":\"lab_item\",\"k\":\"move\",\"c\":[\"id\",\"later\"]}'||char(10)||'"
                      "[\"01900000-0000-7000-8000-000000000001\",\"x\",\"y\"]'||char(10)||'"),
     GROW, FB_OK, false},
    {KEPT("lab_more", "no head'||char(10)||'[]'||char(10)||'"), GROW, FB_E_JSON, false},
    {KEPT("lab_more", "{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"title\"]}'||char(10)||'[\"x\"]"
                      "'||char(10)||'"),
     GROW, FB_E_PROTOCOL, false},
    {KEPT("lab_more", "{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"id\",\"title\"]}'||char(10)||'"
                      "[5]'||char(10)||'"),
     GROW, FB_E_PROTOCOL, false},
    {KEPT("lab_item", "{\"e\":\"lab_item\",\"k\":\"move\",\"c\":[\"id\",\"extra\"]}'||char(10)||'"
                      "[null,\"x\"]'||char(10)||'"),
     GROW, FB_E_PROTOCOL, false},
    {KEPT("from_later", "one line"), CHECK, FB_E_CORRUPT, false},
    {KEPT("from_later", "no head'||char(10)||'[]'||char(10)||'"), CHECK, FB_E_CORRUPT, false},
    {"INSERT INTO fb_warning (gseq, text) VALUES (2, '')", WARNINGS, FB_OK, false},
    {"INSERT INTO fb_warning (gseq, text) VALUES (2, 'later lab_item x')", WARNINGS, FB_OK, false},
    {"INSERT INTO fb_warning (gseq, text) VALUES (2, 'gone')", WARNINGS, FB_OK, false},
    {"INSERT INTO fb_warning (gseq, text) VALUES (2, 'gone lab_item x')", WARNINGS, FB_OK, false},
    {"UPDATE fb_undo SET body=x'7b' WHERE gseq=2", PROMOTE, FB_E_CORRUPT, false},
    {IMAGE("3d0178" NO_ID "00"), PROMOTE, FB_E_CORRUPT, false},
    {IMAGE("3d" ITEM NO_ID "00"), PROMOTE, FB_E_CORRUPT, false},
    {IMAGE("3d" ITEM NO_ID "01017800"), PROMOTE, FB_E_CORRUPT, false},
    {IMAGE("3d" ITEM NO_ID "01046e616d6509"), PROMOTE, FB_E_CORRUPT, false},
    {STANDS_ASIDE("3d" ITEM NO_ID "01046e616d6500"), PARKED, FB_E_CORRUPT, false},
    {STANDS_ASIDE("2a" ITEM NO_ID "00"), PARKED, FB_E_CORRUPT, false},
    {STANDS_ASIDE("2a" ITEM NO_ID "01017800"), PARKED, FB_E_CORRUPT, false},
    {"UPDATE fb_outbox SET chain=x'01' WHERE gseq=2", REOPEN, FB_OK, false},
    {"UPDATE fb_meta SET value='a code that is longer than a code' WHERE key='device_code'", REOPEN,
     FB_OK, false},
    {"UPDATE fb_outbox SET chain=x'01' WHERE gseq=1", BACKUP, FB_E_CORRUPT, false},
    {"UPDATE fb_undo SET body=substr(body, 1, 12) WHERE gseq=2", STANDS, FB_OK, false},
    {"DELETE FROM fb_outbox WHERE gseq=2", NEW_LIFE, FB_E_CORRUPT, false},
    {"INSERT INTO fb_parked VALUES ('lab_item', " SOME_ID ", 5, 2, x'07')", PARKED, FB_E_CORRUPT,
     false},
    {"INSERT INTO fb_parked VALUES ('no_such_thing', zeroblob(16), 5, 2, x'07')", PARKED, FB_OK,
     false},
};

/* Whatever is refused leaves the rows as they were; a file whose marks contradict each other is
 * made again from the second copy, with all that waits. */
static void damage__is_told_and_moves_nothing(void **state)
{
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof DAMAGES / sizeof *DAMAGES; i++) {
        const damage *d = &DAMAGES[i];
        lab l;
        fb_error err = {.code = FB_OK};
        world(&l, d->staged);
        if (sql_exec(replica_sql(l.r), d->sql) != FB_OK) {
            fail_msg("%s: %s", d->sql, sql_message(replica_sql(l.r)));
        }
        fb_code rc = deed_do(&l, d->deed, &err);
        assert_true(d->deed != CHECK || replica_check(l.r, NULL) == d->code);
        if (rc != d->code) {
            print_error("%s: %s, not %s (%s)\n", d->sql, fb_code_name(rc), fb_code_name(d->code),
                        err.message);
        }
        wrong += rc != d->code;
        if (rc != FB_OK && l.r != NULL) {
            assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item WHERE name='seven'"), 0);
            assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item WHERE name='thirty'"), 0);
            assert_string_equal(lab_text(&l, 5, l.note), "of the server");
        }
        if (l.r != NULL) { /* nobody has refused anything */
            assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state IN (2, 3)"),
                             0);
        }
        if (d->deed == REOPEN) {
            assert_int_equal(lab_count(&l, "SELECT count(*) FROM lab_item WHERE name='two'"), 1);
        }
        lab_stop(&l);
    }
    assert_int_equal(wrong, 0);
}

/* --- replies ----------------------------------------------------------------------------------
 */

typedef struct reply_case {
    const char *lines; /* behind the head, before the end */
    fb_code code;
    const char *field;
} reply_case;

#define ID "01900000-0000-7000-8000-00000000000"
#define PAGE "{\"m\":\"page\",\"tok\":\"0.9\",\"done\":1}\n"
#define ALIAS(from, to)                                                                       \
    "{\"m\":\"verdict\",\"g\":\"2\",\"code\":\"alias\",\"cid\":\"8\",\"echo\":1,\"alias\":[[" \
    "\"lab_item\",\"" from "\",\"" to "\"]]}\n" PAGE

static const reply_case REPLIES[] = {
    {ALIAS(ID "1", ID "1"), FB_E_PROTOCOL, "alias"},
    {ALIAS("one", ID "1"), FB_E_PROTOCOL, "alias"},
    {ALIAS(ID "1", "two"), FB_E_PROTOCOL, "alias"},
    {"{\"m\":\"verdict\",\"g\":\"9\",\"code\":\"held\"}\n" PAGE, FB_E_PROTOCOL, NULL},
    {"{\"m\":\"verdict\",\"g\":\"0\",\"code\":\"held\"}\n" PAGE, FB_E_PROTOCOL, NULL},
    {"{\"m\":\"verdict\",\"g\":\"3\",\"code\":\"held\"}\n" PAGE, FB_E_PROTOCOL, NULL},
    {"{\"m\":\"ok\",\"g\":\"2\",\"to\":\"3\",\"cid\":\"6\"}\n"
     "{\"m\":\"verdict\",\"g\":\"4\",\"code\":\"held\"}\n" PAGE,
     FB_E_PROTOCOL, NULL},
    {PAGE "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"name\",\"id\"]}\n[\"x\",null]\n",
     FB_E_PROTOCOL, "page"},
    {PAGE "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"name\"]}\n[null,\"x\"]\n",
     FB_E_PROTOCOL, "page"},
    {PAGE "{\"e\":\"strange\",\"k\":\"row\",\"c\":[\"id\",\"a\"]}\n[5,\"x\"]\n", FB_E_PROTOCOL,
     "page"},
    {PAGE "{\"e\":\"strange\",\"k\":\"row\",\"c\":[\"id\",\"a\"]}\n"
          "[\"00000000-0000-0000-0000-000000000000\",\"x\"]\n",
     FB_E_PROTOCOL, "page"},
    {PAGE "[\"" ID "6\",\"x\"]\n", FB_E_PROTOCOL, "page"},
    {PAGE "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"name\"]}\n[\"" ID "6\"]\n",
     FB_E_PROTOCOL, "page"},
};

static void wrong_reply__changes_nothing(void **state)
{
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof REPLIES / sizeof *REPLIES; i++) {
        const reply_case *c = &REPLIES[i];
        lab l;
        buf out;
        stage_result got;
        fb_error err = {.code = FB_OK};
        world(&l, false);
        reply_begin(&l, &out, 1, 0, 8);
        buf_put_str(&out, c->lines);
        fb_code rc = reply_try(&l, &out, &got, &err);
        if (rc != c->code) {
            print_error("%s: %s %s %s\n", c->lines, fb_code_name(rc), err.field, err.message);
        }
        wrong += rc != c->code;
        assert_true(c->field == NULL || strcmp(err.field, c->field) == 0);
        assert_true(err.message[0] != '\0');
        assert_string_equal(lab_text(&l, 1, l.name), "changed");
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_verdict"), 0);
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_unknown"), 0);
        lab_check(&l);
        lab_stop(&l);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage__is_told_and_moves_nothing),
        cmocka_unit_test(wrong_reply__changes_nothing),
    };
    return cmocka_run_group_tests_name("damaged rows", tests, NULL, NULL);
}

/* test_statement_fails.c - the large steps of a replica that fb-torture's scenes do not bring
 * about: another person takes the phone over, groups of an earlier life go again, a server that is
 * met anew has another catalogue, a first download is large, rows come that were kept for a newer
 * catalogue, a refused group is corrected or discarded, changes of every kind are saved, the rows
 * are not what the server says, a row is known under another name, rows leave, a person is erased.
 * Method: steps_fixture.h. Smaller ones: test_more_statements_fail.c. */
#include "person_fixture.h"
#include "schema/limits.h"
#include "steps_fixture.h"
#include "wire/sync_msg.h"

#define DB lab_path("statement_fails")
enum { ROWS_LARGE = 2005 }; /* so many that indexes are made afterwards */

/* --- steps ---------------------------------------------------------------------------------- */

/* Two groups that were answered. */
static void settled_make(lab *l)
{
    buf out;
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
    reply_begin(l, &out, 2, 0, 6);
    verdict_run_put(&out, 1, 2, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
}

static void answered_make(lab *l)
{
    buf out;
    fb_error err;
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
    reply_begin(l, &out, 2, 0, 6);
    verdict_run_put(&out, 1, 2, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
    assert_int_equal(replica_rebirth(l->r, &err), FB_OK);
    lab_save(l, 3, "three", 3);
}

static void pending_make(lab *l)
{
    lab_save(l, 1, "one", 1);
    lab_change(l, 1, l->name, "changed");
}

static void server_rows(lab *l, buf *out, int64_t ver)
{
    for (unsigned i = 5; i <= 7; i++) {
        reply_row(l, out, i, "of the server", "note", 10, ver);
    }
}

/* A change, a difference and a deletion on rows of the server. */
static void on_top_make(lab *l)
{
    buf out;
    fb_error err;
    const fb_id six = lab_id(6), seven = lab_id(7);
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    server_rows(l, &out, 50);
    reply_take(l, &out);
    lab_begin(l, "lab.save");
    lab_set(l, 5, l->name, "mine");
    assert_int_equal(capture_delta(l->r, l->item, &six, l->qty, 3, &err), FB_OK);
    assert_int_equal(capture_delete(l->r, l->item, &seven, &err), FB_OK);
    lab_commit(l);
}

/* Refused: a new text, a difference and a deletion. */
static void refused_make(lab *l)
{
    buf out;
    on_top_make(l);
    reply_begin(l, &out, 1, 0, 7);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_take(l, &out);
}

static void rows_make(lab *l)
{
    buf out;
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    server_rows(l, &out, 50);
    reply_take(l, &out);
}

static void text_of_id(unsigned n, char out[FB_ID_TEXT_BYTES])
{
    const fb_id id = lab_id(n);
    id_put(&id, out);
}

/* Row 2 hangs on row 1, which the server knows as row 9; a draft names it too. */
static void twin_make(lab *l)
{
    char one[FB_ID_TEXT_BYTES], body[100];
    fb_error err;
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    lab_save(l, 1, "double", 1);
    values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(2)};
    values[l->parent] = (fb_value){.kind = FB_KIND_ID, .u.id = lab_id(1)};
    lab_begin(l, "lab.child");
    assert_int_equal(capture_insert(l->r, l->item, values, &err), FB_OK);
    lab_commit(l);
    text_of_id(1, one);
    snprintf(body, sizeof body, "{\"c\":\"%s\"}", one);
    const draft d = {.id = lab_id(500), .kind = T("order"), .updated_ms = 5, .body = text_of(body)};
    assert_int_equal(draft_put(l->r, &d), FB_OK);
}

static void two_held_make(lab *l)
{
    buf out;
    lab_save(l, 1, "one", 1);
    lab_save(l, 2, "two", 2);
    reply_begin(l, &out, 2, 0, 6);
    reply_verdict(&out, 1, VERDICT_HELD, false);
    reply_verdict(&out, 2, VERDICT_HELD, false);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
}

static buf newer; /* the text of a catalogue: making it must not fail */

static void unknown_make(lab *l)
{
    buf out;
    buf_clear(&newer);
    newer = lab_catalog(true);
    reply_begin(l, &out, 0, 0, 6);
    reply_page(&out, "0.6", true, false);
    buf_put_text(&out,
                 T("{\"e\":\"lab_more\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"title\"]}\n"
                   "[\"01900000-0000-7000-8000-000000000001\",\"6\",\"hello\"]\n"
                   "[\"01900000-0000-7000-8000-000000000002\",\"6\",\"again\"]\n"
                   "{\"e\":\"lab_item\",\"k\":\"row\",\"c\":[\"id\",\"ver\",\"name\",\"extra\"]}\n"
                   "[\"01900000-0000-7000-8000-000000000003\",\"6\",\"three\",\"more\"]\n"));
    reply_take(l, &out);
}

static replica_identity person(const lab *l)
{
    replica_identity me = {
        .device = l->device, .user = l->user, .epoch = l->epoch, .enrolled = true};
    snprintf(me.device_code, sizeof me.device_code, "A1");
    return me;
}

static fb_code another_person(lab *l, fb_error *err)
{
    replica_identity me = person(l);
    (void)err;
    me.user.b[15] ^= 1;
    return replica_identity_set(l->r, &me);
}

static fb_code another_epoch(lab *l, fb_error *err)
{
    replica_identity me = person(l);
    (void)err;
    me.epoch.b[15] ^= 1;
    return replica_identity_set(l->r, &me);
}

static fb_code another_catalogue(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    const fb_id epoch = l->epoch;
    l->epoch.b[15] ^= 1;
    reply_begin(l, &out, 0, 0, 9);
    catalog_line_put(&out, catalog_builtin_text());
    reply_page(&out, "0.9", true, true);
    reply_rights(l, &out);
    fb_code rc = reply_try(l, &out, &got, err);
    l->epoch = epoch;
    return rc;
}

static fb_code large_page(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, true);
    reply_rights(l, &out);
    for (unsigned i = 0; i < ROWS_LARGE; i++) {
        reply_row(l, &out, 100 + i, "row", NULL, 1, 9);
    }
    return reply_try(l, &out, &got, err);
}

static fb_code newer_rows(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    server_rows(l, &out, 60);
    return reply_try(l, &out, &got, err);
}

static fb_code backup(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 2, 2, 9);
    reply_page(&out, "0.9", true, false);
    return reply_try(l, &out, &got, err);
}

static fb_code newer_catalogue(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 7);
    catalog_line_put(&out, buf_text(&newer));
    reply_page(&out, "0.7", true, false);
    return reply_try(l, &out, &got, err);
}

static fb_code resubmit(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    const problem_patch patches[] = {
        {l->item, lab_id(5), l->name, {.kind = FB_KIND_TEXT, .u.text = T("corrected")}},
        {l->item, lab_id(5), l->note, {.kind = FB_KIND_TEXT, .u.text = T("joins")}},
        {l->item, lab_id(6), l->qty, {.kind = FB_KIND_INT, .u.i = 4}}};
    return problem_resubmit(l->r, 1, patches, 3, &gseq, err);
}

static fb_code discard(lab *l, fb_error *err)
{
    return problem_discard(l->r, 1, err);
}

static fb_code save_changes(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    const fb_id five = lab_id(5), six = lab_id(6), seven = lab_id(7);
    const fb_value mine = {.kind = FB_KIND_TEXT, .u.text = T("mine")};
    fb_code rc = capture_begin(l->r, "lab.save", 0, 0, err);
    if (rc == FB_OK) {
        rc = capture_update(l->r, l->item, &five, &l->name, &mine, 1, err);
    }
    if (rc == FB_OK) {
        rc = capture_delta(l->r, l->item, &six, l->qty, 3, err);
    }
    if (rc == FB_OK) {
        rc = capture_delete(l->r, l->item, &seven, err);
    }
    if (rc == FB_OK) {
        return capture_commit(l->r, &gseq, err);
    }
    capture_abort(l->r);
    return rc;
}

static fb_code totals_differ(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    const page_head page = {
        .token = T("0.8"), .complete = true, .totals = T("99:0123456789abcdef")};
    reply_begin(l, &out, 0, 0, 8);
    page_head_put(&out, &page);
    return reply_try(l, &out, &got, err);
}

static fb_code known_twin(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    char one[FB_ID_TEXT_BYTES], nine[FB_ID_TEXT_BYTES];
    text_of_id(1, one);
    text_of_id(9, nine);
    struct verdict_alias alias = {T("lab_item"), text_of(one), text_of(nine)};
    const verdict_msg v = {
        .gseq = 1, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
    reply_begin(l, &out, 1, 0, 7);
    verdict_put(&out, &v);
    reply_page(&out, "0.7", true, false);
    reply_row(l, &out, 9, "single", NULL, 1, 70);
    return reply_try(l, &out, &got, err);
}

/* The first alone says nothing of rows yet. */
static fb_code two_pages(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.8", false, true);
    reply_rights(l, &out);
    server_rows(l, &out, 60);
    fb_code rc = reply_try(l, &out, &got, err);
    if (rc != FB_OK) {
        return rc;
    }
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    reply_row(l, &out, 8, "of the second page", NULL, 1, 61);
    return reply_try(l, &out, &got, err);
}

static fb_code row_leaves(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 0, 0, 9);
    reply_page(&out, "0.9", true, false);
    reply_gone(l, &out, BLOCK_LEAVE, 5);
    reply_gone(l, &out, BLOCK_DELETE, 6);
    return reply_try(l, &out, &got, err);
}

/* One by a run, one by a verdict of its own. */
static fb_code held_are_decided(lab *l, fb_error *err)
{
    buf out;
    stage_result got;
    reply_begin(l, &out, 2, 0, 7);
    verdict_run_put(&out, 1, 1, 6);
    reply_verdict(&out, 2, VERDICT_REJECTED, false);
    reply_page(&out, "0.7", true, false);
    reply_row(l, &out, 1, "one", NULL, 1, 70);
    return reply_try(l, &out, &got, err);
}

static fb_code new_life(lab *l, fb_error *err)
{
    return replica_rebirth(l->r, err);
}

static fb_code taken_over(lab *l, fb_error *err)
{
    int64_t gseq = 0;
    return rescue_take(
        l->r,
        T("{\"k\":\"lab.save\",\"at\":\"1750000000000\",\"cv\":2,\"ops\":[[\"+\",\"lab_item\","
          "[\"id\",\"name\",\"qty\"],[[\"01900000-0000-7000-8000-000000000021\",\"x\",\"5\"]]]]}"),
        &gseq, err);
}

static const struct step STEPS[] = {
    {"another person takes the phone over", settled_make, another_person,
     "SELECT EXISTS (SELECT 1 FROM fb_outbox)"},
    {"groups of an earlier life go again", answered_make, another_epoch,
     "SELECT EXISTS (SELECT 1 FROM fb_outbox WHERE state=5)"},
    {"a server that is met anew has another catalogue", pending_make, another_catalogue,
     "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name='lab_item')"},
    {"a first download is large", pending_make, large_page, "SELECT count(*) < 100 FROM lab_item"},
    {"rows come below what is pending", on_top_make, newer_rows,
     "SELECT EXISTS (SELECT 1 FROM lab_item WHERE ver=50)"},
    {"groups leave after a backup", settled_make, backup,
     "SELECT EXISTS (SELECT 1 FROM fb_outbox)"},
    {"rows come that were kept", unknown_make, newer_catalogue,
     "SELECT EXISTS (SELECT 1 FROM fb_unknown)"},
    {"a refused group goes again, corrected", refused_make, resubmit,
     "SELECT count(*) = 1 FROM fb_outbox"},
    {"a refused group is discarded", refused_make, discard,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_outbox WHERE state=4)"},
    {"changes are saved", rows_make, save_changes, "SELECT NOT EXISTS (SELECT 1 FROM fb_outbox)"},
    {"the totals differ", rows_make, totals_differ,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_meta WHERE key='digest_faults' AND value > 0)"},
    {"a row is known under another name", twin_make, known_twin,
     "SELECT count(*) FROM fb_draft WHERE instr(body, '000000000001') > 0"},
    {"a download of two pages", on_top_make, two_pages,
     "SELECT NOT EXISTS (SELECT 1 FROM lab_item WHERE name='of the second page')"},
    {"rows leave that a group needs", on_top_make, row_leaves,
     "SELECT NOT EXISTS (SELECT 1 FROM fb_parked)"},
    {"held groups are decided", two_held_make, held_are_decided,
     "SELECT EXISTS (SELECT 1 FROM fb_verdict WHERE code=4)"},
    {"a new life begins", pending_make, new_life, "SELECT value=1 FROM fb_meta WHERE key='life'"},
    {"a group is taken over", pending_make, taken_over, "SELECT count(*) = 2 FROM fb_outbox"},
    {"a person is erased", person_make, erased,
     "SELECT (SELECT count(*) FROM fb_outbox WHERE instr(CAST(body AS TEXT), '0202') > 0) +"
     " (SELECT count(*) FROM fb_verdict WHERE instr(body, '0303') > 0) +"
     " (SELECT count(*) FROM fb_parked WHERE instr(CAST(body AS TEXT), '0101') > 0) = 3"},
};

static void step__fails_whole_or_succeeds(void **state)
{
    (void)state;
    steps_fail(STEPS, sizeof STEPS / sizeof STEPS[0], DB);
    buf_clear(&newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step__fails_whole_or_succeeds),
    };
    return cmocka_run_group_tests_name("statement_fails", tests, NULL, NULL);
}

/* test_wrong_calls.c - calls of core/replica that break its contract: each is refused as E_MISUSE,
 * also while a group is open, and the group and what was saved are as before. */
#include "replica/blob.h"
#include "replica/journal.h"
#include "rules/row_check.h"
#include "support/lab.h"

#define DB lab_path("wrong_calls")
#define REFUSED(call) assert_int_equal(call, FB_E_MISUSE)

static fb_code problem_fn(void *ctx, const problem *p)
{
    (void)ctx;
    (void)p;
    return FB_OK;
}

static fb_code parked_fn(void *ctx, const parked_row *p)
{
    (void)ctx;
    (void)p;
    return FB_OK;
}

static fb_code warning_fn(void *ctx, const warning *w)
{
    (void)ctx;
    (void)w;
    return FB_OK;
}

static fb_code draft_fn(void *ctx, const draft *d)
{
    (void)ctx;
    (void)d;
    return FB_OK;
}

static fb_code rescue_look(void *ctx, const rescued *g)
{
    (void)ctx;
    (void)g;
    return FB_OK;
}

static void asking_without_what_is_needed(lab *l)
{
    buf text;
    fb_error err;
    replica *made = NULL;
    replica_identity me;
    replica_status status;
    outbox_state box;
    row_rights rights;
    bool flag = false, changed[256];
    int64_t stamp = 0;
    uint32_t count = 0;
    digest before;
    buf_init(&text, 1000);
    replica_options o = {.path = DB, .port = &l->port};
    REFUSED(replica_open(NULL, &made, &err));
    REFUSED(replica_open(&o, NULL, &err));
    o.path = NULL;
    REFUSED(replica_open(&o, &made, &err));
    REFUSED(rescue_each(&o, rescue_look, NULL, &err));
    o = (replica_options){.path = DB};
    REFUSED(replica_open(&o, &made, &err));
    REFUSED(rescue_each(&o, NULL, NULL, &err));
    REFUSED(rescue_each(NULL, rescue_look, NULL, &err));
    REFUSED(replica_identity_get(NULL, &me));
    REFUSED(replica_identity_get(l->r, NULL));
    REFUSED(replica_meta_get(NULL, "k", &text));
    REFUSED(replica_meta_get(l->r, NULL, &text));
    REFUSED(replica_meta_get(l->r, "k", NULL));
    REFUSED(replica_meta_set(NULL, "k", T("v")));
    REFUSED(replica_meta_set(l->r, NULL, T("v")));
    REFUSED(replica_meta_set(l->r, "acked", T("v")));
    REFUSED(replica_meta_set(l->r, "secret", T("v")));
    REFUSED(replica_status_get(NULL, &status));
    REFUSED(replica_status_get(l->r, NULL));
    REFUSED(replica_changed_since(NULL, 0, changed, &stamp));
    REFUSED(replica_changed_since(l->r, 0, NULL, &stamp));
    REFUSED(replica_changed_since(l->r, 0, changed, NULL));
    REFUSED(replica_rights(NULL, l->item, &rights));
    REFUSED(replica_rights(l->r, NULL, &rights));
    REFUSED(replica_rights(l->r, l->item, NULL));
    REFUSED(outbox_state_get(NULL, &box));
    REFUSED(outbox_state_get(l->r, NULL));
    REFUSED(outbox_read(NULL, 1, 1, 1, &text, &count, &before));
    REFUSED(outbox_read(l->r, 0, 1, 1, &text, &count, &before));
    REFUSED(outbox_read(l->r, 1, 1, 1, NULL, &count, &before));
    REFUSED(outbox_read(l->r, 1, 1, 1, &text, NULL, &before));
    REFUSED(outbox_read(l->r, 1, 1, 1, &text, &count, NULL));
    REFUSED(pack_wanted_get(NULL, &flag));
    REFUSED(pack_wanted_get(l->r, NULL));
    REFUSED(pack_want_get(NULL, &(pack_want){.any = false}));
    REFUSED(pack_want_get(l->r, NULL));
    REFUSED(stage_token(NULL, &text));
    REFUSED(stage_token(l->r, NULL));
    REFUSED(digest_ask(NULL, false, &flag, &text));
    REFUSED(digest_ask(l->r, false, NULL, &text));
    REFUSED(digest_ask(l->r, false, &flag, NULL));
    REFUSED(problem_each(NULL, problem_fn, NULL));
    REFUSED(problem_each(l->r, NULL, NULL));
    REFUSED(draft_put(NULL, &(draft){.id = l->user}));
    REFUSED(draft_put(l->r, NULL));
    REFUSED(draft_put(l->r, &(draft){.body = T("{}")}));
    REFUSED(draft_delete(NULL, &l->user));
    REFUSED(draft_delete(l->r, NULL));
    REFUSED(draft_get(NULL, T("k"), &l->user, &text));
    REFUSED(draft_get(l->r, T("k"), NULL, &text));
    REFUSED(draft_get(l->r, T("k"), &l->user, NULL));
    REFUSED(draft_each(NULL, T("k"), draft_fn, NULL));
    REFUSED(draft_each(l->r, T("k"), NULL, NULL));
    buf_clear(&text);
}

static void asking_for_what_was_not_wanted(lab *l)
{
    fb_error err;
    pack_taken taken;
    blob_work work;
    const pack_want want = {.any = true}, none = {.any = false};
    const blob_rules rules = {true, true};
    int64_t gseq = 0;
    REFUSED(pack_chunk_take(l->r, NULL, T("x"), &taken, &err));
    REFUSED(pack_chunk_take(l->r, &none, T("x"), &taken, &err));
    REFUSED(pack_chunk_take(l->r, &want, T("x"), NULL, &err));
    REFUSED(problem_resubmit(l->r, 1, NULL, 1, &gseq, &err));
    REFUSED(problem_resubmit(l->r, 1, NULL, 0, NULL, &err));
    REFUSED(blob_next(NULL, &rules, 1, &work));
    REFUSED(blob_next(l->r, NULL, 1, &work));
    REFUSED(blob_next(l->r, &rules, 1, NULL));
    buf piece;
    buf_init(&piece, 100);
    REFUSED(blob_piece(l->r, &(blob_info){.size = 5, .offset = -1}, 5, &piece));
    REFUSED(blob_piece(l->r, &(blob_info){.size = 5, .offset = 5}, 5, &piece));
    buf_clear(&piece);
}

/* The second copy has a place of its own; the replica's is left alone. */
static void writing_records(void)
{
    lab files;
    journal j;
    const fb_text x = T("x");
    lab_init(&files, lab_path("wrong_journal"), NULL, 1);
    assert_int_equal(journal_init(&j, NULL, files.path), FB_OK);
    REFUSED(journal_append(&j, JOURNAL_GROUP, 1, x, false));
    REFUSED(journal_confirm(&j));
    REFUSED(journal_end(&j));
    assert_int_equal(journal_open(&j), FB_E_NOT_FOUND);
    assert_int_equal(journal_begin(&j, 1), FB_OK);
    REFUSED(journal_begin(&j, 1));
    REFUSED(journal_append(&j, JOURNAL_GROUP, 1, x, true));
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, 1, x, false), FB_OK);
    assert_int_equal(journal_end(&j), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, 2, x, true), FB_OK);
    REFUSED(journal_append(&j, JOURNAL_GROUP, 3, x, false));
    REFUSED(journal_begin(&j, 1));
    REFUSED(journal_follow(&j, NULL, NULL));
    assert_int_equal(journal_confirm(&j), FB_OK);
    REFUSED(journal_confirm(&j));
    journal_rewind(&j);
    assert_int_equal(journal_follow(&j, NULL, NULL), FB_OK);
    journal_clear(&j);
    lab_stop(&files);
}

static void reading_rows(lab *l)
{
    fb_value row[CATALOG_COLUMNS_LIMIT];
    const fb_id id = lab_id(1);
    const fb_value name = {.kind = FB_KIND_TEXT, .u.text = T("one")};
    arena *memory = arena_new(1 << 16);
    REFUSED(row_read(NULL, l->item, &id, memory, row));
    REFUSED(row_read(l->r, NULL, &id, memory, row));
    REFUSED(row_read(l->r, l->item, NULL, memory, row));
    REFUSED(row_read(l->r, l->item, &id, NULL, row));
    REFUSED(row_read(l->r, l->item, &id, memory, NULL));
    const cat_entity stranger = *l->item; /* of no catalogue of this replica */
    REFUSED(row_read(l->r, &stranger, &id, memory, row));
    REFUSED(row_find(NULL, l->item, l->name, &name, memory, row));
    REFUSED(row_find(l->r, NULL, l->name, &name, memory, row));
    REFUSED(row_find(l->r, l->item, l->name, NULL, memory, row));
    REFUSED(row_find(l->r, l->item, l->name, &name, NULL, row));
    REFUSED(row_find(l->r, l->item, l->name, &name, memory, NULL));
    REFUSED(row_find(l->r, l->item, -1, &name, memory, row));
    REFUSED(row_find(l->r, l->item, (int)l->item->columns_count, &name, memory, row));
    arena_free(memory);
}

/* r NULL, or a group is open: what begins a transaction of its own. */
static void writing(lab *l, replica *r)
{
    fb_error err;
    stage_result got;
    pack_taken taken;
    const pack_want want = {.any = true};
    replica_identity me = {.user = l->user};
    int64_t gseq = 0;
    REFUSED(replica_identity_set(r, &me));
    REFUSED(replica_clock_seen(r, l->wall_ms, l->wall_ms));
    REFUSED(replica_check(r, &err));
    REFUSED(replica_rebirth(r, &err));
    REFUSED(stage_reply(r, T("{}\n"), l->wall_ms, &got, &err));
    REFUSED(pack_chunk_take(r, &want, T("x"), &taken, &err));
    REFUSED(pack_give_up(r, &err));
    REFUSED(problem_discard(r, 1, &err));
    REFUSED(problem_resubmit(r, 1, NULL, 0, &gseq, &err));
    REFUSED(parked_each(r, parked_fn, NULL));
    REFUSED(warning_each(r, warning_fn, NULL));
    REFUSED(rescue_take(r, T("{}"), &gseq, &err));
    if (r != NULL) {
        REFUSED(blob_round_begin(r, 1));
    }
}

/* r NULL, or no group is open. */
static void capturing(lab *l, replica *r)
{
    fb_error err;
    fb_value row[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_ID, .u.id = lab_id(5)}};
    const fb_id id = lab_id(1);
    int64_t gseq = 0;
    buf number;
    buf_init(&number, 100);
    REFUSED(capture_insert(r, l->item, row, &err));
    REFUSED(capture_update(r, l->item, &id, &l->name, row, 1, &err));
    REFUSED(capture_delta(r, l->item, &id, l->qty, 1, &err));
    REFUSED(capture_delete(r, l->item, &id, &err));
    REFUSED(capture_number(r, "SO", &number, &err));
    REFUSED(capture_commit(r, &gseq, &err));
    buf_clear(&number);
}

static void inside_a_group(lab *l)
{
    fb_error err;
    const fb_id id = lab_id(1);
    const fb_value text = {.kind = FB_KIND_TEXT, .u.text = T("x")};
    buf number;
    buf_init(&number, 100);
    REFUSED(capture_insert(l->r, l->item, NULL, &err));
    REFUSED(capture_update(l->r, NULL, &id, &l->name, &text, 1, &err));
    REFUSED(capture_update(l->r, l->item, NULL, &l->name, &text, 1, &err));
    REFUSED(capture_update(l->r, l->item, &id, NULL, &text, 1, &err));
    REFUSED(capture_update(l->r, l->item, &id, &l->name, NULL, 1, &err));
    const cat_entity stranger = *l->item; /* of no catalogue of this replica */
    REFUSED(capture_update(l->r, &stranger, &id, &l->name, &text, 1, &err));
    assert_int_equal(capture_update(l->r, l->item, &id, NULL, NULL, 0, &err), FB_OK); /* nothing */
    REFUSED(capture_delta(l->r, NULL, &id, l->qty, 1, &err));
    REFUSED(capture_delta(l->r, l->item, NULL, l->qty, 1, &err));
    REFUSED(capture_delta(l->r, l->item, &id, 0, 1, &err));
    REFUSED(capture_delta(l->r, l->item, &id, cat_ver_column(l->item), 1, &err));
    REFUSED(capture_delete(l->r, l->item, NULL, &err));
    REFUSED(capture_number(l->r, NULL, &number, &err));
    REFUSED(capture_number(l->r, "SO", NULL, &err));
    REFUSED(capture_commit(l->r, NULL, &err));
    buf_clear(&number);
}

/* What is right there: it is answered from what the group has written so far. */
static void asking_inside_a_group(lab *l)
{
    bool changed[256];
    int64_t stamp = replica_stamp(l->r);
    outbox_state box;
    replica_status status;
    const fb_id id = lab_id(40);
    assert_int_equal(replica_changed_since(l->r, 0, changed, &stamp), FB_OK);
    assert_int_equal(outbox_state_get(l->r, &box), FB_OK);
    assert_int_equal(box.last, 1);
    assert_int_equal(replica_status_get(l->r, &status), FB_OK);
    assert_int_equal(status.pending, 1);
    assert_int_equal(draft_put(l->r, &(draft){.id = id, .kind = T("k"), .body = T("{}")}), FB_OK);
    assert_int_equal(draft_delete(l->r, &id), FB_OK);
}

static void wrong_calls__are_refused_and_change_nothing(void **state)
{
    lab l;
    fb_error err;
    (void)state;
    lab_start(&l, DB, 1);
    lab_save(&l, 1, "one", 1);
    REFUSED(capture_begin(NULL, "lab.save", 0, 0, &err));
    asking_without_what_is_needed(&l);
    asking_for_what_was_not_wanted(&l);
    writing_records();
    reading_rows(&l);
    writing(&l, NULL);
    capturing(&l, NULL);
    capturing(&l, l.r);
    lab_begin(&l, "lab.save");
    lab_insert(&l, 2, "two", 2);
    inside_a_group(&l);
    asking_inside_a_group(&l);
    writing(&l, l.r);
    assert_int_equal(lab_commit(&l), 2);
    assert_true(lab_has(&l, 2) && !lab_has(&l, 5));
    assert_string_equal(lab_text(&l, 1, l.name), "one");
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 2);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_calls__are_refused_and_change_nothing),
    };
    return cmocka_run_group_tests_name("wrong_calls", tests, NULL, NULL);
}

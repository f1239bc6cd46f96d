/* test_problem.c - the tray: what was refused stays readable, and is closed only by a person. */
#include "support/lab.h"

#define DB lab_path("problem")

typedef struct seen {
    int count;
    int64_t gseq[8];
    verdict_code code[8];
    char text[8][100], cure[8][100], field[8][100], kind[8][50], body[8][400];
} seen;

static fb_code look(void *ctx, const problem *p)
{
    seen *s = ctx;
    int i = s->count++;
    s->gseq[i] = p->gseq;
    s->code[i] = p->code;
    snprintf(s->text[i], sizeof s->text[i], "%.*s", (int)p->text_zh.size, p->text_zh.data);
    snprintf(s->cure[i], sizeof s->cure[i], "%.*s", (int)p->cure_en.size, p->cure_en.data);
    snprintf(s->field[i], sizeof s->field[i], "%.*s", (int)p->field.size, p->field.data);
    snprintf(s->kind[i], sizeof s->kind[i], "%.*s", (int)p->kind.size, p->kind.data);
    snprintf(s->body[i], sizeof s->body[i], "%.*s", (int)p->body.size, p->body.data);
    return FB_OK;
}

/* Groups 1 (refused), 2 (held), 3 (blocked by 1); 4 stands. */
static void start_with_problems(lab *l)
{
    buf out;
    lab_start(l, DB, 1);
    reply_begin(l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(l, &out, 9, "nine", NULL, 10, 50);
    reply_take(l, &out);
    lab_save(l, 1, "refused", 1);
    lab_save(l, 2, "held", 2);
    lab_change(l, 1, l->note, "blocked");
    lab_save(l, 4, "good", 4);
    reply_begin(l, &out, 4, 4, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_verdict(&out, 2, VERDICT_HELD, false);
    reply_verdict(&out, 3, VERDICT_BLOCKED, false);
    verdict_run_put(&out, 4, 4, 6);
    reply_page(&out, "0.6", true, false);
    stage_result got = reply_take(l, &out);
    assert_int_equal(got.rejected, 2);
    assert_int_equal(got.held, 1);
}

static void problem__tells_what_is_wrong_and_the_cure(void **state)
{
    lab l;
    seen s = {0};
    replica_status st;
    (void)state;
    start_with_problems(&l);
    lab_reopen(&l);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.gseq[0], 1);
    assert_int_equal(s.code[0], VERDICT_REJECTED);
    assert_string_equal(s.text[0], "不可以");
    assert_string_equal(s.cure[0], "change it");
    assert_string_equal(s.field[0], "lab_item.name");
    assert_string_equal(s.kind[0], "lab.save");
    assert_non_null(strstr(s.body[0], "refused"));
    assert_int_equal(s.code[1], VERDICT_HELD);
    assert_int_equal(s.code[2], VERDICT_BLOCKED);
    assert_int_equal(replica_status_get(l.r, &st), FB_OK);
    assert_int_equal(st.rejected, 1);
    assert_int_equal(st.held, 1);
    assert_int_equal(st.blocked, 1);
    assert_int_equal(st.pending, 0);
    assert_false(lab_has(&l, 1));
    assert_true(lab_has(&l, 2));
    lab_check(&l);
    lab_stop(&l);
}

static void problem__payload_outlives_pruning(void **state)
{
    lab l;
    buf out;
    seen s = {0};
    (void)state;
    start_with_problems(&l); /* backed up to 4: group 4 is gone, the tray's are not */
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox"), 3);
    lab_save(&l, 5, "five", 5);
    reply_begin(&l, &out, 5, 5, 7);
    verdict_run_put(&out, 5, 5, 7);
    reply_page(&out, "0.7", true, false);
    reply_take(&l, &out);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 3);
    lab_check(&l);
    lab_stop(&l);
}

static void problem__discard_closes_and_keeps_the_record(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    seen s = {0};
    (void)state;
    start_with_problems(&l);
    assert_int_equal(problem_discard(l.r, 2, &err), FB_E_STATE);
    assert_int_equal(problem_discard(l.r, 4, &err), FB_E_NOT_FOUND);
    assert_int_equal(problem_discard(l.r, 1, &err), FB_OK);
    assert_int_equal(problem_discard(l.r, 1, &err), FB_E_STATE);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE gseq=1 AND state=4"), 1);
    lab_check(&l);
    lab_stop(&l);
}

static void problem__resubmit_captures_again_as_corrected(void **state)
{
    lab l;
    buf lines;
    seen s = {0};
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    uint32_t count = 0;
    digest before;
    char long_text[70];
    (void)state;
    start_with_problems(&l);
    memset(long_text, 'x', sizeof long_text);
    problem_patch patch = {
        .entity = l.item,
        .id = lab_id(1),
        .column = l.name,
        .value = {.kind = FB_KIND_TEXT, .u.text = {long_text, sizeof long_text}}};
    assert_int_equal(problem_resubmit(l.r, 1, &patch, 1, &gseq, &err),
                     FB_E_LENGTH); /* the rules are asked again */
    assert_false(lab_has(&l, 1));
    patch.id = lab_id(99);
    assert_int_equal(problem_resubmit(l.r, 1, &patch, 1, &gseq, &err), FB_E_NOT_FOUND);
    assert_int_equal(problem_resubmit(l.r, 2, NULL, 0, &gseq, &err), FB_E_STATE);
    assert_int_equal(problem_resubmit(l.r, 3, NULL, 0, &gseq, &err),
                     FB_E_NOT_FOUND); /* its row is not there */
    assert_false(capture_is_open(l.r));
    patch.id = lab_id(1);
    patch.value.u.text = T("corrected");
    assert_int_equal(problem_resubmit(l.r, 1, &patch, 1, &gseq, &err), FB_OK);
    assert_int_equal(gseq, 5);
    assert_string_equal(lab_text(&l, 1, l.name), "corrected");
    assert_int_equal(lab_qty(&l, 1), 1);
    buf_init(&lines, 1 << 20);
    assert_int_equal(outbox_read(l.r, 5, 1, 1, &lines, &count, &before), FB_OK);
    assert_non_null(strstr(buf_cstr(&lines), "\"rp\":\"1\""));
    buf_clear(&lines);
    /* What was blocked by it can follow now. */
    assert_int_equal(problem_resubmit(l.r, 3, NULL, 0, &gseq, &err), FB_OK);
    assert_string_equal(lab_text(&l, 1, l.note), "blocked");
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=4"), 2);
    lab_check(&l);
    lab_stop(&l);
}

/* What there was of rows 8 and 9: a new text, a difference and a deletion. */
static void refuse_changes(lab *l)
{
    buf out;
    fb_error err = {.code = FB_OK};
    const fb_id eight = lab_id(8), nine = lab_id(9);
    lab_start(l, DB, 3);
    reply_begin(l, &out, 0, 0, 5);
    reply_page(&out, "0.5", true, false);
    reply_row(l, &out, 8, "eight", NULL, 1, 50);
    reply_row(l, &out, 9, "nine", NULL, 10, 51);
    reply_take(l, &out);
    lab_begin(l, "lab.change");
    lab_set(l, 9, l->note, "refused");
    assert_int_equal(capture_delta(l->r, l->item, &nine, l->qty, 5, &err), FB_OK);
    assert_int_equal(capture_delete(l->r, l->item, &eight, &err), FB_OK);
    lab_commit(l);
    reply_begin(l, &out, 1, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_page(&out, "0.6", true, false);
    reply_take(l, &out);
    assert_true(lab_has(l, 8) && lab_qty(l, 9) == 10);
}

/* A correction replaces what was entered, joins what was not, and is a difference where that was.
 */
static void problem__resubmit_corrects_changes_of_every_kind(void **state)
{
    static const struct {
        const char *note, *name; /* corrections; NULL: none */
        int64_t difference;      /* 0: not corrected */
        const char *note_after, *name_after;
        int64_t qty_after;
    } CASES[] = {
        {NULL, NULL, 0, "refused", "nine", 15},
        {"better", NULL, 0, "better", "nine", 15},
        {NULL, "renamed", 0, "refused", "renamed", 15},
        {NULL, NULL, 7, "refused", "nine", 17},
        {"better", "renamed", -3, "better", "renamed", 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        lab l;
        fb_error err = {.code = FB_OK};
        problem_patch patches[3];
        uint32_t count = 0;
        int64_t gseq = 0;
        refuse_changes(&l);
        const problem_patch nine = {.entity = l.item, .id = lab_id(9)};
        if (CASES[i].difference != 0) {
            patches[count] = nine;
            patches[count].column = l.qty;
            patches[count++].value = (fb_value){.kind = FB_KIND_INT, .u.i = CASES[i].difference};
        }
        const char *const texts[] = {CASES[i].note, CASES[i].name};
        const int columns[] = {l.note, l.name};
        for (int k = 0; k < 2; k++) {
            if (texts[k] != NULL) {
                patches[count] = nine;
                patches[count].column = columns[k];
                patches[count++].value =
                    (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(texts[k])};
            }
        }
        fb_code rc = problem_resubmit(l.r, 1, patches, count, &gseq, &err);
        if (rc != FB_OK) {
            fail_msg("case %zu: %s %s", i, fb_code_name(rc), err.message);
        }
        assert_false(lab_has(&l, 8));
        assert_string_equal(lab_text(&l, 9, l.note), CASES[i].note_after);
        assert_string_equal(lab_text(&l, 9, l.name), CASES[i].name_after);
        assert_int_equal(lab_qty(&l, 9), CASES[i].qty_after);
        lab_check(&l);
        lab_stop(&l);
    }
}

/* What is no number cannot correct a difference: said with its column, and the group stays as it
 * was. */
static void problem__a_difference_is_corrected_by_a_number(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    (void)state;
    refuse_changes(&l);
    problem_patch patch = {.entity = l.item, .id = lab_id(9), .column = l.qty};
    assert_int_equal(patch.value.kind, FB_KIND_NULL);
    assert_int_equal(problem_resubmit(l.r, 1, &patch, 1, &gseq, &err), FB_E_INVALID);
    assert_string_equal(err.field, "qty");
    assert_true(lab_has(&l, 8) && lab_qty(&l, 9) == 10);
    assert_int_equal(problem_resubmit(l.r, 1, NULL, 0, &gseq, &err), FB_OK);
    assert_int_equal(lab_qty(&l, 9), 15);
    lab_check(&l);
    lab_stop(&l);
}

static void problem__survives_a_new_incarnation(void **state)
{
    lab l;
    seen s = {0};
    fb_error err = {.code = FB_OK};
    int64_t gseq = 0;
    (void)state;
    start_with_problems(&l);
    lab_save(&l, 6, "pending", 6);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=0 AND gseq > 0"),
                     2); /* what waited waits in this life too: in front */
    assert_string_equal(s.text[0], "不可以");
    assert_true(s.gseq[0] < s.gseq[1] && s.gseq[1] < 0);
    assert_int_equal(problem_resubmit(l.r, s.gseq[0], NULL, 0, &gseq, &err), FB_OK);
    assert_int_equal(gseq, 3);
    assert_string_equal(lab_text(&l, 1, l.name), "refused");
    assert_int_equal(problem_discard(l.r, s.gseq[1], &err), FB_OK);
    lab_check(&l);
    lab_stop(&l);
}

/* Answered, but the page that brings the answers into effect has not come. */
static void problem__survives_a_new_incarnation_that_comes_before_the_page(void **state)
{
    lab l;
    buf out;
    seen s = {0};
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_start(&l, DB, 2);
    lab_save(&l, 1, "refused", 1);
    lab_change(&l, 1, l.note, "blocked");
    lab_save(&l, 2, "good", 2);
    reply_begin(&l, &out, 3, 0, 6);
    reply_verdict(&out, 1, VERDICT_REJECTED, false);
    reply_verdict(&out, 2, VERDICT_BLOCKED, false);
    verdict_run_put(&out, 3, 3, 6);
    reply_page(&out, "0.6", false, false);
    reply_take(&l, &out);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 0);
    assert_int_equal(replica_rebirth(l.r, &err), FB_OK);
    assert_int_equal(problem_each(l.r, look, &s), FB_OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.code[0], VERDICT_REJECTED);
    assert_string_equal(s.field[0], "lab_item.name");
    assert_int_equal(s.code[1], VERDICT_BLOCKED);
    assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=5"), 1);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problem__tells_what_is_wrong_and_the_cure),
        cmocka_unit_test(problem__payload_outlives_pruning),
        cmocka_unit_test(problem__discard_closes_and_keeps_the_record),
        cmocka_unit_test(problem__resubmit_captures_again_as_corrected),
        cmocka_unit_test(problem__resubmit_corrects_changes_of_every_kind),
        cmocka_unit_test(problem__a_difference_is_corrected_by_a_number),
        cmocka_unit_test(problem__survives_a_new_incarnation),
        cmocka_unit_test(problem__survives_a_new_incarnation_that_comes_before_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

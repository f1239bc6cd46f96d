/* visit.c - a person is in one place: one open visit at a time; check-out after check-in.
 *
 * Visits older than a week do not count: a job closes them (auto_closed). */
#include "sync-server/decide/decide_inside.h"

enum { OPEN_DAYS = 7 };

static const saying OPEN = {FB_E_VISIT_OPEN, "another visit is still open", "还有未签退的拜访",
                            "check out of it first, then send this one again",
                            "请先签退该拜访，再重新发送"};
static const saying BACKWARDS = {FB_E_INVALID, "check-out lies before check-in",
                                 "签退时间早于签到时间", "correct the check-out time",
                                 "请更正签退时间"};

static bool is_open(const view_row *row)
{
    fb_text status = row_text(row->e, row->values, "status");
    return !row->deleted && (text_is(status, "open") || text_is(status, "paused"));
}

/* An open visit of the person in the store that this group does not close. */
static fb_code other_open(decide *d, const view_row *row, bool *found)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_visits_open);
    fb_id user = row_id(row->e, row->values, "user_id");
    bool more = false;
    store_bind_id(q, 1, &user);
    store_bind_text(q, 2, row_text(row->e, row->values, "visit_date"));
    store_bind_int(q, 3, OPEN_DAYS);
    for (*found = false; !*found;) {
        FB_TRY(store_step(q, &more));
        if (!more) {
            return FB_OK;
        }
        fb_id id = store_id(q, 0);
        const view_row *seen = view_find(d, row->e, &id);
        *found = !id_equal(&id, &row->id) && (seen == NULL || is_open(seen));
    }
    store_reset(q);
    return FB_OK;
}

static bool other_open_in_group(decide *d, const view_row *row)
{
    fb_id user = row_id(row->e, row->values, "user_id");
    for (uint32_t i = 0; i < d->rows_count; i++) {
        const view_row *other = d->rows[i];
        if (other != row && other->e == row->e && is_open(other)) {
            fb_id theirs = row_id(other->e, other->values, "user_id");
            if (id_equal(&theirs, &user)) {
                return true;
            }
        }
    }
    return false;
}

static fb_code refuse_visit(decide *d, const saying *s, const view_row *row, const char *column)
{
    issue why;
    say(&why, s, row->e, cat_column_str(row->e, column));
    return refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

fb_code visit_rule(decide *d, view_row *row)
{
    int64_t in = row_int(row->e, row->values, "check_in_at"),
            out = row_int(row->e, row->values, "check_out_at");
    bool found = false;
    if (row->deleted) {
        return FB_OK;
    }
    if (out != 0 && out < in) {
        return refuse_visit(d, &BACKWARDS, row, "check_out_at");
    }
    if (!state_became(row, "open") && !state_became(row, "paused")) {
        return FB_OK;
    }
    found = other_open_in_group(d, row);
    if (!found) {
        FB_TRY(other_open(d, row, &found));
    }
    return found ? refuse_visit(d, &OPEN, row, "status") : FB_OK;
}

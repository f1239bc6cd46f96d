/* visit.c - a person is in one place: one open visit at a time.
 *
 * Visits older than a week do not count: a job closes them (auto_closed). */
#include "sync-server/decide/decide_inside.h"

enum { OPEN_DAYS = 7 };

static const saying OPEN = {FB_E_VISIT_OPEN, "another visit is still open", "还有未签退的拜访",
                            "check out of it first, then send this one again",
                            "请先签退该拜访，再重新发送"};

static bool is_open(const view_row *row)
{
    fb_text status = row_text(row->e, row->values, "status");
    return !row->deleted && (text_is(status, "open") || text_is(status, "paused"));
}

/* An open visit of the person in the store; those of this group have been looked at. */
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
        *found = view_find(d, row->e, &id) == NULL;
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

static fb_code refuse_visit(decide *d, const view_row *row)
{
    issue why;
    say(&why, &OPEN, row->e, cat_column_str(row->e, "status"));
    return refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

fb_code visit_rule(decide *d, view_row *row)
{
    bool found = false;
    if (!state_became(row, "open") && !state_became(row, "paused")) {
        return FB_OK;
    }
    found = other_open_in_group(d, row);
    if (!found) {
        FB_TRY(other_open(d, row, &found));
    }
    return found ? refuse_visit(d, row) : FB_OK;
}

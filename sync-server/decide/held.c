/* held.c - a manager decides a held group on a device: an ordinary update of its row (held_group).
 *
 * Judged here: is it still open, is it his to decide. What it sets off, the group's own effect and
 * its new verdict, is done by intake behind this group in the same transaction (decision.held), by
 * the code that serves fieldbook-admin held. The first decision counts; a later one is refused and
 * says what was decided. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

static const saying DECIDED = {FB_E_STATE, "it has been decided already", "该操作已有审批结果",
                               "nothing to do: sync and look at it", "无需操作：请同步后查看"};
static const saying OWN_STEP = {FB_E_FORBIDDEN,
                                "work that waits is decided by accept or reject only",
                                "待审批的操作只能通过接受或驳回处理",
                                "decide it in the list of work that waits", "请在待审批列表中处理"};
static const saying NO_STEP = {FB_E_REQUIRED, "say whether it is accepted or rejected",
                               "请选择接受或驳回", "accept it, or reject it with a reason",
                               "请接受，或填写原因后驳回"};
static const saying FOR_IT = {FB_E_FORBIDDEN, "IT decides this one at the server",
                              "此项由IT在服务器上处理", "nothing to do: IT has been told",
                              "无需操作：IT已收到通知"};
static const saying OWN_WORK = {FB_E_FORBIDDEN, "nobody decides about his own work",
                                "不能审批本人的操作", "ask another manager", "请由其他经理处理"};
static const saying ONE_ONLY = {FB_E_LIMIT, "one group decides one held group", "一次只能审批一项",
                                "decide them one by one", "请逐项审批"};
/* The row is open and no group waits: a hand at the server wrote to it. */
static const saying WAITS_NOT = {FB_E_STATE, "nothing waits at the server for this record",
                                 "服务器上没有与该记录对应的待审批操作",
                                 "tell IT: it was changed by hand", "请告知IT：该记录被手工改动过"};

/* ---- which group a row shows ---- */

/* Author and bytes, as an id of version 8 (RFC 9562). */
fb_id held_row_id(const fb_id *user, fb_text line)
{
    static const char NAME[] = "held_group";
    digest_run run;
    digest hash;
    fb_id id;
    digest_begin(&run);
    digest_add(&run, NAME, sizeof NAME);
    digest_add(&run, user->b, sizeof user->b);
    digest_add(&run, line.data, line.size);
    digest_end(&run, &hash);
    memcpy(id.b, hash.b, sizeof id.b);
    id.b[6] = (uint8_t)(0x80 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

/* Does this row show the verdict at hand? An earlier version noted its name only where something
 * was erased from the payload. */
static bool is_shown(store_stmt *q, const fb_id *row)
{
    fb_id user = store_id(q, 4);
    fb_id shown = store_is_null(q, 3) ? held_row_id(&user, store_blob(q, 5)) : store_id(q, 3);
    return id_equal(&shown, row);
}

/* Device, number, incarnation: the first columns of both statements. */
static fb_code waiting_count(store_stmt *q, const fb_id *row, held_waiting *out)
{
    bool more = false;
    *out = (held_waiting){.count = 0};
    FB_TRY(store_step(q, &more));
    while (more) {
        if (row == NULL || is_shown(q, row)) {
            *out = (held_waiting){store_id(q, 0), store_int(q, 1), store_int(q, 2), out->count + 1};
        }
        FB_TRY(store_step(q, &more));
    }
    return FB_OK;
}

fb_code held_waiting_at(store *view, const fb_id *device, int64_t number, held_waiting *out)
{
    store_stmt *q = store_prepare(view, STORE_decide_held_at);
    store_bind_id(q, 1, device);
    store_bind_int(q, 2, number);
    return waiting_count(q, NULL, out);
}

fb_code held_waiting_row(store *view, const fb_id *row, held_waiting *out)
{
    return waiting_count(store_prepare(view, STORE_decide_held_all), row, out);
}

/* ---- a manager's device decides ---- */

static fb_code refuse_held(decide *d, const saying *s, const view_row *row, const char *column)
{
    issue why;
    say(&why, s, row->e, cat_column_str(row->e, column));
    return refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

fb_code held_check(decide *d, const view_row *row, bool by_server)
{
    if (facts_of(d, row->e)->rule != SPECIAL_HELD) {
        return FB_OK;
    }
    if (by_server || d->who->waived) {
        return refuse_held(d, &OWN_STEP, row, "state");
    }
    bool is_open = text_is(row_text(row->e, row->values, "state"), "open");
    return is_open ? FB_OK : refuse_held(d, &DECIDED, row, "state");
}

fb_code held_rule(decide *d, view_row *row)
{
    decided_held what = {.accept = state_became(row, "accepted"),
                         .reason = row_text(row->e, row->values, "reason")};
    fb_id author = row_id(row->e, row->values, "user_id");
    held_waiting waiting;
    if (!what.accept && !state_became(row, "rejected")) {
        return refuse_held(d, &NO_STEP, row, "state");
    }
    if (text_is(row_text(row->e, row->values, "role"), "IT")) {
        return refuse_held(d, &FOR_IT, row, "role");
    }
    if (id_equal(&author, &d->who->user)) {
        return refuse_held(d, &OWN_WORK, row, "user_id");
    }
    if (d->out->held.number != 0) {
        return refuse_held(d, &ONE_ONLY, row, "id");
    }
    FB_TRY(held_waiting_row(d->view, &row->id, &waiting));
    if (waiting.count == 0) {
        return refuse_held(d, &WAITS_NOT, row, "number");
    }
    what.device = waiting.device;
    what.number = waiting.number;
    what.incarnation_no = waiting.incarnation_no;
    d->out->held = what;
    person_stamp(d, row, "decided_by", "decided_at");
    return FB_OK;
}

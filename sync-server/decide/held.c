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
static const saying WAITS_NOT = {FB_E_STATE, "it does not wait any more: its device began anew",
                                 "该操作已不再等待：其设备已重新开始",
                                 "nothing to do: it comes again under a new number",
                                 "无需操作：该操作会以新序号重新出现"};

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

static fb_code waits(decide *d, const decided_held *what, bool *out)
{
    store_stmt *q = store_prepare(d->view, STORE_decide_held_waits);
    store_bind_id(q, 1, &what->device);
    store_bind_int(q, 2, what->number);
    FB_TRY(store_step(q, out));
    store_reset(q);
    return FB_OK;
}

fb_code held_rule(decide *d, view_row *row)
{
    decided_held what = {.device = row_id(row->e, row->values, "device_id"),
                         .number = row_int(row->e, row->values, "number"),
                         .accept = state_became(row, "accepted"),
                         .reason = row_text(row->e, row->values, "reason")};
    fb_id author = row_id(row->e, row->values, "user_id");
    bool waiting = false;
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
    FB_TRY(waits(d, &what, &waiting));
    if (!waiting) {
        return refuse_held(d, &WAITS_NOT, row, "number");
    }
    d->out->held = what;
    person_stamp(d, row, "decided_by", "decided_at");
    return FB_OK;
}

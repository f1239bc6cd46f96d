/* change_request.c - an approved change request changes its target in the same commit.
 *
 * diff_json is {"column": value, ...} with values as on the wire, or {"column": {"base": old,
 * "mine": new}, ...}; with a base that is no longer the target's value the request is refused: the
 * approver must look again.
 *
 * REQ-1  who approves answers for the change: it must be one that the approver may make, or
 * approve, of that kind of record. Else the right to approve requests would be every right. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

#include "wire/row_msg.h"

static const saying NO_TARGET = {FB_E_REFERENCE, "the record to be changed does not exist",
                                 "待变更的记录不存在", "reject this request", "请驳回该申请"};
static const saying BAD_DIFF = {FB_E_INVALID, "the requested change cannot be read",
                                "变更内容无法读取", "reject this request and enter it again",
                                "请驳回该申请并重新录入"};
static const saying MOVED = {FB_E_STATE, "the record was changed since the request was made",
                             "申请提交后该记录已被修改", "look at the record and decide anew",
                             "请查看该记录后重新审批"};

static const saying NOT_ALLOWED = {
    FB_E_FORBIDDEN, "your role may not change records of that kind", "您的角色无权变更此类记录",
    "leave this request to somebody who may", "请交由有权限的人员审批"};

typedef struct diff {
    decide *d;
    view_row *target;
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    uint32_t count;
    bool moved;
} diff;

static fb_code refuse_request(decide *d, const saying *s, const view_row *row, const char *column)
{
    issue why;
    say(&why, s, row->e, cat_column_str(row->e, column));
    return refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

/* {"base": old, "mine": new} */
static void pair_get(json_reader *r, diff *f, int column, fb_value *mine)
{
    const cat_column *col = &f->target->e->columns[column];
    const fb_value *now = &f->target->values[column];
    fb_value base = *now;
    fb_text key;
    json_object_begin(r);
    while (json_object_next(r, &key)) {
        if (text_is(key, "base")) {
            value_get(r, col, &base);
        } else if (text_is(key, "mine")) {
            value_get(r, col, mine);
        } else {
            json_skip(r);
        }
    }
    f->moved |= !fb_value_equal(&base, now) && !fb_value_equal(mine, now);
}

static void diff_get(json_reader *r, diff *f)
{
    fb_text name;
    json_object_begin(r);
    while (json_object_next(r, &name)) {
        int column = cat_column_find(f->target->e, name);
        if (column <= 0 || column >= cat_ver_column(f->target->e)) { /* no key stands twice */
            json_fail(r, FB_E_PROTOCOL, "no such column");
            return;
        }
        fb_value *mine = &f->values[f->count];
        *mine = (fb_value){.kind = FB_KIND_NULL};
        f->columns[f->count++] = column;
        if (json_peek(r) == JSON_OBJECT) { /* no value is one: json travels as a text */
            pair_get(r, f, column, mine);
        } else {
            value_get(r, &f->target->e->columns[column], mine);
        }
    }
}

static fb_code diff_apply(decide *d, view_row *row, view_row *target)
{
    json_reader r;
    diff f = {.d = d, .target = target};
    fb_text text = arena_text(d->memory, row_text(row->e, row->values, "diff_json"));
    json_reader_init(&r, text, d->memory);
    diff_get(&r, &f);
    if (json_finish(&r) != FB_OK || f.count == 0) {
        return r.code == FB_E_NO_MEMORY ? r.code : refuse_request(d, &BAD_DIFF, row, "diff_json");
    }
    if (f.moved) {
        return refuse_request(d, &MOVED, target, "id");
    }
    return server_set(d, target, f.columns, f.values, f.count);
}

/* A customer is not deleted but made inactive; what has no state machine goes. */
static fb_code delete_apply(decide *d, view_row *row, view_row *target)
{
    int column = target->e->states.column;
    fb_value inactive = {.kind = FB_KIND_TEXT, .u.text = text_of("inactive")};
    if (column >= 0) {
        return server_set(d, target, &column, &inactive, 1);
    }
    if (target->e->children_count > 0) {
        return refuse_request(d, &BAD_DIFF, row, "kind");
    }
    target->deleted = true;
    d->plain = false;
    return FB_OK;
}

/* REQ-1 */
static bool may_answer(const decide *d, const cat_entity *e, fb_text kind)
{
    const row_rights *r = rights_of(d, e);
    bool goes = text_is(kind, "delete") && e->states.column < 0;
    return r->approve || (goes ? r->remove : r->update);
}

fb_code change_request_rule(decide *d, view_row *row)
{
    bool approved = state_became(row, "approved");
    fb_text kind = row_text(row->e, row->values, "kind");
    const cat_entity *e = catalog_entity(d->cat, row_text(row->e, row->values, "target_entity"));
    view_row *target = NULL;
    fb_id id;
    if (!approved && !state_became(row, "rejected")) {
        return FB_OK;
    }
    person_stamp(d, row, "decided_by", "decided_at");
    if (!approved || text_is(kind, "create")) {
        return FB_OK;
    }
    bool named = e != NULL && id_get(row_text(row->e, row->values, "target_id"), &id);
    fb_code rc = named ? view_get(d, e, &id, &target) : FB_E_NOT_FOUND;
    if (rc == FB_E_NOT_FOUND) {
        return refuse_request(d, &NO_TARGET, row, "target_id");
    }
    FB_TRY(rc);
    if (!may_answer(d, e, kind)) {
        return refuse_request(d, &NOT_ALLOWED, row, "target_entity");
    }
    FB_TRY(scope_check_row(d, target));
    return text_is(kind, "delete") ? delete_apply(d, row, target) : diff_apply(d, row, target);
}

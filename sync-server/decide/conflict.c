/* conflict.c - a person decides a conflict record: the value chosen is written to its row in the
 * same commit. */
#include <string.h>

#include "sync-server/decide/decide_inside.h"

static const saying NO_ROW = {FB_E_REFERENCE, "the record of this conflict does not exist any more",
                              "该冲突对应的记录已不存在", "nothing to do: the conflict is over",
                              "无需操作：冲突已失效"};
static const saying NO_WINNER = {FB_E_REQUIRED, "say which value stands", "请选择保留哪个值",
                                 "choose mine, theirs, base or type a value",
                                 "请选择本方、对方、原值或手工录入"};
static const saying NOT_ALLOWED = {FB_E_FORBIDDEN, "your role may not change that record",
                                   "您的角色无权修改该记录", "ask your manager to decide",
                                   "请由经理处理"};

static fb_code refuse_conflict(decide *d, const saying *s, const view_row *row, const char *column)
{
    issue why;
    say(&why, s, row->e, cat_column_str(row->e, column));
    return refuse_row(d, VERDICT_REJECTED, &why, "", row);
}

/* Which column of the conflict row holds the value that was chosen. */
static const struct {
    const char *winner, *column;
} CHOICES[] = {
    {"mine", "mine"}, {"theirs", "theirs"}, {"base", "base"}, {"person", "resolved_value"}};

static const char *choice_of(fb_text winner)
{
    for (size_t i = 0; i < sizeof CHOICES / sizeof CHOICES[0]; i++) {
        if (text_is(winner, CHOICES[i].winner)) {
            return CHOICES[i].column;
        }
    }
    return NULL;
}

fb_code conflict_knows(const cat_entity *ce, const fb_value *record, const cat_entity *e,
                       int column, const fb_value *now, bool *out)
{
    buf text;
    buf_init(&text, 1 << 20);
    if (now->kind != FB_KIND_NULL) {
        cat_value_print(e, column, now, false, &text);
    }
    *out = false;
    for (size_t i = 0; i < sizeof CHOICES / sizeof CHOICES[0]; i++) {
        fb_text said = row_text(ce, record, CHOICES[i].column);
        bool typed = strcmp(CHOICES[i].winner, "person") == 0; /* absent: nobody has */
        *out |= text_equal(said, buf_text(&text)) && (!typed || said.size > 0);
    }
    fb_code rc = text.code;
    buf_clear(&text);
    return rc;
}

/* As far as he knows the winner of the record stands. */
static fb_code over_unseen(decide *d, const view_row *row, view_row *target, int column,
                           const fb_value *chosen)
{
    fb_error err;
    fb_value stood = {.kind = FB_KIND_NULL};
    bool mine = text_is(row_text(row->e, row->before, "winner"), "mine");
    fb_text said = row_text(row->e, row->values, mine ? "mine" : "theirs");
    if (said.size > 0 && cat_value_parse(target->e, column, said, false, &stood, &err) != FB_OK) {
        stood = (fb_value){.kind = FB_KIND_NULL};
    }
    return settled_over(d, target, column, &stood, chosen);
}

static fb_code value_write(decide *d, view_row *row, view_row *target, int column, fb_text chosen)
{
    fb_error err;
    fb_value v;
    if (!rights_of(d, target->e)->update) {
        return refuse_conflict(d, &NOT_ALLOWED, row, "entity_id");
    }
    fb_code rc = cat_value_parse(target->e, column, chosen, false, &v, &err);
    if (rc != FB_OK) {
        saying bad = {rc, "the value chosen does not fit its field", "所选的值不符合该字段",
                      "choose another value", "请选择其他值"};
        return refuse_conflict(d, &bad, row, "resolved_value");
    }
    if (fb_value_equal(&target->values[column], &v)) {
        return FB_OK;
    }
    bool seen = false;
    FB_TRY(conflict_knows(row->e, row->before, target->e, column, &target->values[column], &seen));
    FB_TRY(seen ? FB_OK : over_unseen(d, row, target, column, &v));
    return server_set(d, target, &column, &v, 1);
}

fb_code conflict_rule(decide *d, view_row *row)
{
    bool by_person =
        row->before != NULL && (state_became(row, "resolved") || state_became(row, "decided"));
    view_row *target = NULL;
    fb_id id;
    if (!by_person) {
        return FB_OK;
    }
    const char *choice = choice_of(row_text(row->e, row->values, "winner"));
    if (choice == NULL) {
        return refuse_conflict(d, &NO_WINNER, row, "winner");
    }
    person_stamp(d, row, "resolved_by", "resolved_at");
    const cat_entity *e = catalog_entity(d->cat, row_text(row->e, row->values, "entity"));
    int column = e != NULL ? cat_column_find(e, row_text(row->e, row->values, "field")) : -1;
    bool named = column > 0 && id_get(row_text(row->e, row->values, "entity_id"), &id);
    fb_code rc = named ? view_get(d, e, &id, &target) : FB_E_NOT_FOUND;
    if (rc == FB_E_NOT_FOUND) {
        return refuse_conflict(d, &NO_ROW, row, "entity_id");
    }
    FB_TRY(rc);
    FB_TRY(scope_check_row(d, target));
    return value_write(d, row, target, column, row_text(row->e, row->values, choice));
}

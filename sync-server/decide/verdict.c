/* verdict.c - refusals and merges in words, in both languages. */
#include "sync-server/decide/decide_inside.h"

#include <string.h>

#include "wire/row_msg.h"

static fb_text keep(arena *memory, const char *text)
{
    fb_text t = text_of(text);
    return t.size > 0 ? arena_text(memory, t) : (fb_text){NULL, 0};
}

fb_code verdict_refuse(decide *d, verdict_code v, const issue *why, const char *who)
{
    verdict_msg *m = &d->out->verdict;
    if (why->code == FB_E_NO_MEMORY) { /* a rule that could not be asked has refused nothing */
        return why->code;
    }
    *m = (verdict_msg){
        .gseq = d->who->gseq, .code = v, .error = why->code, .who = keep(d->memory, who)};
    m->field = keep(d->memory, why->field);
    m->text_en = keep(d->memory, why->text_en);
    m->text_zh = keep(d->memory, why->text_zh);
    m->cure_en = keep(d->memory, why->cure_en);
    m->cure_zh = keep(d->memory, why->cure_zh);
    d->refused = true;
    return why->code;
}

fb_code refuse_row(decide *d, verdict_code v, const issue *why, const char *who,
                   const view_row *row)
{
    fb_code rc = verdict_refuse(d, v, why, who);
    if (d->refused && row->before != NULL) {
        d->out->verdict.row = row_json(row->e, row->before, d->memory);
    }
    return rc;
}

fb_text field_name(const cat_entity *e, int column, char room[96])
{
    size_t n = 0;
    const fb_text parts[] = {e->name, text_of("."),
                             column >= 0 ? e->columns[column].name : text_of("id")};
    for (size_t i = 0; i < 3; i++) {
        size_t size = parts[i].size < 95 - n ? parts[i].size : 95 - n;
        memcpy(room + n, parts[i].data, size);
        n += size;
    }
    room[n] = '\0';
    return (fb_text){room, n};
}

void say(issue *out, const saying *s, const cat_entity *e, int column)
{
    char field[96];
    field_name(e, column, field);
    (void)issue_set(out, s->code, field, s->text_en, s->text_zh, s->cure_en, s->cure_zh);
}

static const saying BLOCKED = {
    FB_E_BLOCKED, "it depends on an earlier record that was not accepted",
    "它依赖的前一条记录未被接受", "settle the earlier record first, then send this one again",
    "请先处理前一条记录，再重新发送"};

fb_code refuse_blocked(decide *d, int64_t by, const cat_entity *e, int column)
{
    issue why;
    say(&why, &BLOCKED, e, column);
    fb_code rc = verdict_refuse(d, VERDICT_BLOCKED, &why, "");
    d->out->verdict.blocked_by = by;
    return rc;
}

fb_text row_json(const cat_entity *e, const fb_value *values, arena *memory)
{
    buf out;
    json_writer w;
    buf_init(&out, 1 << 20);
    json_writer_init(&w, &out);
    json_put_object(&w);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        if (values[i].kind != FB_KIND_NULL) {
            json_put_key_text(&w, e->columns[i].name);
            value_put(&w, &e->columns[i], &values[i]);
        }
    }
    json_put_end(&w);
    return arena_keep(memory, &out);
}

fb_text value_json(const cat_column *c, const fb_value *v, arena *memory)
{
    buf out;
    json_writer w;
    buf_init(&out, 1 << 20);
    json_writer_init(&w, &out);
    value_put(&w, c, v);
    return arena_keep(memory, &out);
}

static fb_text id_text(const fb_id *id, arena *memory)
{
    char text[FB_ID_TEXT_BYTES];
    id_put(id, text);
    return arena_text(memory, text_of(text));
}

static fb_code columns_list(decide *d, verdict_msg *m)
{
    m->columns = arena_take(d->memory, (d->merged_count + 1) * sizeof *m->columns);
    if (m->columns == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (const merged_column *c = d->merged; c != NULL; c = c->next) {
        m->columns[m->columns_count++] = c->column;
    }
    return FB_OK;
}

static fb_code aliases_list(decide *d, verdict_msg *m)
{
    uint32_t count = 0;
    for (const alias_pair *a = d->aliases; a != NULL; a = a->next) {
        count++;
    }
    m->aliases = arena_take(d->memory, (count + 1) * sizeof *m->aliases);
    if (m->aliases == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (const alias_pair *a = d->aliases; a != NULL; a = a->next) {
        struct verdict_alias *to = &m->aliases[m->aliases_count++];
        to->entity = a->e->name;
        to->from = id_text(&a->from, d->memory);
        to->to = id_text(&a->to, d->memory);
        if (to->from.data == NULL || to->to.data == NULL) { /* who keeps aliases reads them again */
            return FB_E_NO_MEMORY;
        }
    }
    return FB_OK;
}

/* The group stands; what it said of an erased person does not. */
static void tell_erased(const decide *d, verdict_msg *m)
{
    if (d->erased.count > 0) {
        m->error = FB_E_ERASED;
        m->text_en = text_of("this person's data was erased: what belongs to it was left out");
        m->text_zh = text_of("该个人信息已按要求删除：相关内容未保存");
        m->cure_en = text_of("nothing to do; a person who comes back is a new record");
        m->cure_zh = text_of("无需操作；如客户重新来访，请新建记录");
    }
}

fb_code verdict_accept(decide *d)
{
    verdict_msg *m = &d->out->verdict;
    *m = (verdict_msg){.gseq = d->who->gseq, .code = VERDICT_APPLIED};
    if (d->merged_count > 0) {
        m->code = VERDICT_MERGED;
        FB_TRY(columns_list(d, m));
    }
    if (d->aliases != NULL) {
        m->code = VERDICT_ALIAS;
        FB_TRY(aliases_list(d, m));
    }
    tell_erased(d, m);
    d->plain &= m->code == VERDICT_APPLIED && d->out->changes_count > 0;
    m->echo = !d->plain;
    d->out->plain = d->plain;
    return FB_OK;
}

static void refuse_alone(const decide_session *who, verdict_code v, const issue *why,
                         const char *decides, arena *memory, decision *out)
{
    decide d = {.who = who, .memory = memory, .out = out};
    *out = (decision){.plain = false};
    (void)verdict_refuse(&d, v, why, decides);
}

void decide_refuse_unread(const decide_session *who, fb_code code, const char *why, arena *memory,
                          decision *out)
{
    issue i;
    (void)issue_set(&i, code, why, "the server cannot read this record", "服务器无法读取此记录",
                    "give it to IT together with the app's version; what was entered is kept",
                    "请将其与应用版本一并交给IT；已录入的内容已保留");
    refuse_alone(who, VERDICT_REJECTED, &i, "", memory, out);
}

void decide_hold_poison(const decide_session *who, arena *memory, decision *out)
{
    issue i;
    (void)issue_set(&i, FB_E_POISON, "",
                    "the server could not process this record in several attempts",
                    "服务器多次尝试仍无法处理此记录",
                    "nothing to do: IT has been told; what was entered is kept",
                    "无需操作：IT已收到通知；已录入的内容已保留");
    refuse_alone(who, VERDICT_HELD, &i, "IT", memory, out);
}

/* verdict_msg.c - the server's answer to one group that is more than "applied", see sync_msg.h.
 *
 *   {"m":"verdict","g":"13","code":"rejected","cid":"5119","echo":1,"err":"E_DISCOUNT",
 *    "field":"sales_order_line[3].discount_bp","en":"...","zh":"...","cure_en":"...",
 *    "cure_zh":"...","by":"12","who":"MGR","row":{...},
 *    "cols":[[entity,id,column,policy,mine won 1|0,base,mine,theirs],...],
 *    "alias":[[entity,from id,to id],...]}
 * required: g code. base, mine and theirs are JSON values; an absent one is null. */
#include "wire/verdict_msg.h"

#include <string.h>

#include "schema/limits.h"
#include "wire/fields.h"

static const char *const NAMES[] = {
    [VERDICT_APPLIED] = "applied", [VERDICT_MERGED] = "merged", [VERDICT_REJECTED] = "rejected",
    [VERDICT_HELD] = "held",       [VERDICT_ALIAS] = "alias",   [VERDICT_BLOCKED] = "blocked",
};

enum { NAMES_COUNT = sizeof NAMES / sizeof NAMES[0], LIST_ROOM_FIRST = 8 };

const char *verdict_name(verdict_code v)
{
    return (unsigned)v >= 1 && (unsigned)v < NAMES_COUNT ? NAMES[v] : "unknown";
}

_Static_assert(sizeof(verdict_code) == sizeof(uint32_t), "FIELD_NAME holds an enum of 32 bits");

#define AT(name) offsetof(verdict_msg, name)
static const field VERDICT_FIELDS[] = {
    {"g", FIELD_COUNT, FIELD_REQUIRED, AT(gseq)},
    {"code", FIELD_NAME, FIELD_REQUIRED, AT(code)},
    {"cid", FIELD_COUNT, FIELD_OPTIONAL, AT(cid)},
    {"echo", FIELD_FLAG, FIELD_OPTIONAL, AT(echo)},
    {"err", FIELD_ERROR, FIELD_OPTIONAL, AT(error)},
    {"field", FIELD_TEXT, FIELD_OPTIONAL, AT(field)},
    {"en", FIELD_TEXT, FIELD_OPTIONAL, AT(text_en)},
    {"zh", FIELD_TEXT, FIELD_OPTIONAL, AT(text_zh)},
    {"cure_en", FIELD_TEXT, FIELD_OPTIONAL, AT(cure_en)},
    {"cure_zh", FIELD_TEXT, FIELD_OPTIONAL, AT(cure_zh)},
    {"by", FIELD_COUNT, FIELD_OPTIONAL, AT(blocked_by)},
    {"who", FIELD_TEXT, FIELD_OPTIONAL, AT(who)},
    {"row", FIELD_RAW, FIELD_OPTIONAL, AT(row)},
};
#undef AT

static const message VERDICT = {"verdict", VERDICT_FIELDS,
                                sizeof VERDICT_FIELDS / sizeof VERDICT_FIELDS[0], NAMES,
                                NAMES_COUNT};

static void raw_or_null_put(json_writer *w, fb_text json)
{
    if (json.size == 0) {
        json_put_null(w);
    } else {
        json_put_raw(w, json);
    }
}

static void columns_put(json_writer *w, const verdict_msg *m)
{
    json_put_key(w, "cols");
    json_put_array(w);
    for (uint32_t i = 0; i < m->columns_count; i++) {
        const verdict_column *c = &m->columns[i];
        json_put_array(w);
        json_put_string(w, c->entity);
        json_put_string(w, c->id);
        json_put_string(w, c->column);
        json_put_string(w, c->policy);
        json_put_int(w, c->mine_won ? 1 : 0);
        raw_or_null_put(w, c->base);
        raw_or_null_put(w, c->mine);
        raw_or_null_put(w, c->theirs);
        json_put_end(w);
    }
    json_put_end(w);
}

static void aliases_put(json_writer *w, const verdict_msg *m)
{
    json_put_key(w, "alias");
    json_put_array(w);
    for (uint32_t i = 0; i < m->aliases_count; i++) {
        json_put_array(w);
        json_put_string(w, m->aliases[i].entity);
        json_put_string(w, m->aliases[i].from);
        json_put_string(w, m->aliases[i].to);
        json_put_end(w);
    }
    json_put_end(w);
}

void verdict_put(buf *out, const verdict_msg *m)
{
    json_writer w;
    json_writer_init(&w, out);
    fields_put(&w, &VERDICT, m);
    if (m->columns_count > 0) {
        columns_put(&w, m);
    }
    if (m->aliases_count > 0) {
        aliases_put(&w, m);
    }
    json_put_end(&w);
    buf_put_char(out, '\n');
}

/* The list with room for one more entry: the old one, or a copy twice as long. NULL = failed. */
static void *list_grow(json_reader *r, void *list, uint32_t count, size_t entry_size)
{
    if (count == GROUP_ROWS_MAX) {
        json_fail(r, FB_E_LIMIT, "a list of a verdict is too long");
        return NULL;
    }
    bool full = count == 0 || (count >= LIST_ROOM_FIRST && (count & (count - 1)) == 0);
    if (!full) {
        return list;
    }
    size_t room = count == 0 ? LIST_ROOM_FIRST : (size_t)count * 2;
    void *made = arena_take(r->scratch, room * entry_size); /* the keys so far are kept there too */
    if (made == NULL) {
        json_fail(r, FB_E_NO_MEMORY, "no memory for a verdict");
    } else if (count > 0) {
        memcpy(made, list, count * entry_size);
    }
    return made;
}

/* The next element of a fixed list must be there. */
static bool element(json_reader *r)
{
    if (!json_array_next(r)) {
        json_fail(r, FB_E_PROTOCOL, "an entry of a verdict has too few parts");
        return false;
    }
    return true;
}

static fb_text string_element(json_reader *r)
{
    return element(r) ? json_string(r) : (fb_text){NULL, 0};
}

static fb_text raw_element(json_reader *r)
{
    return element(r) ? json_raw(r) : (fb_text){NULL, 0};
}

static void entry_end(json_reader *r)
{
    while (json_array_next(r)) { /* later versions may say more */
        json_skip(r);
    }
}

static void columns_get(json_reader *r, verdict_msg *m)
{
    json_array_begin(r);
    while (json_array_next(r)) {
        verdict_column *list = list_grow(r, m->columns, m->columns_count, sizeof *list);
        if (list == NULL) {
            return;
        }
        m->columns = list;
        verdict_column *c = &list[m->columns_count++];
        json_array_begin(r);
        c->entity = string_element(r);
        c->id = string_element(r);
        c->column = string_element(r);
        c->policy = string_element(r);
        int64_t won = element(r) ? json_int(r) : 0;
        if (won != 0 && won != 1) {
            json_fail(r, FB_E_PROTOCOL, "a flag is 0 or 1");
        }
        c->mine_won = won == 1;
        c->base = raw_element(r);
        c->mine = raw_element(r);
        c->theirs = raw_element(r);
        entry_end(r);
    }
}

static void aliases_get(json_reader *r, verdict_msg *m)
{
    json_array_begin(r);
    while (json_array_next(r)) {
        struct verdict_alias *list = list_grow(r, m->aliases, m->aliases_count, sizeof *list);
        if (list == NULL) {
            return;
        }
        m->aliases = list;
        struct verdict_alias *a = &list[m->aliases_count++];
        json_array_begin(r);
        a->entity = string_element(r);
        a->from = string_element(r);
        a->to = string_element(r);
        entry_end(r);
    }
}

static bool other_get(json_reader *r, fb_text key, void *into)
{
    verdict_msg *m = into;
    if (text_is(key, "cols")) {
        columns_get(r, m);
    } else if (text_is(key, "alias")) {
        aliases_get(r, m);
    } else {
        return false;
    }
    return true;
}

void verdict_members_get(json_reader *r, verdict_msg *out)
{
    fields_get(r, &VERDICT, out, other_get);
    if (out->gseq < 1) {
        json_fail(r, FB_E_PROTOCOL, "the number of a group is 1 or more");
    }
}

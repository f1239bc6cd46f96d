/* catalog_from.c - a column that takes the place of an older one: the up-converter, as data.
 *
 *   {"name": "mobile", "type": "text", "from": {"column": "phone2"}, ...}
 *   {"name": "level", "type": "enum", "values": ["gold"], "from": {"column": "grade_old",
 *                                                                  "values": {"A": "gold"}}, ...}
 *   {"name": "last_name", "type": "text", "from": {"column": "name", "separator": " ", "part": 2}}
 *
 * The older column stays: apps that know only that one go on writing it. What it holds, and what is
 * written into it, counts for the newer one too; the server sees to that (decide/upgrade.c,
 * door/catalogue.c), so groups that were captured before the change need no care.
 *
 *   CAT-5  a source stands before its column, has the same kind and policy, and never changes; what
 *          takes the place of a personal column is personal too */
#include "catalog/catalog_in.h"

#include <string.h>

#include "base/check.h"

enum { PAIRS_MAX = 200, PARTS_MAX = 9 };

static const char *const from_keys[] = {"column", "values", "separator", "part", NULL};

static bool is_value_of(const cat_column *c, fb_text value)
{
    for (uint32_t i = 0; i < c->values_count; i++) {
        if (text_equal(c->values[i], value)) {
            return true;
        }
    }
    return c->type != CAT_ENUM;
}

static fb_code read_pair(loader *l, const cJSON *item, cat_column *c)
{
    fb_text now = {0};
    cat_pair *pair = &c->from_pairs[c->from_pairs_count];

    if (!json_text_of(item, &now) || !is_value_of(c, now)) {
        return catalog_refuse(
            l, "\"from\" \"values\" must name values of this column: correct the right side");
    }
    FB_TRY(load_text(l, text_of(item->string), &pair->before));
    FB_TRY(load_text(l, now, &pair->now));
    c->from_pairs_count++;
    return FB_OK;
}

static fb_code read_pairs(loader *l, const cJSON *from, cat_column *c)
{
    const cJSON *pairs = cJSON_GetObjectItemCaseSensitive(from, "values");
    const cJSON *item = NULL;

    if (pairs == NULL) {
        return FB_OK;
    }
    if (!cJSON_IsObject(pairs) || cJSON_GetArraySize(pairs) > PAIRS_MAX ||
        cat_kind(c->type) != FB_KIND_TEXT) {
        return catalog_refuse(l,
                              "\"from\" \"values\" is an object of at most %d texts, old to new, "
                              "for a text or enum: correct it",
                              PAIRS_MAX);
    }
    c->from_pairs = load_take(l, (size_t)cJSON_GetArraySize(pairs) + 1, sizeof *c->from_pairs);
    if (c->from_pairs == NULL) {
        return refuse_memory(l);
    }
    cJSON_ArrayForEach(item, pairs)
    {
        FB_TRY(read_pair(l, item, c));
    }
    return FB_OK;
}

static fb_code read_part(loader *l, const cJSON *from, cat_column *c)
{
    const cJSON *part = cJSON_GetObjectItemCaseSensitive(from, "part");
    fb_text separator = {0};
    int64_t number = 1;

    FB_TRY(member_text(l, from, "separator", MEMBER_OPTIONAL, &separator));
    if (separator.size == 0 && part == NULL) {
        return FB_OK;
    }
    if (separator.size == 0 || cat_kind(c->type) != FB_KIND_TEXT ||
        (part != NULL && (!json_integer(part, &number) || number < 1 || number > PARTS_MAX))) {
        return catalog_refuse(l,
                              "\"from\" \"part\" is 1 to %d of a text, with a \"separator\": "
                              "correct it",
                              PARTS_MAX);
    }
    c->from_separator = separator;
    c->from_part = (uint32_t)number;
    return FB_OK;
}

fb_code column_from(loader *l, const cJSON *object, cat_entity *e, int column)
{
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(object, "from");
    cat_column *c = &e->columns[column];
    fb_text name = {0};

    if (from == NULL) {
        return FB_OK;
    }
    FB_TRY(member_only(l, from, from_keys));
    FB_TRY(member_text(l, from, "column", MEMBER_NEEDED, &name));
    int source = cat_column_find(e, name);
    if (source <= 0 || source >= column) {
        return catalog_refuse(l, "\"from\" must name a column that stands before it: correct it");
    }
    const cat_column *s = &e->columns[source];
    if (cat_kind(s->type) != cat_kind(c->type) || s->policy != c->policy || s->derived ||
        c->derived || s->to_entity != c->to_entity) {
        return catalog_refuse(
            l, "\"from\" needs the same kind of value and the same policy: correct one of them");
    }
    c->from_column = source;
    c->personal = c->personal || s->personal; /* CAT-5: what it takes over stays somebody's */
    e->has_from = true;
    FB_TRY(read_pairs(l, from, c));
    return read_part(l, from, c);
}

/* Part number `part` of the text, from 1; the last one asked for takes no further separator. */
static bool part_of(fb_text text, fb_text separator, uint32_t part, fb_text *out)
{
    size_t start = 0;
    for (size_t i = 0; i + separator.size <= text.size;) {
        if (memcmp(text.data + i, separator.data, separator.size) != 0) {
            i++;
            continue;
        }
        if (--part == 0) {
            *out = (fb_text){text.data + start, i - start};
            return true;
        }
        i += separator.size;
        start = i;
    }
    *out = (fb_text){text.data + start, text.size - start};
    return part == 1;
}

bool cat_value_from(const cat_entity *e, int column, const fb_value *before, fb_value *out)
{
    const cat_column *c = &e->columns[column];
    fb_value made = *before;

    if (c->from_column == 0 || before->kind == FB_KIND_NULL) {
        return false;
    }
    if (c->from_part > 0 &&
        !part_of(before->u.text, c->from_separator, c->from_part, &made.u.text)) {
        return false;
    }
    for (uint32_t i = 0; i < c->from_pairs_count; i++) {
        if (text_equal(c->from_pairs[i].before, made.u.text)) {
            made.u.text = c->from_pairs[i].now;
            break;
        }
    }
    if (cat_value_check(e, column, &made, NULL) != FB_OK) {
        return false;
    }
    *out = made;
    return true;
}

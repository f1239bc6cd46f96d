/* settings.c - the settings that bind a person, from the rows of `setting`, read once. */
#include "sync-server/decide/decide_inside.h"

#include "base/decimal.h"

/* One row of `setting`. */
typedef struct setting_row {
    struct setting_row *next;
    fb_text key, level, target, value;
} setting_row;

typedef struct setting_load {
    decide_cache *cache;
    const cat_entity *e;
} setting_load;

static fb_code setting_take(void *ctx, const fb_value *values)
{
    setting_load *l = ctx;
    setting_row *s = arena_take(l->cache->memory, sizeof *s);
    if (s == NULL) {
        return FB_E_NO_MEMORY;
    }
    s->key = row_text(l->e, values, "key");
    s->level = row_text(l->e, values, "level");
    s->target = row_text(l->e, values, "target_id");
    s->value = row_text(l->e, values, "value");
    s->next = l->cache->settings;
    l->cache->settings = s;
    l->cache->weight++;
    return FB_OK;
}

static const char *const LEVELS[] = {"global", "org", "territory", "role", "user"};
enum { LEVELS_COUNT = sizeof LEVELS / sizeof LEVELS[0] };

/* All rows: level by level, since every row has one. */
static fb_code settings_read(decide *d)
{
    decide_cache *c = d->cache;
    const cat_entity *e = c->setting;
    int column = cat_column_str(e, "level");
    setting_load load = {c, e};
    for (size_t i = 0; i < LEVELS_COUNT; i++) {
        fb_value level = {.kind = FB_KIND_TEXT, .u.text = text_of(LEVELS[i])};
        FB_TRY(store_rows_by(d->view, e, column, &level, c->memory, setting_take, &load));
    }
    c->settings_read = true;
    return FB_OK;
}

static bool names_role(const decide *d, fb_text target)
{
    const row_rights *r = &d->user->rights[0];
    for (uint32_t i = 0; i < r->roles_count; i++) {
        if (text_equal(r->roles[i], target)) {
            return true;
        }
    }
    return false;
}

/* How closely a row binds the person: 0 not at all, 1 global, 4 role, 5 the person. Territory and
 * org rows bind devices of that place; the person's places are known to the feed only, so they stay
 * out. */
static int closeness(const decide *d, const setting_row *s)
{
    fb_id target;
    if (text_is(s->level, "global")) {
        return 1;
    }
    if (text_is(s->level, "role")) {
        return names_role(d, s->target) ? 4 : 0;
    }
    bool own =
        text_is(s->level, "user") && id_get(s->target, &target) && id_equal(&target, &d->user->id);
    return own ? 5 : 0;
}

fb_code settings_need(decide *d)
{
    return d->cache->settings_read ? FB_OK : settings_read(d);
}

int64_t setting_int(const decide *d, const char *key, int64_t fallback)
{
    int best = 0;
    int64_t value = 0, bound = fallback;
    for (const setting_row *s = d->cache->settings; s != NULL; s = s->next) {
        int close = text_is(s->key, key) ? closeness(d, s) : 0;
        if (close > best && i64_get(s->value, &value)) {
            best = close;
            bound = value;
        }
    }
    return bound;
}

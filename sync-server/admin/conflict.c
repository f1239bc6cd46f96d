/* conflict.c - values that lost a merge: list, settle. See admin.h.
 *
 * Settling writes the value that shall stand to its row and closes the record, in one commit: both
 * people and the manager get it with their next sync, like a settlement on a device
 * (decide/conflict.c). Nothing of the record is taken away: base, mine and theirs stay. */
#include <string.h>

#include "sync-server/admin/admin.h"
#include "sync-server/decide/decide.h"

enum { SETTLE_BYTES_MAX = 16 << 20, CLOSED_COLUMNS = 5 };

static const char LIST_SQL[] =
    "SELECT c.id, c.entity, c.entity_id, c.field, c.base, c.mine, u.code AS mine_by, c.theirs, "
    "o.code AS theirs_by, c.policy, c.winner, c.state, r.code AS resolved_by, c.reason "
    "FROM conflict c LEFT JOIN app_user u ON u.id = c.user_id LEFT JOIN app_user o ON o.id = "
    "c.other_user_id LEFT JOIN app_user r ON r.id = c.resolved_by WHERE c.state = 'open' OR ";

typedef struct settling {
    admin *a;
    const char *key, *choice, *value, *reason;
    arena *memory;
    const cat_entity *e, *target_entity;
    fb_value record[CATALOG_COLUMNS_LIMIT], target[CATALOG_COLUMNS_LIMIT];
    int column; /* of the target */
    change changes[2];
    uint32_t count;
    int64_t cid;
    fb_error *err;
} settling;

static const fb_value *record_value(const settling *s, const char *column)
{
    return &s->record[cat_column_str(s->e, column)];
}

static fb_text record_text(const settling *s, const char *column)
{
    const fb_value *v = record_value(s, column);
    return v->kind == FB_KIND_TEXT ? v->u.text : (fb_text){NULL, 0};
}

static fb_code record_find(settling *s)
{
    fb_code rc = row_by_key(s->a, s->e, text_of(s->key), s->memory, s->record);
    if (rc == FB_E_NOT_FOUND) {
        return fail(s->err, rc, s->key, "no conflict has this id: see conflict list");
    }
    if (rc == FB_OK && text_is(record_text(s, "state"), "resolved")) {
        return fail(s->err, FB_E_STATE, s->key, "it is settled already: see conflict list --all");
    }
    return rc;
}

static fb_code target_find(settling *s)
{
    fb_id id;
    s->target_entity = catalog_entity(store_catalog(s->a->db), record_text(s, "entity"));
    s->column =
        s->target_entity != NULL ? cat_column_find(s->target_entity, record_text(s, "field")) : -1;
    if (s->column <= 0 || !id_get(record_text(s, "entity_id"), &id)) {
        return fail(s->err, FB_E_CATALOG, "field", "the field of this conflict does not exist");
    }
    fb_code rc = store_row_get(s->a->db, s->target_entity, &id, s->memory, s->target);
    return rc == FB_E_NOT_FOUND ? fail(s->err, rc, "entity_id",
                                       "the record of this conflict does not exist any more")
                                : rc;
}

/* The text that shall stand; data NULL: no value. */
static fb_text chosen_text(const settling *s)
{
    return strcmp(s->choice, "value") == 0 ? text_of(s->value) : record_text(s, s->choice);
}

/* mine, theirs and base are chosen between what the record says: another value may stand by now. */
static fb_code check_seen(settling *s)
{
    const fb_value *now = &s->target[s->column];
    bool seen = false;
    buf text;
    FB_TRY(conflict_knows(s->e, s->record, s->target_entity, s->column, now, &seen));
    if (seen || strcmp(s->choice, "value") == 0) {
        return FB_OK;
    }
    buf_init(&text, SETTLE_BYTES_MAX);
    if (now->kind != FB_KIND_NULL) {
        cat_value_print(s->target_entity, s->column, now, false, &text);
    }
    fb_code rc = fail(s->err, FB_E_STATE, s->key,
                      "somebody changed the field since, it says \"%.*s\" now: ask about that one "
                      "too, then settle with value --value TEXT",
                      (int)(text.size < 80 ? text.size : 80), text.size > 0 ? text.data : "");
    buf_clear(&text);
    return rc;
}

static fb_code target_change(settling *s)
{
    fb_value v = {.kind = FB_KIND_NULL};
    fb_text text = chosen_text(s);
    row_result result = ROW_SAME;
    FB_TRY(check_seen(s));
    if (text.data != NULL) {
        FB_TRY(cat_value_parse(s->target_entity, s->column, arena_text(s->memory, text), false, &v,
                               s->err));
    }
    FB_TRY(row_store(s->a, s->target_entity, s->target, &s->column, &v, 1, s->memory,
                     &s->changes[s->count], &result, s->err));
    s->count += result != ROW_SAME;
    return FB_OK;
}

static fb_code record_change(settling *s)
{
    bool typed = strcmp(s->choice, "value") == 0;
    const fb_text texts[CLOSED_COLUMNS - 1] = {text_of(typed ? "person" : s->choice),
                                               text_of("resolved"), text_of(s->reason),
                                               typed ? text_of(s->value) : (fb_text){NULL, 0}};
    static const char *const NAMES[CLOSED_COLUMNS] = {"winner", "state", "reason", "resolved_value",
                                                      "resolved_at"};
    int columns[CLOSED_COLUMNS];
    fb_value values[CLOSED_COLUMNS];
    row_result result = ROW_SAME;
    for (int i = 0; i < CLOSED_COLUMNS; i++) {
        columns[i] = cat_column_str(s->e, NAMES[i]);
        values[i] = (fb_value){.kind = FB_KIND_NULL};
        if (i < CLOSED_COLUMNS - 1 && texts[i].data != NULL) {
            values[i] = (fb_value){.kind = FB_KIND_TEXT, .u.text = texts[i]};
        }
    }
    values[CLOSED_COLUMNS - 1] =
        (fb_value){.kind = FB_KIND_INT, .u.i = s->a->port->wall_ms(s->a->port->ctx)};
    FB_TRY(row_store(s->a, s->e, s->record, columns, values, CLOSED_COLUMNS, s->memory,
                     &s->changes[s->count], &result, s->err));
    s->count += result != ROW_SAME;
    return FB_OK;
}

static fb_code settle_write(settling *s)
{
    const commit_source from = {.at_ms = s->a->port->wall_ms(s->a->port->ctx),
                                .kind = text_of("conflict.settle")};
    FB_TRY(record_find(s));
    FB_TRY(target_find(s));
    FB_TRY(target_change(s));
    FB_TRY(record_change(s));
    return ledger_commit(s->a->db, &from, s->changes, s->count, &s->cid);
}

/* Read and written in one transaction: nobody changes the row in between. */
static fb_code settle_run(settling *s)
{
    s->memory = arena_new(SETTLE_BYTES_MAX);
    s->e = catalog_entity_str(store_catalog(s->a->db), "conflict");
    if (s->memory == NULL || s->e == NULL) {
        return s->e == NULL ? FB_E_CATALOG : FB_E_NO_MEMORY;
    }
    FB_TRY(store_begin(s->a->db));
    fb_code rc = settle_write(s);
    if (rc != FB_OK) {
        store_rollback(s->a->db);
        return rc;
    }
    return store_commit(s->a->db);
}

static int settle(admin *a, settling *s)
{
    fb_error err = {0};
    s->err = &err;
    fb_code rc = settle_run(s);
    arena_free(s->memory);
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_CONFLICT_SETTLED, s->key, s->choice, (long long)s->cid);
    if (a->json) {
        printf("{\"id\":\"%s\",\"winner\":\"%s\",\"commit\":\"%lld\"}\n", s->key, s->choice,
               (long long)s->cid);
    }
    return EXIT_DONE;
}

static bool is_choice(const settling *s)
{
    static const char *const CHOICES[] = {"mine", "theirs", "base"};
    for (size_t i = 0; i < sizeof CHOICES / sizeof CHOICES[0]; i++) {
        if (strcmp(s->choice, CHOICES[i]) == 0) {
            return s->value == NULL;
        }
    }
    return strcmp(s->choice, "value") == 0 && s->value != NULL;
}

int command_conflict(admin *a)
{
    settling s = {.a = a, .value = option_take(a, "--value"), .reason = option_take(a, "--reason")};
    bool all = flag_take(a, "--all");
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc == 1 && strcmp(a->argv[0], "list") == 0) {
        char sql[sizeof LIST_SQL + 32];
        snprintf(sql, sizeof sql, "%s%d ORDER BY c.id", LIST_SQL, all);
        return rows_show(a, text_of(sql));
    }
    bool asks = a->argc == 3 && strcmp(a->argv[0], "settle") == 0 && s.reason != NULL;
    s.key = asks ? a->argv[1] : "";
    s.choice = asks ? a->argv[2] : "";
    if (!asks || !is_choice(&s)) {
        admin_warn(a, TEXT_MISSING_ARGUMENT,
                   "list [--all] | settle ID mine|theirs|base|value [--value TEXT] --reason TEXT",
                   a->command);
        return EXIT_USAGE;
    }
    return settle(a, &s);
}

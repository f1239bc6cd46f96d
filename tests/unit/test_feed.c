/* test_feed.c - who sees what: scopes of users, tokens, pages, the echo rule.
 *
 * Method: each promise on a small company; then the property (feed__devices_converge_...): random commits move
 * customers, assignments and memberships while simulated devices with different rights pull pages of random
 * size between them, push groups of their own and lose their tokens. Whenever a page is complete, the device
 * must hold exactly the rows that plain SQL over the tables says (FED-1 to FED-4).
 * FB_SEED=n runs one seed; the seed is printed when it fails. */
#include "server_fixture.h"

#include "wire/row_msg.h"
#include "wire/sync_msg.h"

/* ---- scopes of users ---- */

static void company(fixture *f)
{
    fixture_small(f);
    batch_begin(f);
    put_unit(f, 1, 0);
    put_unit(f, 2, 1);
    put_unit(f, 3, 2);
    put_unit(f, 4, 0);
    put_territory(f, 1, 0, 2);
    put_territory(f, 2, 1, 0); /* below territory 1 */
    put_territory(f, 3, 0, 3);
    put_territory(f, 4, 0, 4);
    put_role(f, 1, "self");
    put_role(f, 2, "region");
    put_role(f, 3, "all");
    for (uint32_t user = 1; user <= 4; user++) {
        put_user(f, user, 2);
    }
    batch_commit(f);
}

/* The user's scopes as text: "g" global, t, r, u with the number of the row named. */
static const char *scopes_text(fixture *f, store *s, uint32_t user, int64_t now_ms)
{
    static char text[512];
    scope_list list = {0};
    fb_id id = USER(user);
    ok(feed_scopes_of_user(s, &id, now_ms, f->memory, &list));
    size_t size = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT kind FROM fs_scope WHERE scope = %lld", (long long)list.scopes[i]);
        int64_t kind = raw_int(f, sql);
        snprintf(sql, sizeof sql, "SELECT unicode(CAST(substr(ref, 16) AS TEXT)) FROM fs_scope WHERE scope = %lld",
                 (long long)list.scopes[i]);
        size += (size_t)snprintf(text + size, sizeof text - size, kind == 1 ? "g" : " %c%lld",
                                 kind == 2 ? 't' : kind == 3 ? 'r' : 'u', (long long)raw_int(f, sql));
    }
    return text;
}

static const char *sorted(const char *text)
{
    static char out[512];
    const char *words[32];
    size_t count = 0;
    static char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        size_t at = count++;
        while (at > 0 && strcmp(words[at - 1], w) > 0) {
            words[at] = words[at - 1];
            at--;
        }
        words[at] = w;
    }
    size_t size = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(out + size, sizeof out - size, i == 0 ? "%s" : " %s", words[i]);
    }
    return out;
}

static void assert_scopes(fixture *f, uint32_t user, int64_t now_ms, const char *expected)
{
    assert_string_equal(sorted(scopes_text(f, f->reader, user, now_ms)), expected);
    assert_string_equal(sorted(scopes_text(f, f->writer, user, now_ms)), expected);
    assert_string_equal(sorted(scopes_text(f, f->reader, user, now_ms)), expected); /* remembered */
}

static void feed__scopes_of_a_user_follow_roles_and_memberships(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 u1");
    put_user_territory(&f, 1, 1, 4);
    put_user_role(&f, 1, 1, 1);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 t4 u1");
    put_user_role(&f, 2, 1, 2);
    batch_commit(&f);
    /* Unit 2 and 3 below it; territories 1 and 3 of those units, 2 below 1. */
    assert_scopes(&f, 1, f.now_ms, "g r2 r3 t1 t2 t3 t4 u1");
    batch_update(&f, "role", ROLE(2));
    batch_set(&f, "active", int_value(0));
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 t4 u1");
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r2 u1");
    batch_update(&f, "app_user", USER(1));
    batch_set(&f, "org_unit_id", null_value());
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g u1");
    put_user_role(&f, 3, 1, 3);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 r4 t1 t2 t3 t4 u1 u2 u3 u4");
    put_territory(&f, 9, 0, 0);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 r4 t1 t2 t3 t4 t9 u1 u2 u3 u4");
    fixture_close(&f);
}

static void feed__membership_counts_from_its_first_to_its_last_day(void **state)
{
    (void)state;
    /* 2026-05-01 00:00 in the company's zone (UTC+8). */
    const int64_t first_ms = 1777564800000;
    const int64_t day_ms = 86400000;
    fixture f;
    company(&f);
    put_user_territory(&f, 1, 1, 4);
    batch_set(&f, "valid_from", text_value(&f, "2026-05-01"));
    batch_set(&f, "valid_to", text_value(&f, "2026-05-02"));
    put_user_role(&f, 1, 2, 2);
    batch_set(&f, "valid_to", text_value(&f, "2026-05-01"));
    batch_commit(&f);
    assert_scopes(&f, 1, first_ms - 1, "g r2 u1");
    assert_scopes(&f, 1, first_ms, "g r2 t4 u1");
    assert_scopes(&f, 1, first_ms + 2 * day_ms - 1, "g r2 t4 u1");
    assert_scopes(&f, 1, first_ms + 2 * day_ms, "g r2 u1");
    assert_scopes(&f, 2, first_ms + day_ms - 1, "g r2 r3 t1 t2 t3 u2");
    assert_scopes(&f, 2, first_ms + day_ms, "g r2 u2");
    fixture_close(&f);
}

static void feed__org_unit_that_is_below_itself_ends(void **state)
{
    (void)state;
    fixture f;
    company(&f);
    batch_update(&f, "org_unit", UNIT(1));
    batch_set(&f, "parent_id", id_value(UNIT(3)));
    put_user_role(&f, 1, 1, 2);
    batch_commit(&f);
    assert_scopes(&f, 1, f.now_ms, "g r1 r2 r3 t1 t2 t3 u1");
    fixture_close(&f);
}

/* ---- pages read by one device ---- */

typedef struct sim_row {
    const cat_entity *entity; /* of the writer's catalogue */
    fb_id id;
    int64_t ver;
    char *text; /* its line */
    block_kind kind;
    bool reset; /* staged only: everything before is void */
    int64_t gseq; /* own only */
} sim_row;

typedef struct row_set {
    sim_row *rows;
    size_t count, capacity;
} row_set;

typedef struct device {
    uint32_t number, user;
    row_set base, staged, own;
    char token[512];
    int64_t settled, gseq;
    /* What the last page was. */
    bool complete, reset, empty;
    uint32_t rows, leaves, deletes;
} device;

static sim_row *row_add(row_set *s)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 32 : s->capacity * 2;
        s->rows = realloc(s->rows, s->capacity * sizeof *s->rows);
        assert_non_null(s->rows);
    }
    s->rows[s->count] = (sim_row){0};
    return &s->rows[s->count++];
}

static sim_row *row_find(const row_set *s, const cat_entity *e, const fb_id *id)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->rows[i].entity == e && id_equal(&s->rows[i].id, id)) {
            return &s->rows[i];
        }
    }
    return NULL;
}

static void row_remove(row_set *s, sim_row *r)
{
    free(r->text);
    *r = s->rows[--s->count];
}

static void rows_clear(row_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->rows[i].text);
    }
    s->count = 0;
}

static void device_clear(device *d)
{
    row_set *const sets[] = {&d->base, &d->staged, &d->own};
    for (size_t i = 0; i < 3; i++) {
        rows_clear(sets[i]);
        free(sets[i]->rows);
        *sets[i] = (row_set){0};
    }
}

static void device_init(fixture *f, device *d, uint32_t number, uint32_t user)
{
    memset(d, 0, sizeof *d);
    d->number = number;
    d->user = user;
    put_device(f, number, user);
}

static char *text_kept(fb_text t)
{
    char *made = malloc(t.size + 1);
    assert_non_null(made);
    memcpy(made, t.data, t.size);
    made[t.size] = '\0';
    return made;
}

/* One row or leave or delete of a page. */
static void stage_line(device *d, fixture *f, const block_head *head, fb_text line)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    sim_row *r = row_add(&d->staged);
    r->kind = head->kind;
    r->entity = entity_of(f, head->entity->name.data == NULL ? "" : arena_str(f->memory, head->entity->name.data));
    ok(row_get(line, head, f->memory, values));
    r->id = values[0].u.id;
    if (head->kind == BLOCK_ROW) {
        assert_int_equal(head->columns_count, head->entity->columns_count);
        r->ver = values[cat_ver_column(head->entity)].u.i;
        r->text = text_kept(line);
        d->rows++;
        return;
    }
    d->leaves += head->kind == BLOCK_LEAVE ? 1 : 0;
    d->deletes += head->kind == BLOCK_DELETE ? 1 : 0;
}

static void stage_page(device *d, fixture *f, fb_text page)
{
    const catalog *c = store_catalog(f->writer);
    line_reader lines;
    reply_item item;
    block_head head;
    fb_text line;
    bool in_block = false;
    line_reader_init(&lines, page);
    assert_true(line_next(&lines, &line));
    ok(reply_item_get(line, f->memory, &item));
    assert_int_equal(item.line, LINE_PAGE);
    assert_true(item.page.token.size < sizeof d->token);
    snprintf(d->token, sizeof d->token, "%.*s", (int)item.page.token.size, item.page.token.data);
    assert_int_equal(item.page.complete, d->complete);
    assert_int_equal(item.page.reset, d->reset);
    if (item.page.reset) {
        row_add(&d->staged)->reset = true;
    }
    while (line_next(&lines, &line)) {
        if (line.data[0] == '{') {
            ok(block_head_get(line, c, f->memory, &head));
            in_block = true;
            continue;
        }
        assert_true(in_block);
        stage_line(d, f, &head, line);
    }
    ok(lines.code);
}

static void base_put(row_set *base, const sim_row *r)
{
    sim_row *old = row_find(base, r->entity, &r->id);
    if (old != NULL && (r->kind != BLOCK_ROW || old->text != NULL)) {
        row_remove(base, old);
    }
    if (r->kind == BLOCK_ROW) {
        sim_row *made = row_add(base);
        *made = *r;
        made->text = strdup(r->text);
        assert_non_null(made->text);
    }
}

/* Own groups first, then what was staged, in its order. */
static void promote(device *d)
{
    for (size_t i = 0; i < d->own.count; i++) {
        base_put(&d->base, &d->own.rows[i]);
    }
    for (size_t i = 0; i < d->staged.count; i++) {
        if (d->staged.rows[i].reset) {
            rows_clear(&d->base);
        } else {
            base_put(&d->base, &d->staged.rows[i]);
        }
    }
    rows_clear(&d->own);
    rows_clear(&d->staged);
    d->settled = d->gseq;
}

/* One layer, of the set the device has now: the echo rule holds. */
static bool is_settled_token(const char *token, int64_t set_number)
{
    return strpbrk(token, "+-") == NULL && strtoll(token, NULL, 10) == set_number;
}

/* Ids of all rows in these scopes, by the oracle. */
typedef struct id_list {
    fb_id ids[4096];
    size_t count;
} id_list;

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(fb_id));
}

static void ids_in_scope(fixture *f, const char *set, id_list *out)
{
    char sql[8192];
    sqlite3_stmt *q = NULL;
    snprintf(sql, sizeof sql,
             "SELECT DISTINCT r.id FROM row_scope r JOIN fs_scope s ON s.kind = r.kind AND s.ref = r.ref"
             " WHERE s.scope IN (%s)",
             set);
    assert_int_equal(sqlite3_prepare_v2(f->raw, sql, -1, &q, NULL), SQLITE_OK);
    out->count = 0;
    while (sqlite3_step(q) == SQLITE_ROW) {
        assert_true(out->count < sizeof out->ids / sizeof out->ids[0]);
        memcpy(out->ids[out->count++].b, sqlite3_column_blob(q, 0), sizeof(fb_id));
    }
    sqlite3_finalize(q);
    qsort(out->ids, out->count, sizeof out->ids[0], compare_ids);
}

static bool has_id(const id_list *list, const fb_id *id)
{
    return bsearch(id, list->ids, list->count, sizeof *id, compare_ids) != NULL;
}

static void set_text(const scope_list *list, char *out, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        used += (size_t)snprintf(out + used, size - used, i == 0 ? "%lld" : ",%lld", (long long)list->scopes[i]);
    }
}

/* FED-1, FED-3, FED-4 of the page staged last. */
static void check_page(device *d, fixture *f, const id_list *in_scope, size_t from, bool was_settled)
{
    for (size_t i = from; i < d->staged.count; i++) {
        const sim_row *r = &d->staged.rows[i];
        if (r->reset) {
            continue;
        }
        assert_int_equal(has_id(in_scope, &r->id), r->kind == BLOCK_ROW);
        for (size_t n = from; n < i && r->kind == BLOCK_ROW; n++) {
            assert_false(d->staged.rows[n].entity == r->entity && id_equal(&d->staged.rows[n].id, &r->id));
        }
        const sim_row *own = row_find(&d->own, r->entity, &r->id);
        if (was_settled && !d->reset && own != NULL && own->kind == BLOCK_ROW && own->ver == r->ver && own->gseq > d->settled) {
            char sql[128];
            snprintf(sql, sizeof sql, "SELECT plain FROM fs_commit WHERE cid = %lld", (long long)(r->ver >> 20));
            assert_int_equal(raw_int(f, sql), 0);
        }
    }
}

/* The device's base state is what the tables say. */
static void check_base(device *d, fixture *f, const id_list *in_scope)
{
    assert_int_equal(d->base.count, in_scope->count);
    for (size_t i = 0; i < d->base.count; i++) {
        const sim_row *r = &d->base.rows[i];
        fb_value values[CATALOG_COLUMNS_LIMIT];
        int columns[CATALOG_COLUMNS_LIMIT];
        assert_true(has_id(in_scope, &r->id));
        ok(store_row_get(f->writer, r->entity, &r->id, f->memory, values));
        assert_int_equal(values[cat_ver_column(r->entity)].u.i, r->ver);
        buf line;
        buf_init(&line, 1 << 20);
        for (int c = 0; c < CATALOG_COLUMNS_LIMIT; c++) {
            columns[c] = c;
        }
        row_put(&line, r->entity, columns, r->entity->columns_count, values);
        assert_int_equal(line.size, strlen(r->text) + 1);
        assert_memory_equal(line.data, r->text, line.size - 1);
        buf_clear(&line);
    }
}

/* One request and its page; promotes when the page is complete. */
static void device_pull(device *d, fixture *f, uint32_t page_bytes)
{
    fb_id user = USER(d->user);
    char set[4096];
    scope_list scopes = {0};
    int64_t number = 0;
    arena *memory = arena_new(FIXTURE_BYTES_MAX);
    page_request q = {.device = DEVICE(d->number),
                      .incarnation = INCARNATION(d->number),
                      .user = user,
                      .settled = d->settled,
                      .page_bytes = page_bytes};
    ok(store_begin(f->writer));
    ok(feed_scopes_of_user(f->writer, &user, f->now_ms, memory, &scopes));
    ok(feed_scope_set(f->writer, &q.device, &scopes, &number));
    ok(store_commit(f->writer));
    set_text(&scopes, set, sizeof set);
    buf out;
    buf_init(&out, 32 << 20);
    page_result result = {0};
    bool empty = false;
    bool was_settled = is_settled_token(d->token, number);
    scope_list read = {0};
    ok(store_snapshot(f->reader));
    ok(feed_scope_set_get(f->reader, &q.device, memory, &read, &q.set_number));
    assert_int_equal(q.set_number, number);
    assert_true(scope_list_equal(&read, &scopes));
    q.set = &read;
    q.token = text_of(d->token);
    ok(feed_is_empty(f->reader, &q, &empty));
    ok(feed_page(f->reader, &q, memory, &out, &result));
    store_snapshot_end(f->reader);
    d->complete = result.complete;
    d->reset = result.reset;
    d->empty = result.empty;
    d->rows = d->leaves = d->deletes = 0;
    assert_int_equal(empty, result.empty);
    size_t from = d->staged.count;
    stage_page(d, f, buf_text(&out));
    assert_int_equal(result.rows, d->rows + d->leaves + d->deletes);
    static id_list in_scope;
    ids_in_scope(f, set, &in_scope);
    check_page(d, f, &in_scope, from, was_settled);
    if (d->complete) {
        promote(d);
        check_base(d, f, &in_scope);
    }
    buf_clear(&out);
    arena_free(memory);
}

static void device_pull_all(device *d, fixture *f, uint32_t page_bytes)
{
    for (int i = 0; i < 10000; i++) {
        device_pull(d, f, page_bytes);
        if (d->complete) {
            return;
        }
    }
    fail();
}

/* Territory 1: user 1. Territory 4: user 2. Customers 1, 2 in 1, customer 3 in 4; each with visit and note. */
static void two_reps(fixture *f, device *one, device *two)
{
    company(f);
    put_user_territory(f, 1, 1, 1);
    put_user_territory(f, 2, 2, 4);
    for (uint32_t n = 1; n <= 3; n++) {
        put_customer(f, n, n == 3 ? 4 : 1, 0);
        put_visit(f, n, n);
        put_note(f, n, n);
    }
    batch_commit(f);
    device_init(f, one, 1, 1);
    device_init(f, two, 2, 2);
    device_pull_all(one, f, 0);
    device_pull_all(two, f, 0);
    assert_true(one->reset);
    device_pull(one, f, 0);
    assert_true(one->empty);
}

static void finish(fixture *f, device *one, device *two)
{
    device_clear(one);
    device_clear(two);
    fixture_close(f);
}

static void feed__moved_customer_leaves_one_and_reaches_the_other_with_its_children(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    size_t before = two.base.count;
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 3);
    assert_int_equal(one.rows, 0);
    device_pull_all(&two, &f, 0);
    assert_int_equal(two.rows, 3);
    assert_int_equal(two.base.count, before + 3);
    finish(&f, &one, &two);
}

static void feed__FED_3_leaving_one_of_two_scopes_is_an_update_at_most(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0); /* customer 1 is in territories 1 and 4 */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    device_pull_all(&two, &f, 0);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "owner_id", id_value(USER(1)));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", null_value()); /* user 1 still owns it */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 0);
    assert_int_equal(one.rows, 4);
    finish(&f, &one, &two);
}

static void feed__delete_reaches_who_had_the_row_and_nobody_else(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.deletes, 1);
    device_pull_all(&two, &f, 0);
    assert_int_equal(two.deletes, 0);
    assert_true(two.empty);
    finish(&f, &one, &two);
}

static void feed__change_of_scopes_fills_and_empties_in_small_pages(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    put_user_territory(&f, 3, 1, 4);
    batch_commit(&f);
    /* A commit arrives between any two pages, one of them takes a row away that was sent already. */
    for (uint32_t i = 0; !one.complete || i == 0; i++) {
        device_pull(&one, &f, 1);
        assert_true(i < 100);
        if (i == 1) {
            assert_non_null(strchr(one.token, '+'));
            batch_delete(&f, "note", NOTE(3));
            batch_commit(&f);
        } else if (i < 20) {
            batch_update(&f, "visit", VISIT(3));
            batch_set(&f, "text", text_value(&f, "again"));
            batch_commit(&f);
        }
    }
    assert_false(one.reset);
    assert_null(row_find(&one.base, entity_of(&f, "customer"), &(fb_id){{0x10, 1, [15] = 1}}));
    assert_non_null(row_find(&one.base, entity_of(&f, "customer"), &(fb_id){{0x10, 1, [15] = 3}}));
    finish(&f, &one, &two);
}

static void feed__row_seen_through_a_kept_scope_is_not_sent_again(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_assignment(&f, 1, 1, 4, 0, f.now_ms, 0);
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    put_user_territory(&f, 3, 1, 4); /* customers 1 (known) and 3 (new) */
    batch_commit(&f);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 3 + 1); /* customer 3, visit 3, note 3, the membership itself */
    finish(&f, &one, &two);
}

static void feed__second_change_of_scopes_during_a_fill(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    put_user_territory(&f, 3, 1, 4);
    batch_commit(&f);
    device_pull(&one, &f, 1);
    device_pull(&one, &f, 1);
    batch_delete(&f, "user_territory", USER_TERRITORY(1));
    batch_commit(&f);
    device_pull(&one, &f, 1);
    batch_delete(&f, "user_territory", USER_TERRITORY(3));
    batch_commit(&f);
    device_pull(&one, &f, 1);
    put_user_territory(&f, 4, 1, 4);
    put_user_territory(&f, 5, 1, 1);
    batch_commit(&f);
    device_pull_all(&one, &f, 1);
    finish(&f, &one, &two);
}

/* A group of the device's own: insert a visit to a customer, or change the text of one. */
static void own_visit(device *d, fixture *f, uint32_t visit, uint32_t customer, bool plain)
{
    commit_source from = {.device = DEVICE(d->number), .incarnation = INCARNATION(d->number), .user = USER(d->user),
                          .gseq = ++d->gseq, .at_ms = f->now_ms, .plain = plain, .kind = text_of("visit")};
    int64_t cid = 0;
    if (customer > 0) {
        put_visit(f, visit, customer);
    } else {
        batch_update(f, "visit", VISIT(visit));
        batch_set(f, "text", text_value(f, "own"));
    }
    ok(store_begin(f->writer));
    ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
    ok(store_commit(f->writer));
    f->count = 0;
}

static void feed__FED_4_own_plain_groups_are_left_out_until_settled(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    fb_value values[CATALOG_COLUMNS_LIMIT];
    own_visit(&one, &f, 10, 1, true);
    const cat_entity *e = entity_of(&f, "visit");
    const fb_id visit = VISIT(10);
    ok(store_row_get(f.writer, e, &visit, f.memory, values));
    sim_row *own = row_add(&one.own);
    *own = (sim_row){.entity = e, .id = visit, .ver = values[cat_ver_column(e)].u.i, .gseq = 1};
    buf line;
    buf_init(&line, 1 << 16);
    int columns[8] = {0, 1, 2, 3};
    row_put(&line, e, columns, e->columns_count, values);
    own->text = text_kept((fb_text){line.data, line.size - 1});
    buf_clear(&line);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 0);
    /* Not plain: it comes. Another device's: it comes. Settled: it comes when it is asked for again. */
    own_visit(&one, &f, 10, 0, false);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    own_visit(&two, &f, 10, 0, true);
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    own_visit(&one, &f, 10, 0, true);
    one.settled = one.gseq;
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.rows, 1);
    finish(&f, &one, &two);
}

static void feed__row_that_an_own_group_moved_out_of_scope_leaves(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    int64_t cid = 0;
    two_reps(&f, &one, &two);
    commit_source from = {.device = DEVICE(1), .incarnation = INCARNATION(1), .user = USER(1), .gseq = ++one.gseq,
                          .at_ms = f.now_ms, .plain = true, .kind = text_of("customer.move")};
    batch_update(&f, "customer", CUSTOMER(1));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    ok(store_begin(f.writer));
    ok(ledger_commit(f.writer, &from, f.changes, f.count, &cid));
    ok(store_commit(f.writer));
    f.count = 0;
    device_pull_all(&one, &f, 0);
    assert_int_equal(one.leaves, 3);
    finish(&f, &one, &two);
}

/* ---- tokens ---- */

static void feed__token_that_cannot_be_honoured_starts_anew(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "", "1", "1.", ".1", "1.1x", "1.1+", "1.1-", "1.1-5", "1.1+1.5", "2.1+1.5", "0.5", "-1.5", "1.-5",
        "1.99999999999999999999", "1.999999999999", "7.1048575", "1.01", "01.1", "1.1+2.1+3.1+4.1+5.1", "1.1+2.1-",
        "0.1048575+9.5", "1.1048575 ", "reset", "1.1048575+2.0-99999999999999", "1.1,2.2"};
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        snprintf(one.token, sizeof one.token, "%s", tokens[i]);
        device_pull(&one, &f, 0);
        if (!one.reset) {
            print_error("honoured: %s\n", tokens[i]);
        }
        assert_true(one.reset);
        assert_true(one.complete);
    }
    finish(&f, &one, &two);
}

static void feed__token_before_the_horizon_starts_anew_but_a_fill_goes_on(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    int64_t cid = batch_commit(&f);
    ok(store_begin(f.writer));
    ok(feed_horizon_set(f.writer, (cid + 1) << 20));
    ok(store_commit(f.writer));
    assert_int_equal(raw_int(&f, "SELECT count(*) FROM fs_feed WHERE kind <> 0"), 0);
    batch_insert(&f, "product", PRODUCT(1));
    batch_commit(&f);
    device_pull(&one, &f, 1); /* one small page of a first download, positions far below the horizon */
    assert_true(one.reset);
    assert_false(one.complete);
    while (!one.complete) {
        device_pull(&one, &f, 1);
        assert_false(one.reset);
    }
    ok(store_begin(f.writer));
    ok(feed_horizon_set(f.writer, 1)); /* never goes back */
    ok(store_commit(f.writer));
    device_pull(&two, &f, 0);
    assert_true(two.reset);
    finish(&f, &one, &two);
}

static void feed__scope_set_has_one_number_while_it_is_the_same(void **state)
{
    (void)state;
    fixture f;
    int64_t a[] = {1, 3, 9};
    int64_t numbers[40];
    fb_id d = DEVICE(1);
    scope_list read;
    company(&f);
    ok(store_begin(f.writer));
    for (uint32_t i = 0; i < 40; i++) {
        const scope_list list = {.scopes = a, .count = 2 + i / 2 % 2};
        ok(feed_scope_set(f.writer, &d, &list, &numbers[i]));
        assert_int_equal(numbers[i], 1 + i / 2);
    }
    ok(store_commit(f.writer));
    ok(feed_scope_set_get(f.reader, &d, f.memory, &read, &numbers[0]));
    assert_int_equal(numbers[0], 20);
    assert_int_equal(read.count, 3);
    assert_int_equal(read.scopes[2], 9);
    assert_true(raw_int(&f, "SELECT count(*) FROM fs_scope_set") <= 16);
    d = DEVICE(2);
    ok(feed_scope_set_get(f.reader, &d, f.memory, &read, &numbers[0]));
    assert_int_equal(numbers[0], 0);
    fixture_close(&f);
}

static void feed__first_download_does_not_carry_old_tombstones(void **state)
{
    (void)state;
    fixture f;
    device one, two, three;
    two_reps(&f, &one, &two);
    batch_delete(&f, "note", NOTE(1));
    batch_update(&f, "customer", CUSTOMER(2));
    batch_set(&f, "territory_id", id_value(TERRITORY(4)));
    batch_commit(&f);
    device_init(&f, &three, 3, 1);
    device_pull(&three, &f, 0);
    assert_true(three.complete);
    assert_int_equal(three.leaves + three.deletes, 0);
    device_clear(&three);
    finish(&f, &one, &two);
}

static void feed__block_of_each_entity_once_parents_first(void **state)
{
    (void)state;
    fixture f;
    device one, two;
    two_reps(&f, &one, &two);
    arena *memory = arena_new(1 << 24);
    buf out;
    buf_init(&out, 1 << 24);
    scope_list set = {0};
    page_result result;
    page_request q = {.device = DEVICE(1), .incarnation = INCARNATION(1), .user = USER(1), .set = &set};
    ok(store_snapshot(f.reader));
    ok(feed_scope_set_get(f.reader, &q.device, memory, &set, &q.set_number));
    ok(feed_page(f.reader, &q, memory, &out, &result));
    store_snapshot_end(f.reader);
    line_reader lines;
    fb_text line;
    int last = -1;
    line_reader_init(&lines, buf_text(&out));
    assert_true(line_next(&lines, &line));
    while (line_next(&lines, &line)) {
        block_head head;
        if (line.data[0] == '{') {
            ok(block_head_get(line, store_catalog(f.writer), memory, &head));
            assert_true(head.entity->number > last);
            last = head.entity->number;
        }
    }
    assert_true(last > 0);
    buf_clear(&out);
    arena_free(memory);
    finish(&f, &one, &two);
}

/* ---- the property ---- */

enum { SIM_USERS = 5, SIM_TERRITORIES = 5, SIM_DEVICES = 6, SIM_STEPS = 220, SIM_SEEDS = 24 };

typedef struct sim {
    fixture f;
    uint64_t random;
    device devices[SIM_DEVICES];
    uint32_t next; /* number of the next row of any kind */
    uint32_t resets, leaves, deletes, layered, own, skipped, promotions, undone;
} sim;

static uint32_t pick(sim *m, uint32_t below)
{
    m->random += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = m->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) % below);
}

/* A random row of the entity that this batch does not change yet. */
static bool pick_row(sim *m, const char *entity, fb_id *out)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", entity);
    int64_t count = raw_int(&m->f, sql);
    if (count <= 0) {
        return false;
    }
    snprintf(sql, sizeof sql, "SELECT id FROM %s ORDER BY id LIMIT 1 OFFSET %u", entity,
             pick(m, (uint32_t)count));
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_prepare_v2(m->f.raw, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    memcpy(out->b, sqlite3_column_blob(q, 0), 16);
    sqlite3_finalize(q);
    for (uint32_t i = 0; i < m->f.count; i++) {
        if (id_equal(&m->f.changes[i].id, out)) {
            return false;
        }
    }
    return true;
}

static fb_value some_territory(sim *m)
{
    uint32_t n = pick(m, SIM_TERRITORIES + 1);
    return n == 0 ? null_value() : id_value(TERRITORY(n));
}

static fb_value some_user(sim *m)
{
    uint32_t n = pick(m, SIM_USERS + 3);
    return n == 0 || n > SIM_USERS ? null_value() : id_value(USER(n));
}

static fb_value some_time(sim *m)
{
    return pick(m, 3) == 0 ? null_value()
                           : int_value(m->f.now_ms - 5000 + (int64_t)pick(m, 20000));
}

static fb_value some_text(sim *m)
{
    char text[64];
    snprintf(text, sizeof text, "text \"%u\" 名\n", pick(m, 1000000));
    return text_value(&m->f, text);
}

static void add_insert(sim *m)
{
    static const char *const entities[] = {"customer", "customer", "customer_assignment", "visit", "visit",
                                           "note",     "note",     "task",                "product"};
    const char *entity = entities[pick(m, 9)];
    fb_id parent;
    fb_id id = id_no((uint8_t)(0x30 + pick(m, 4)), m->next++);
    fixture *f = &m->f;
    if (strcmp(entity, "customer") == 0) {
        batch_insert(f, entity, id);
        batch_set(f, "territory_id", some_territory(m));
        batch_set(f, "owner_id", some_user(m));
    } else if (strcmp(entity, "product") == 0) {
        batch_insert(f, entity, id);
        batch_set(f, "name", some_text(m));
    } else if (strcmp(entity, "note") == 0 && pick_row(m, "visit", &parent)) {
        batch_insert(f, entity, id);
        batch_set(f, "visit_id", id_value(parent));
        batch_set(f, "text", some_text(m));
    } else if (strcmp(entity, "note") != 0 && pick_row(m, "customer", &parent)) {
        batch_insert(f, entity, id);
        batch_set(f, "customer_id", id_value(parent));
        if (strcmp(entity, "customer_assignment") == 0) {
            batch_set(f, "territory_id", some_territory(m));
            batch_set(f, "user_id", some_user(m));
            batch_set(f, "from_at", some_time(m));
            batch_set(f, "to_at", some_time(m));
        } else {
            batch_set(f, "text", some_text(m));
        }
        if (strcmp(entity, "task") == 0) {
            batch_set(f, "user_id", some_user(m));
        }
    }
}

static void add_move(sim *m)
{
    fixture *f = &m->f;
    fb_id id;
    fb_id parent;
    switch (pick(m, 6)) {
    case 0:
    case 1:
        if (pick_row(m, "customer", &id)) {
            batch_update(f, "customer", id);
            batch_set(f, "territory_id", some_territory(m));
        }
        return;
    case 2:
        if (pick_row(m, "customer", &id)) {
            batch_update(f, "customer", id);
            batch_set(f, "owner_id", some_user(m));
            batch_set(f, "name", some_text(m));
        }
        return;
    case 3:
        if (pick_row(m, "customer_assignment", &id)) {
            batch_update(f, "customer_assignment", id);
            batch_set(f, "to_at", some_time(m));
            batch_set(f, "territory_id", some_territory(m));
        }
        return;
    case 4:
        if (pick_row(m, "visit", &id) && pick_row(m, "customer", &parent)) {
            batch_update(f, "visit", id);
            batch_set(f, "customer_id", id_value(parent));
        }
        return;
    default:
        if (pick_row(m, "task", &id)) {
            batch_update(f, "task", id);
            batch_set(f, "user_id", some_user(m));
        }
        return;
    }
}

static void add_edit(sim *m)
{
    static const char *const entities[] = {"visit", "note", "task"};
    const char *entity = entities[pick(m, 3)];
    fb_id id;
    if (pick_row(m, entity, &id)) {
        batch_update(&m->f, entity, id);
        batch_set(&m->f, "text", some_text(m));
    }
}

static void add_delete(sim *m)
{
    static const char *const entities[] = {"visit", "note", "task", "product", "customer_assignment", "customer"};
    const char *entity = entities[pick(m, 6)];
    fb_id id;
    if ((strcmp(entity, "customer") != 0 || pick(m, 3) == 0) && pick_row(m, entity, &id)) {
        batch_delete(&m->f, entity, id);
    }
}

static void add_rights(sim *m)
{
    fixture *f = &m->f;
    fb_id id;
    switch (pick(m, 7)) {
    case 0:
    case 1:
        batch_insert(f, "user_territory", id_no(0x06, m->next++));
        batch_set(f, "user_id", id_value(USER(1 + pick(m, SIM_USERS))));
        batch_set(f, "territory_id", id_value(TERRITORY(1 + pick(m, SIM_TERRITORIES))));
        return;
    case 2:
    case 3:
        if (pick_row(m, "user_territory", &id)) {
            batch_delete(f, "user_territory", id);
        }
        return;
    case 4:
        batch_insert(f, "user_role", id_no(0x05, m->next++));
        batch_set(f, "user_id", id_value(USER(1 + pick(m, SIM_USERS))));
        batch_set(f, "role_id", id_value(ROLE(1 + pick(m, 3))));
        return;
    case 5:
        if (pick_row(m, "user_role", &id)) {
            batch_delete(f, "user_role", id);
        }
        return;
    default:
        if (pick(m, 2) == 0 && pick_row(m, "app_user", &id)) {
            batch_update(f, "app_user", id);
            batch_set(f, "org_unit_id", pick(m, 4) == 0 ? null_value() : id_value(UNIT(1 + pick(m, 4))));
        } else if (pick_row(m, "territory", &id)) {
            batch_update(f, "territory", id);
            batch_set(f, "org_unit_id", id_value(UNIT(1 + pick(m, 4))));
        }
        return;
    }
}

static void sim_change(sim *m)
{
    uint32_t what = pick(m, 20);
    if (what < 7) {
        add_insert(m);
    } else if (what < 11) {
        add_move(m);
    } else if (what < 15) {
        add_edit(m);
    } else if (what < 18) {
        add_delete(m);
    } else {
        add_rights(m);
    }
}

static void sim_commit(sim *m)
{
    fixture *f = &m->f;
    uint32_t changes = 1 + pick(m, 4);
    commit_source from = {.at_ms = f->now_ms, .kind = text_of("test")};
    int64_t cid = 0;
    batch_begin(f);
    for (uint32_t i = 0; i < changes; i++) {
        sim_change(m);
    }
    ok(store_begin(f->writer));
    if (pick(m, 8) == 0) { /* a commit that fails afterwards: everything is as before */
        ok(store_savepoint(f->writer));
        ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
        store_savepoint_undo(f->writer);
        m->undone++;
    }
    ok(store_savepoint(f->writer));
    ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
    ok(store_savepoint_release(f->writer));
    ok(store_commit(f->writer));
    f->count = 0;
    assert_feed_right(f);
}

static void note_own(device *d, fixture *f, const cat_entity *e, const fb_id *id, bool deleted)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    int columns[CATALOG_COLUMNS_LIMIT];
    sim_row *r = row_add(&d->own);
    *r = (sim_row){.entity = e, .id = *id, .kind = deleted ? BLOCK_DELETE : BLOCK_ROW, .gseq = d->gseq};
    if (deleted) {
        return;
    }
    ok(store_row_get(f->writer, e, id, f->memory, values));
    for (int c = 0; c < CATALOG_COLUMNS_LIMIT; c++) {
        columns[c] = c;
    }
    buf line;
    buf_init(&line, 1 << 20);
    row_put(&line, e, columns, e->columns_count, values);
    r->ver = values[cat_ver_column(e)].u.i;
    r->text = text_kept((fb_text){line.data, line.size - 1});
    buf_clear(&line);
}

/* The version of the row as this device sees it: own groups on top of the base. */
static const sim_row *seen_by(const device *d, const cat_entity *e, const fb_id *id)
{
    const sim_row *last = row_find(&d->base, e, id);
    for (size_t i = 0; i < d->own.count; i++) {
        if (d->own.rows[i].entity == e && id_equal(&d->own.rows[i].id, id)) {
            last = &d->own.rows[i];
        }
    }
    return last != NULL && last->kind == BLOCK_ROW ? last : NULL;
}

/* The device changes, deletes or moves a row it sees, or visits a customer it sees; as intake would take it. */
static void sim_own_group(sim *m, device *d)
{
    fixture *f = &m->f;
    fb_id id;
    fb_id user = USER(d->user);
    char set[4096];
    scope_list scopes = {0};
    int64_t ver = 0;
    int64_t cid = 0;
    const bool visit = pick(m, 2) == 0;
    const cat_entity *e = entity_of(f, visit ? "customer" : pick(m, 2) == 0 ? "visit" : "customer");
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)e->name.size, e->name.data);
    batch_begin(f);
    if (!pick_row(m, name, &id)) {
        return;
    }
    ok(feed_scopes_of_user(f->writer, &user, f->now_ms, f->memory, &scopes));
    set_text(&scopes, set, sizeof set);
    const sim_row *seen = seen_by(d, e, &id);
    static id_list in_scope;
    ids_in_scope(f, set, &in_scope);
    if (seen == NULL || !has_id(&in_scope, &id)) {
        return;
    }
    ok(store_row_ver(f->writer, e, &id, &ver));
    bool plain = visit || ver == seen->ver;
    bool deletes = false;
    fb_id target = id;
    if (visit) {
        target = id_no(0x40, m->next++);
        batch_insert(f, "visit", target);
        batch_set(f, "customer_id", id_value(id));
        batch_set(f, "text", some_text(m));
        e = entity_of(f, "visit");
    } else if (strcmp(name, "visit") == 0 && pick(m, 4) == 0) {
        deletes = true;
        batch_delete(f, "visit", id);
    } else if (strcmp(name, "visit") == 0) {
        batch_update(f, "visit", id);
        batch_set(f, "text", some_text(m));
    } else {
        batch_update(f, "customer", id);
        batch_set(f, pick(m, 3) == 0 ? "territory_id" : "name", pick(m, 1) == 0 ? null_value() : null_value());
    }
    d->gseq++;
    m->own++;
    commit_source from = {.device = DEVICE(d->number), .incarnation = INCARNATION(d->number), .user = user,
                          .gseq = d->gseq, .at_ms = f->now_ms, .plain = plain, .kind = text_of("own")};
    ok(store_begin(f->writer));
    ok(ledger_commit(f->writer, &from, f->changes, f->count, &cid));
    ok(store_commit(f->writer));
    f->count = 0;
    if (plain) {
        note_own(d, f, e, &target, deletes);
    }
    assert_feed_right(f);
}

static void sim_pull(sim *m, device *d)
{
    static const uint32_t sizes[] = {1, 1, 300, 3000, 0};
    size_t own = d->own.count;
    if (pick(m, 60) == 0) {
        snprintf(d->token, sizeof d->token, "broken");
    }
    device_pull(d, &m->f, sizes[pick(m, 5)]);
    m->resets += d->reset ? 1 : 0;
    m->leaves += d->leaves;
    m->deletes += d->deletes;
    m->layered += strchr(d->token, '+') != NULL ? 1 : 0;
    m->promotions += d->complete ? 1 : 0;
    m->skipped += d->empty && own > 0 ? 1 : 0;
}

static void sim_open(sim *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->random = seed;
    m->next = 100;
    company(&m->f);
    put_territory(&m->f, 5, 4, 0);
    put_user(&m->f, 5, 4);
    put_user_territory(&m->f, 1, 1, 1);
    put_user_territory(&m->f, 2, 2, 2);
    put_user_territory(&m->f, 3, 3, 2);
    put_user_role(&m->f, 1, 4, 2);
    put_user_role(&m->f, 2, 5, 3);
    batch_commit(&m->f);
    for (uint32_t i = 0; i < SIM_DEVICES; i++) {
        device_init(&m->f, &m->devices[i], i + 1, 1 + i % SIM_USERS);
    }
    for (int i = 0; i < 25; i++) {
        sim_commit(m);
    }
}

static void sim_step(sim *m)
{
    fixture *f = &m->f;
    device *d = &m->devices[pick(m, SIM_DEVICES)];
    uint32_t what = pick(m, 100);
    int64_t cid = 0;
    f->now_ms += pick(m, 400);
    if (what < 35) {
        sim_commit(m);
    } else if (what < 50) {
        sim_own_group(m, d);
    } else if (what < 97) {
        sim_pull(m, d);
    } else if (what < 99) {
        ok(store_begin(f->writer));
        ok(ledger_time(f->writer, f->now_ms, &cid));
        ok(store_commit(f->writer));
        assert_feed_right(f);
    } else {
        ok(ledger_head(f->writer, &cid));
        ok(store_begin(f->writer));
        ok(feed_horizon_set(f->writer, (int64_t)pick(m, (uint32_t)cid) << 20));
        ok(store_commit(f->writer));
    }
    arena_reset(f->memory);
}

static void sim_run(uint64_t seed, sim *total)
{
    sim *m = calloc(1, sizeof *m);
    assert_non_null(m);
    sim_open(m, seed);
    for (int i = 0; i < SIM_STEPS; i++) {
        sim_step(m);
    }
    for (uint32_t i = 0; i < SIM_DEVICES; i++) {
        device_pull_all(&m->devices[i], &m->f, 0);
        device_pull(&m->devices[i], &m->f, 0);
        assert_true(m->devices[i].empty);
        device_clear(&m->devices[i]);
    }
    int64_t entries = 0;
    int64_t bad = 0;
    ok(audit_verify(m->f.reader, &entries, &bad));
    assert_int_equal(bad, 0);
    assert_int_equal(entries, raw_int(&m->f, "SELECT max(cid) FROM fs_commit"));
    assert_int_equal(entries, raw_int(&m->f, "SELECT count(*) FROM fs_commit"));
    fixture_close(&m->f);
    total->resets += m->resets;
    total->leaves += m->leaves;
    total->deletes += m->deletes;
    total->layered += m->layered;
    total->own += m->own;
    total->skipped += m->skipped;
    total->promotions += m->promotions;
    total->undone += m->undone;
    free(m);
}

static uint64_t running_seed;

static void tell_seed(void)
{
    if (running_seed != 0) {
        fprintf(stderr, "test_feed: failed with FB_SEED=%llu\n", (unsigned long long)running_seed);
    }
}

static void feed__devices_converge_to_the_projection_of_the_tables(void **state)
{
    (void)state;
    const char *given = getenv("FB_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t last = given != NULL ? first : SIM_SEEDS;
    sim *total = calloc(1, sizeof *total);
    assert_non_null(total);
    for (uint64_t seed = first; seed <= last; seed++) {
        running_seed = seed;
        sim_run(seed, total);
        running_seed = 0;
    }
    /* It must have happened what the property is about. */
    if (given == NULL) {
        assert_true(total->resets > SIM_DEVICES * SIM_SEEDS);
        assert_true(total->leaves > 0 && total->deletes > 0 && total->layered > 0);
        assert_true(total->own > 0 && total->skipped > 0 && total->promotions > 0 && total->undone > 0);
    }
    free(total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__scopes_of_a_user_follow_roles_and_memberships),
        cmocka_unit_test(feed__membership_counts_from_its_first_to_its_last_day),
        cmocka_unit_test(feed__org_unit_that_is_below_itself_ends),
        cmocka_unit_test(feed__moved_customer_leaves_one_and_reaches_the_other_with_its_children),
        cmocka_unit_test(feed__FED_3_leaving_one_of_two_scopes_is_an_update_at_most),
        cmocka_unit_test(feed__delete_reaches_who_had_the_row_and_nobody_else),
        cmocka_unit_test(feed__change_of_scopes_fills_and_empties_in_small_pages),
        cmocka_unit_test(feed__row_seen_through_a_kept_scope_is_not_sent_again),
        cmocka_unit_test(feed__second_change_of_scopes_during_a_fill),
        cmocka_unit_test(feed__FED_4_own_plain_groups_are_left_out_until_settled),
        cmocka_unit_test(feed__row_that_an_own_group_moved_out_of_scope_leaves),
        cmocka_unit_test(feed__token_that_cannot_be_honoured_starts_anew),
        cmocka_unit_test(feed__token_before_the_horizon_starts_anew_but_a_fill_goes_on),
        cmocka_unit_test(feed__scope_set_has_one_number_while_it_is_the_same),
        cmocka_unit_test(feed__first_download_does_not_carry_old_tombstones),
        cmocka_unit_test(feed__block_of_each_entity_once_parents_first),
        cmocka_unit_test(feed__devices_converge_to_the_projection_of_the_tables),
    };
    int failed = 0;
    atexit(tell_seed);
    failed = cmocka_run_group_tests_name("feed", tests, NULL, NULL);
    tell_seed();
    running_seed = 0;
    return failed;
}

/* test_feed_sim.c - the property of the feed: whatever happens, devices converge.
 *
 * Method: random commits move customers, assignments and memberships while simulated devices with
 * different rights pull pages of random size between them, push groups of their own and lose their
 * tokens; packs are built a chunk at a time meanwhile, and fetched so; commits are undone and done
 * again, the horizon moves. After every commit the feed is compared with the oracle (LED-3), after
 * every page the device (device_fixture.h). FB_SEED=n runs one seed; the seed is printed when it
 * fails. */
#include "device_fixture.h"
#include "sql/sql.h"

enum { SIM_USERS = 5, SIM_TERRITORIES = 5, SIM_DEVICES = 6, SIM_STEPS = 220, SIM_SEEDS = 10 };

typedef struct sim {
    fixture f;
    uint64_t random;
    device devices[SIM_DEVICES];
    uint32_t next; /* number of the next row of any kind */
    uint32_t resets, leaves, deletes, layered, own, skipped, promotions, undone, chunks, refused;
    store *view;
    sign_key key;
    pack_source packs;
    pack_builder *builder;
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
    return pick(m, 3) == 0 ? null_value() : int_value(m->f.now_ms - 5000 + (int64_t)pick(m, 20000));
}

static fb_value some_text(sim *m)
{
    char text[64];
    snprintf(text, sizeof text, "text \"%u\" 名\n", pick(m, 1000000));
    return text_value(&m->f, text);
}

static void add_insert(sim *m)
{
    static const char *const entities[] = {"customer", "customer", "customer_assignment",
                                           "visit",    "visit",    "note",
                                           "note",     "task",     "product"};
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
    static const char *const entities[] = {
        "visit", "note", "task", "product", "customer_assignment", "customer"};
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
            batch_set(f, "org_unit_id",
                      pick(m, 4) == 0 ? null_value() : id_value(UNIT(1 + pick(m, 4))));
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
    *r = (sim_row){
        .entity = e, .id = *id, .kind = deleted ? BLOCK_DELETE : BLOCK_ROW, .gseq = d->gseq};
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

/* The device changes, deletes or moves a row it sees, or visits a customer it sees; as intake would
 * take it. */
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
        batch_set(f, pick(m, 3) == 0 ? "territory_id" : "name",
                  pick(m, 1) == 0 ? null_value() : null_value());
    }
    d->gseq++;
    m->own++;
    commit_source from = {.device = DEVICE(d->number),
                          .incarnation = INCARNATION(d->number),
                          .user = user,
                          .gseq = d->gseq,
                          .at_ms = f->now_ms,
                          .plain = plain,
                          .kind = text_of("own")};
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

static fb_code key_bytes(void *ctx, void *out, size_t size)
{
    sim *m = ctx;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)out)[i] = (uint8_t)pick(m, 256);
    }
    return FB_OK;
}

static void packs_open(sim *m)
{
    const store_options o = {.path = m->f.path, .read_only = true, .spills = true};
    const pack_limits limits = {.rows_min = 3, .chunk_bytes = 600, .rest_ms = 1, .age_ms = 1};
    const fb_port port = {.ctx = m, .random = key_bytes};
    fb_error err;
    ok(store_begin(m->f.writer));
    ok(sign_key_open(m->f.writer, &port, &m->key));
    ok(store_commit(m->f.writer));
    ok_with(store_open(&o, &m->view, &err), &err);
    char *path = pack_store_path(m->f.path);
    assert_non_null(path);
    ok_with(pack_store_open(path, NULL, true, &m->packs.store, &err), &err);
    free(path);
    m->packs.key = &m->key;
    m->packs.epoch = id_no(0x77, 1);
    m->builder = pack_builder_new(m->view, &m->packs, &limits);
    assert_non_null(m->builder);
    for (uint32_t i = 0; i < SIM_DEVICES; i += 2) {
        m->devices[i].packs = &m->packs;
    }
}

static void packs_close(sim *m)
{
    pack_builder_free(m->builder);
    pack_store_close(m->packs.store);
    store_close(m->view);
    char path[128];
    snprintf(path, sizeof path, "%s.packs", m->f.path);
    ok(sql_remove(path, NULL));
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
    packs_open(m);
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
    for (uint32_t i = pick(m, 4); i > 0; i--) {
        bool more = false;
        ok(pack_builder_step(m->builder, (uint64_t)f->now_ms, f->now_ms, &more));
    }
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
        m->chunks += m->devices[i].chunks;
        m->refused += m->devices[i].refused;
        device_clear(&m->devices[i]);
    }
    int64_t entries = 0;
    int64_t bad = 0;
    ok(audit_verify(m->f.reader, &entries, &bad));
    assert_int_equal(bad, 0);
    assert_int_equal(entries, raw_int(&m->f, "SELECT max(cid) FROM fs_commit"));
    assert_int_equal(entries, raw_int(&m->f, "SELECT count(*) FROM fs_commit"));
    packs_close(m);
    fixture_close(&m->f);
    total->chunks += m->chunks;
    total->refused += m->refused;
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
        assert_true(total->chunks > SIM_SEEDS && total->refused > 0);
        assert_true(total->own > 0 && total->skipped > 0 && total->promotions > 0 &&
                    total->undone > 0);
    }
    free(total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__devices_converge_to_the_projection_of_the_tables),
    };
    int failed = cmocka_run_group_tests_name("feed_sim", tests, NULL, NULL);
    tell_seed();
    return failed;
}

/* test_feed_build.c - the maker of packs, step by step: which scopes need one, when an older one is
 * made anew, and what it leaves for later.
 * Method: a small company whose only large scope is that of everybody (products); the packs lie
 * beside the database of the fixture. */
#include "device_fixture.h"

#include "schema/limits.h"
#include "sync-server/feed/feed_inside.h"

enum { ROWS_MIN = 40, AGE_MS = 1000, STEPS_MAX = 100000 };

typedef struct bench {
    fixture f;
    char path[128];
    store *view;
    pack_store *packs;
    sign_key key;
    pack_source source;
    pack_limits limits;
    uint64_t mono_ms;
    int64_t wall_ms;
} bench;

static void products_add(bench *b, uint32_t from, uint32_t count)
{
    for (uint32_t n = from; n < from + count; n++) {
        if (b->f.count == BATCH_CHANGES_MAX) {
            batch_commit(&b->f);
        }
        batch_insert(&b->f, "product", id_no(0x70, n));
        batch_set(&b->f, "name", text_value(&b->f, "bottle"));
    }
    batch_commit(&b->f);
}

static fb_code key_bytes(void *ctx, void *out, size_t size)
{
    (void)ctx;
    memset(out, 7, size);
    return FB_OK;
}

static void bench_open(bench *b)
{
    fb_error err = {0};
    *b = (bench){.wall_ms = 1700000000000,
                 .limits = {.rows_min = ROWS_MIN, .rest_ms = 1, .age_ms = AGE_MS}};
    company(&b->f);
    snprintf(b->path, sizeof b->path, "%s.packs", b->f.path);
    ok_with(pack_store_open(b->path, NULL, true, &b->packs, &err), &err);
    const fb_port port = {.random = key_bytes};
    ok(store_begin(b->f.writer));
    ok(sign_key_open(b->f.writer, &port, &b->key));
    ok(store_commit(b->f.writer));
    const store_options o = {.path = b->f.path, .read_only = true, .spills = true};
    ok_with(store_open(&o, &b->view, &err), &err);
    b->source = (pack_source){.store = b->packs, .key = &b->key, .epoch = {{1}}};
    products_add(b, 1, ROWS_MIN);
}

static void bench_close(bench *b)
{
    static const char *const ENDS[] = {"", "-wal", "-shm"};
    char path[140];
    store_close(b->view);
    pack_store_close(b->packs);
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        snprintf(path, sizeof path, "%s%s", b->path, ENDS[i]);
        unlink(path);
    }
    fixture_close(&b->f);
}

/* Until it rests; how often it said that there is more. */
static int round_make(bench *b, fb_code wanted)
{
    pack_builder *p = pack_builder_new(b->view, &b->source, &b->limits);
    bool more = true;
    fb_code rc = FB_OK;
    int steps = 0;
    assert_non_null(p);
    for (; more && steps < STEPS_MAX; steps += more) {
        rc = pack_builder_step(p, b->mono_ms, b->wall_ms, &more);
    }
    pack_builder_free(p);
    b->mono_ms += 10;
    assert_int_equal(rc, wanted);
    return steps;
}

static fb_code newest(void *ctx, const pack_info *i)
{
    int64_t *no = ctx;
    *no = i->no > *no ? i->no : *no;
    return FB_OK;
}

static int64_t newest_no(bench *b)
{
    int64_t no = 0;
    ok(pack_store_each(b->packs, newest, &no));
    return no;
}

/* A pack that says what is there now is kept while it is young; by the clock of the server, which
 * may have been put back. */
static void pack__is_made_anew_when_it_must(void **state)
{
    static const struct {
        const char *why;
        int64_t later_ms;
        uint32_t rows;
        bool other_epoch, made;
    } CASES[] = {
        {"nothing changed", 0, 0, false, false},
        {"it is young", AGE_MS - 1, ROWS_MIN, false, false},
        {"it is old, and nothing changed", AGE_MS, 0, false, false},
        {"it is old, and much changed", AGE_MS, ROWS_MIN, false, true},
        {"the clock was put back, and much changed", -1, ROWS_MIN, false, true},
        {"the server was restored", 0, 0, true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        bench b;
        bench_open(&b);
        (void)round_make(&b, FB_OK);
        int64_t first = newest_no(&b);
        assert_true(first > 0);
        b.wall_ms += CASES[i].later_ms;
        b.source.epoch.b[0] ^= CASES[i].other_epoch;
        if (CASES[i].rows > 0) {
            products_add(&b, 1000, CASES[i].rows);
        }
        (void)round_make(&b, FB_OK);
        if ((newest_no(&b) > first) != CASES[i].made) {
            fail_msg("%s", CASES[i].why);
        }
        bench_close(&b);
    }
}

/* More scopes than one step looks at: none is passed over. */
static void round__goes_on_where_a_step_ended(void **state)
{
    enum { SCOPES = 150 };
    bench b;
    (void)state;
    bench_open(&b);
    for (uint32_t n = 1; n <= SCOPES; n++) {
        if (b.f.count == BATCH_CHANGES_MAX) {
            batch_commit(&b.f);
        }
        put_customer(&b.f, n, 0, 100 + n); /* each in a scope of its own */
    }
    batch_commit(&b.f);
    b.limits.rows_min = 1;
    assert_true(round_make(&b, FB_OK) > SCOPES);
    int64_t all = raw_int(&b.f, "SELECT count(DISTINCT scope) FROM fs_feed WHERE kind = 0");
    assert_true(all > SCOPES);
    int64_t before = newest_no(&b);
    assert_true(before >= all);
    int steps = round_make(&b, FB_OK); /* all have one: it only looks */
    assert_true(steps >= 2 && steps < SCOPES);
    assert_int_equal(newest_no(&b), before);
    bench_close(&b);
}

/* A manifest lists so many chunks: a scope that needs more has no pack, and is told. */
static void pack__of_too_many_chunks_is_none(void **state)
{
    bench b;
    (void)state;
    bench_open(&b);
    products_add(&b, 1000,
                 PACK_CHUNKS_MAX - (uint32_t)raw_int(&b.f, "SELECT count(*) FROM fs_feed WHERE "
                                                           "scope = 1 AND kind = 0"));
    b.limits.chunk_bytes = 1; /* a row each */
    (void)round_make(&b, FB_OK);
    assert_true(newest_no(&b) > 0);
    ok(pack_store_drop(b.packs, 0));
    products_add(&b, 9000, 1);
    (void)round_make(&b, FB_E_LIMIT);
    assert_int_equal(newest_no(&b), 0);
    bench_close(&b);
}

/* An entity of a catalogue that this reader has not: later, when it has looked again. */
static void pack__entry_of_an_unknown_entity_is_for_later(void **state)
{
    bench b;
    (void)state;
    bench_open(&b);
    raw_run(&b.f, "UPDATE fs_feed SET entity = 9999 WHERE pos = (SELECT max(pos) FROM fs_feed)");
    (void)round_make(&b, FB_E_BUSY);
    assert_int_equal(newest_no(&b), 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pack__is_made_anew_when_it_must),
        cmocka_unit_test(round__goes_on_where_a_step_ended),
        cmocka_unit_test(pack__of_too_many_chunks_is_none),
        cmocka_unit_test(pack__entry_of_an_unknown_entity_is_for_later),
    };
    return cmocka_run_group_tests_name("feed_build", tests, NULL, NULL);
}

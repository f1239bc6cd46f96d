/* test_segment.c - second copies that no version of ours writes, but whose sums fit: of a mistake,
 * of a later version, or made by somebody. The outbox is lent as far as it can be read, and the
 * database is made again with every sound group, or the file is refused.
 *
 * Method: a device saves two groups and its database is deleted. The records of its second copy go
 * into a new segment, written by journal.h: who it is, the catalogue and group 1, then a case's
 * own. */
#include "replica/second.h"
#include "sql/sql.h"
#include "support/lab.h"

#define DB lab_path("segment")
enum {
    BYTES_MAX = 1 << 20,
    LIFE = 7,
    PARTS_MAX = 3,
    REFUSED = 2,
    CLOSED = 4 /* states in fb_outbox */
};

typedef struct world {
    lab l;
    buf identity, catalog, one, two; /* payloads */
} world;

/* --- a segment ------------------------------------------------------------------------------ */

static fb_code keep(void *ctx, const journal_record *record)
{
    world *w = ctx;
    buf *to = record->type == JOURNAL_IDENTITY                     ? &w->identity
              : record->type == JOURNAL_CATALOG                    ? &w->catalog
              : record->type == JOURNAL_GROUP && record->gseq == 1 ? &w->one
              : record->type == JOURNAL_GROUP && record->gseq == 2 ? &w->two
                                                                   : NULL;
    if (to != NULL && to->size == 0) {
        buf_put_text(to, record->payload);
    }
    return FB_OK;
}

static void world_make(world *w)
{
    buf *const all[] = {&w->identity, &w->catalog, &w->one, &w->two};
    journal j;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        buf_init(all[i], BYTES_MAX);
    }
    lab_start(&w->l, DB, 4);
    lab_save(&w->l, 1, "one", 1);
    lab_save(&w->l, 2, "two", 2);
    lab_close(&w->l);
    assert_int_equal(journal_init(&j, NULL, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, keep, w), FB_OK);
    journal_clear(&j);
    assert_true(w->identity.size > 0 && w->catalog.size > 0 && w->one.size > 0 && w->two.size > 0);
    lab_stop(&w->l);
}

static void world_end(world *w)
{
    buf_clear(&w->identity);
    buf_clear(&w->catalog);
    buf_clear(&w->one);
    buf_clear(&w->two);
}

typedef enum making { NO_PART, RAW, TWO, CUT, BODY, VERDICT, DRAFT, NAMED, SHUT } making;
typedef struct part {
    journal_type type;
    making how;       /* TWO: group 2 with these numbers; VERDICT: with this verdict */
    const char *text; /* DRAFT: the body; NAMED: behind a first value */
    int64_t replaces;
} part;

static void part_put(world *w, const part *p, buf *out)
{
    stored_group g;
    fb_text text = text_of(p->text);
    assert_int_equal(stored_group_get(buf_text(&w->two), &g), FB_OK);
    g.replaces = p->replaces;
    switch (p->how) {
    case NO_PART:
        return;
    case RAW:
        buf_put_text(out, text);
        return;
    case TWO:
        g.numbers = text;
        stored_group_put(out, &g);
        return;
    case BODY:
        g.body = text;
        stored_group_put(out, &g);
        return;
    case CUT:
        buf_put(out, w->two.data, 20);
        return;
    case SHUT:
        g.state = CLOSED;
        stored_group_put(out, &g);
        return;
    case VERDICT:
        g.verdict = text;
        g.state = REFUSED;
        stored_group_put(out, &g);
        return;
    case DRAFT:
        second_draft_put(out, &(draft){.id = lab_id(9), .kind = T("k"), .body = text});
        return;
    case NAMED:
        named_put(out, &(named_value){.name = T("QX"), .kind = NAMED_INT, .number = 5});
        buf_put_text(out, text);
        return;
    }
}

typedef struct segment_case {
    const char *why;
    part parts[PARTS_MAX]; /* up to the first that is none */
    fb_code code;          /* of opening */
    const char *sql;       /* of the database that was made: 1 */
    fb_code lent_code;
    int lent;         /* groups */
    const char *name; /* of one more value of the identity; "-name": of one that is not there */
    bool nobody;      /* without the identity */
} segment_case;

static void record_put(journal *j, journal_type type, int64_t gseq, const buf *payload)
{
    assert_int_equal(journal_append(j, type, gseq, buf_text(payload), false), FB_OK);
}

static void identity_put(const world *w, const char *name, buf *out)
{
    fb_text rest = buf_text(&w->identity);
    named_value n;
    bool found = true;
    while (found) {
        assert_int_equal(named_get(&rest, &n, &found), FB_OK);
        bool left_out = name != NULL && name[0] == '-' && text_is(n.name, name + 1);
        if (found && !left_out) {
            named_put(out, &n);
        }
    }
}

static void segment_write(world *w, const segment_case *c)
{
    journal j;
    buf payload;
    buf_init(&payload, BYTES_MAX);
    assert_int_equal(journal_init(&j, NULL, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_E_NOT_FOUND);
    assert_int_equal(journal_begin(&j, LIFE), FB_OK);
    identity_put(w, c->name, &payload);
    if (c->name != NULL && c->name[0] != '-') {
        named_put(&payload,
                  &(named_value){.name = text_of(c->name), .kind = NAMED_TEXT, .bytes = {"x", 1}});
    }
    if (!c->nobody) {
        record_put(&j, JOURNAL_IDENTITY, 0, &payload);
    }
    record_put(&j, JOURNAL_CATALOG, 2, &w->catalog);
    record_put(&j, JOURNAL_GROUP, 1, &w->one);
    for (int i = 0; i < PARTS_MAX && c->parts[i].how != NO_PART; i++) {
        buf_reset(&payload);
        part_put(w, &c->parts[i], &payload);
        record_put(&j, c->parts[i].type, c->parts[i].type == JOURNAL_CLOSED ? 1 : 2, &payload);
    }
    assert_int_equal(journal_end(&j), FB_OK);
    journal_clear(&j);
    buf_clear(&payload);
}

/* --- the table ------------------------------------------------------------------------------ */

#define PENDING(n) "SELECT count(*) = " #n " FROM fb_outbox WHERE state = 0"
#define NONE                                   \
    {                                          \
        {                                      \
            JOURNAL_IDENTITY, NO_PART, NULL, 0 \
        }                                      \
    }
#define LATER ((journal_type)'Z')
#define NAME_80 "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define RUN_LINE "{\"m\":\"ok\",\"g\":\"1\",\"to\":\"2\",\"cid\":\"6\"}"
#define VERDICT_LINE "{\"m\":\"verdict\",\"g\":\"2\",\"code\":\"rejected\"}"
#define NONCE "0123456789abcdef"

/* clang-format off */
static const segment_case CASES[] = {
    {"as it should be", {{JOURNAL_GROUP, TWO, "", 0}}, FB_OK, PENDING(2), FB_OK, 2, NULL, false},
    {"nobody's", {{JOURNAL_GROUP, TWO, "", 0}}, FB_OK, "SELECT count(*) = 0 FROM fb_outbox", FB_OK, 2, NULL, true},
    {"a name that no key can have", NONE, FB_OK, PENDING(1), FB_OK, 1, NAME_80, false},
    {"a value that nobody knows", NONE, FB_OK, PENDING(1), FB_OK, 1, "later", false},
    {"an end of the pruned part that is a text", NONE, FB_OK, PENDING(1), FB_OK, 1, "pruned", false},
    {"an incarnation that is a text", NONE, FB_OK, PENDING(1), FB_OK, 1, "incarnation", false},
    {"no end of the pruned part", {{JOURNAL_GROUP, TWO, "", 0}}, FB_OK, PENDING(2), FB_OK, 2, "-pruned_chain", false},
    {"a second identity", {{JOURNAL_IDENTITY, RAW, "", 0}, {JOURNAL_GROUP, TWO, "", 0}}, FB_OK, PENDING(2), FB_OK, 2, NULL, false},
    {"a second identity, cut", {{JOURNAL_IDENTITY, RAW, "cut", 0}}, FB_E_CORRUPT, NULL, FB_E_CORRUPT, 1, NULL, false},
    {"a record of a later version", {{LATER, RAW, "x", 0}, {JOURNAL_GROUP, TWO, "", 0}}, FB_OK, PENDING(2), FB_OK, 2, NULL, false},
    {"a cut group", {{JOURNAL_GROUP, CUT, "", 0}}, FB_E_CORRUPT, NULL, FB_E_CORRUPT, 0, NULL, false},
    {"a group that cannot be unpacked", {{JOURNAL_GROUP, BODY, "\x28\xb5\x2f\xfd", 0}}, FB_E_CORRUPT, NULL, FB_OK, 1, NULL, false},
    {"a group that is none", {{JOURNAL_GROUP, BODY, "{}", 0}}, FB_OK, PENDING(2), FB_OK, 2, NULL, false},
    {"a group that is no JSON", {{JOURNAL_GROUP, BODY, "{x", 0}}, FB_OK, PENDING(2), FB_OK, 2, NULL, false},
    {"a group that was closed before", {{JOURNAL_GROUP, SHUT, "", 0}}, FB_OK, "SELECT state = 4 FROM fb_outbox WHERE gseq = 2", FB_OK, 2, NULL, false},
    {"a cut archived group", {{JOURNAL_ARCHIVED, CUT, "", 0}}, FB_E_CORRUPT, NULL, FB_E_CORRUPT, 1, NULL, false},
    {"cut counters", {{JOURNAL_COUNTERS, RAW, "xx", 0}}, FB_E_CORRUPT, NULL, FB_OK, 1, NULL, false},
    {"counters cut behind the first", {{JOURNAL_COUNTERS, NAMED, "xx", 0}}, FB_E_CORRUPT, NULL, FB_OK, 1, NULL, false},
    {"no counters", {{JOURNAL_COUNTERS, RAW, "", 0}}, FB_OK, PENDING(1), FB_OK, 1, NULL, false},
    {"a number that was used", {{JOURNAL_GROUP, TWO, "QX 5\nQY 2\n", 0}}, FB_OK, "SELECT max(next) - min(next) = 3 FROM fb_counter WHERE name IN ('QX', 'QY')", FB_OK, 2, NULL, false},
    {"numbers without an end", {{JOURNAL_GROUP, TWO, "SO 5", 0}}, FB_E_CORRUPT, NULL, FB_OK, 2, NULL, false},
    {"numbers without a number", {{JOURNAL_GROUP, TWO, "SO\n", 0}}, FB_E_CORRUPT, NULL, FB_OK, 2, NULL, false},
    {"numbers with the number in the next line", {{JOURNAL_GROUP, TWO, "SO\nQU 2\n", 0}}, FB_E_CORRUPT, NULL, FB_OK, 2, NULL, false},
    {"numbers that are words", {{JOURNAL_GROUP, TWO, "SO five\n", 0}}, FB_E_CORRUPT, NULL, FB_OK, 2, NULL, false},
    {"archived with its verdict", {{JOURNAL_ARCHIVED, VERDICT, VERDICT_LINE, 0}}, FB_OK, "SELECT count(*) = 1 FROM fb_verdict WHERE gseq = 2", FB_OK, 2, NULL, false},
    {"archived without one", {{JOURNAL_ARCHIVED, VERDICT, "", 0}}, FB_OK, "SELECT count(*) = 0 FROM fb_verdict", FB_OK, 2, NULL, false},
    {"archived with something else", {{JOURNAL_ARCHIVED, VERDICT, "no line", 0}}, FB_OK, "SELECT count(*) = 0 FROM fb_verdict", FB_OK, 2, NULL, false},
    {"archived with a line about many", {{JOURNAL_ARCHIVED, VERDICT, RUN_LINE, 0}}, FB_OK, "SELECT count(*) = 0 FROM fb_verdict", FB_OK, 2, NULL, false},
    {"one in the place of another", {{JOURNAL_GROUP, TWO, "", 1}}, FB_OK, "SELECT state = 4 FROM fb_outbox WHERE gseq = 1", FB_OK, 2, NULL, false},
    {"one that a person closed", {{JOURNAL_CLOSED, RAW, "", 0}}, FB_OK, "SELECT state = 4 FROM fb_outbox WHERE gseq = 1", FB_OK, 1, NULL, false},
    {"a draft", {{JOURNAL_DRAFT, DRAFT, "{}", 0}}, FB_OK, "SELECT count(*) = 1 FROM fb_draft", FB_OK, 1, NULL, false},
    {"a draft that has gone", {{JOURNAL_DRAFT, DRAFT, "{}", 0}, {JOURNAL_DRAFT, DRAFT, "", 0}}, FB_OK, "SELECT count(*) = 0 FROM fb_draft", FB_OK, 1, NULL, false},
    {"a cut draft", {{JOURNAL_DRAFT, RAW, "xx", 0}}, FB_E_CORRUPT, NULL, FB_OK, 1, NULL, false},
    {"a catalogue that is none", {{JOURNAL_CATALOG, RAW, "no zstd", 0}}, FB_E_PROTOCOL, NULL, FB_OK, 1, NULL, false},
    {"made by a salvage", {{JOURNAL_SALVAGE, RAW, NONCE, 0}}, FB_OK, PENDING(1), FB_OK, 1, NULL, false},
    {"made by a salvage without its mark", {{JOURNAL_SALVAGE, RAW, "?", 0}}, FB_OK, PENDING(1), FB_OK, 1, NULL, false},
    {"made by two salvages", {{JOURNAL_SALVAGE, RAW, "?", 0}, {JOURNAL_SALVAGE, RAW, NONCE, 0}}, FB_OK, PENDING(1), FB_OK, 1, NULL, false},
};
/* clang-format on */

static fb_code lend_count(void *ctx, const rescued *g)
{
    assert_true(g->line.size > 0);
    ++*(int *)ctx;
    return FB_OK;
}

static bool case_is_right(world *w, const segment_case *c)
{
    const replica_options o = {.path = DB, .port = &w->l.port};
    fb_error err = {.code = FB_OK};
    fb_error lent_err = {.code = FB_OK};
    int lent = 0;
    fb_code lent_code = rescue_each(&o, lend_count, &lent, &lent_err);
    fb_code rc = lab_open(&w->l, &err);
    bool right = rc == c->code && lent_code == c->lent_code && lent == c->lent;
    right = right && (rc == FB_OK || (strcmp(err.field, "path") == 0 && err.message[0] != '\0'));
    bool made = rc != FB_OK || c->sql == NULL || lab_count(&w->l, c->sql) == 1;
    if (!right || !made) {
        print_error("%s: %s %s (%s), made %d, lent %d %s\n", c->why, fb_code_name(rc), err.field,
                    err.message, made, lent, fb_code_name(lent_code));
    }
    if (rc == FB_OK) {
        lab_check(&w->l);
    }
    lab_stop(&w->l);
    return right && made;
}

static void segment__gives_every_sound_group_or_is_refused(void **state)
{
    int wrong = 0;
    (void)state;
    world w;
    world_make(&w);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        segment_write(&w, &CASES[i]);
        wrong += !case_is_right(&w, &CASES[i]);
    }
    world_end(&w);
    assert_int_equal(wrong, 0);
}

/* --- a database without a second copy ------------------------------------------------------- */

/* Of four groups those are lent that the chain proves, and none of a file that is nobody's. */
static const struct {
    const char *why, *sql;
    int lent;
} DAMAGES[] = {
    {"as it should be", "SELECT 1", 4},
    {"of no person", "UPDATE fb_meta SET value=0 WHERE key='enrolled'", 0},
    {"of somebody, it says", "UPDATE fb_meta SET value='yes' WHERE key='enrolled'", 0},
    {"of no life", "UPDATE fb_meta SET value=x'01' WHERE key='incarnation'", 0},
    {"a file that is no other", "UPDATE fb_meta SET value=x'01' WHERE key='file_id'", 4},
    {"pruned up to a word", "INSERT OR REPLACE INTO fb_meta VALUES ('pruned', 'two')", 4},
    {"pruned, with another chain", "INSERT OR REPLACE INTO fb_meta VALUES ('pruned', 1)", 2},
    {"pruned, with half a chain",
     "INSERT OR REPLACE INTO fb_meta VALUES ('pruned', 1), ('pruned_chain', x'01')", 0},
    {"pruned, with its chain",
     "INSERT OR REPLACE INTO fb_meta SELECT 'pruned', 1 UNION ALL SELECT 'pruned_chain', chain "
     "FROM "
     "fb_outbox WHERE gseq=1",
     3},
    {"half a chain in group 2", "UPDATE fb_outbox SET chain=x'01' WHERE gseq=2", 2},
    {"another chain in group 2", "UPDATE fb_outbox SET chain=zeroblob(32) WHERE gseq=2", 2},
    {"group 2 cannot be unpacked", "UPDATE fb_outbox SET body=x'28b52ffd0001' WHERE gseq=2", 3},
    {"group 2 says something else",
     "UPDATE fb_outbox SET body=(SELECT body FROM fb_outbox WHERE gseq=3) WHERE gseq=2", 3},
    {"group 2 has a kind that is none",
     "UPDATE fb_outbox SET kind=printf('%300s', 'x') WHERE gseq=2", 3},
    {"group 2 is missing", "DELETE FROM fb_outbox WHERE gseq=2", 2},
    {"groups 1 and 2 are missing", "DELETE FROM fb_outbox WHERE gseq<3", 1},
};

static void file_remove(const lab *l, const char *end)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s", l->path, end);
    (void)remove(name);
}

static void database__alone_gives_what_its_chain_proves(void **state)
{
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        lab l;
        fb_error err = {.code = FB_OK};
        int lent = 0;
        lab_start(&l, DB, 4);
        for (unsigned g = 1; g <= 4; g++) {
            lab_save(&l, g, "some", 1);
        }
        assert_int_equal(sql_exec(replica_sql(l.r), DAMAGES[i].sql), FB_OK);
        lab_close(&l);
        file_remove(&l, "-outbox1");
        file_remove(&l, "-outbox2");
        const replica_options o = {.path = l.path, .port = &l.port};
        fb_code rc = rescue_each(&o, lend_count, &lent, &err);
        bool nobody = DAMAGES[i].lent == 0;
        if (lent != DAMAGES[i].lent || rc != (nobody ? FB_E_NOT_FOUND : FB_OK) ||
            (nobody && strcmp(err.field, "path") != 0)) {
            print_error("%s: lent %d, %s\n", DAMAGES[i].why, lent, fb_code_name(rc));
            wrong++;
        }
        lab_stop(&l);
    }
    assert_int_equal(wrong, 0);
}

/* --- pages ---------------------------------------------------------------------------------- */

enum { PAGE_BYTES = 4096, MANY = 400 };

/* The page that holds the middle of fb_outbox, or its root, is overwritten. */
static void page_damage(const lab *l, int64_t root, bool leaf)
{
    static const unsigned char nothing[PAGE_BYTES] = {0xFF, 0xFF};
    unsigned char page[PAGE_BYTES];
    FILE *f = fopen(l->path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)(root - 1) * PAGE_BYTES, SEEK_SET), 0);
    assert_int_equal(fread(page, 1, sizeof page, f), sizeof page);
    assert_int_equal(page[0], 5); /* SQLite's sign of an inner page of a table */
    if (leaf) {
        size_t cells = (size_t)page[3] << 8 | page[4];
        const unsigned char *middle = page + 12 + 2 * (cells / 2);
        const unsigned char *cell = page + ((size_t)middle[0] << 8 | middle[1]);
        root = (int64_t)cell[0] << 24 | cell[1] << 16 | cell[2] << 8 | cell[3];
    }
    assert_int_equal(fseek(f, (long)(root - 1) * PAGE_BYTES, SEEK_SET), 0);
    assert_int_equal(fwrite(nothing, 1, sizeof nothing, f), sizeof nothing);
    fclose(f);
}

/* One bad page costs the groups on it only, and the first behind it, which nothing proves; where
 * nothing can be reached the walk ends. */
static void page__that_cannot_be_read_costs_what_is_on_it(void **state)
{
    (void)state;
    for (int leaf = 0; leaf < 2; leaf++) {
        lab l;
        int lent = 0;
        fb_error err = {.code = FB_OK};
        lab_start(&l, DB, 4);
        for (unsigned g = 1; g <= MANY; g++) {
            lab_save(&l, g, "some", 1);
        }
        int64_t root = lab_count(&l, "SELECT rootpage FROM sqlite_schema WHERE name='fb_outbox'");
        lab_close(&l);
        file_remove(&l, "-outbox1");
        file_remove(&l, "-outbox2");
        page_damage(&l, root, leaf != 0);
        const replica_options o = {.path = l.path, .port = &l.port};
        assert_int_equal(rescue_each(&o, lend_count, &lent, &err), FB_OK);
        assert_true(leaf != 0 ? lent > MANY * 3 / 4 && lent < MANY : lent == 0);
        lab_stop(&l);
    }
}

/* --- who asks -------------------------------------------------------------------------------- */

static fb_code lend_one(void *ctx, const rescued *g)
{
    (void)g;
    return ++*(int *)ctx == 1 ? FB_E_BUSY : FB_OK;
}

/* Who reads may stop, in the second copy as in the database; and an outbox without a group is one.
 */
static void reader__may_stop_and_may_find_nothing(void **state)
{
    (void)state;
    for (int alone = 0; alone < 2; alone++) {
        for (int groups = 0; groups < 2; groups++) {
            lab l;
            int lent = 0;
            fb_error err = {.code = FB_OK};
            lab_start(&l, DB, 4);
            for (int g = 1; groups > 0 && g <= 2; g++) {
                lab_save(&l, (unsigned)g, "some", 1);
            }
            lab_close(&l);
            if (alone != 0) {
                file_remove(&l, "-outbox1");
                file_remove(&l, "-outbox2");
            }
            const replica_options o = {.path = l.path, .port = &l.port};
            assert_int_equal(rescue_each(&o, lend_one, &lent, &err),
                             groups > 0 ? FB_E_BUSY : FB_OK);
            assert_int_equal(lent, groups);
            lab_stop(&l);
        }
    }
}

/* A record whose commit nobody has seen is no group (JRN-1). */
static void open_record__is_not_lent(void **state)
{
    world w;
    journal j;
    int lent = 0;
    fb_error err = {.code = FB_OK};
    (void)state;
    world_make(&w);
    segment_write(&w, &CASES[0]);
    assert_int_equal(journal_init(&j, NULL, DB), FB_OK);
    assert_int_equal(journal_open(&j), FB_OK);
    assert_int_equal(journal_follow(&j, NULL, NULL), FB_OK);
    assert_int_equal(journal_append(&j, JOURNAL_GROUP, 3, buf_text(&w.two), true), FB_OK);
    journal_clear(&j);
    const replica_options o = {.path = DB, .port = &w.l.port};
    assert_int_equal(rescue_each(&o, lend_count, &lent, &err), FB_OK);
    assert_int_equal(lent, 2);
    lab_stop(&w.l);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database__alone_gives_what_its_chain_proves),
        cmocka_unit_test(segment__gives_every_sound_group_or_is_refused),
        cmocka_unit_test(page__that_cannot_be_read_costs_what_is_on_it),
        cmocka_unit_test(reader__may_stop_and_may_find_nothing),
        cmocka_unit_test(open_record__is_not_lent),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}

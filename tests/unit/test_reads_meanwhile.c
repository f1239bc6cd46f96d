/* test_reads_meanwhile.c - public calls that read with more than one statement, while another
 * handle of the same file, as a background worker has one, commits between two of them.
 *
 * Method: before each statement of the call in turn the other handle makes one commit. What the
 * call says is what it said before that commit or what it says after it, never an error and never
 * some of both: no view shows half a group (PRO-3). */
#include <sqlite3.h>

#include "api/handle.h"
#include "api_fixture.h"
#include "sync/push.h"

enum { STATEMENTS_MAX = 400, SAID_BYTES = 8 };

typedef struct company {
    world *w;
    shop s;
    fb_db *other;
    fb_id order, line[2], visit, contact, photo, kept; /* kept: a draft that stays */
    fb_id draft;                                       /* one that goes */
    int turn, wrong;
} company;

/* --- what the other handle does ------------------------------------------------------------- */

static void row_gone(company *c, const char *entity, const fb_id *id)
{
    const cat_entity *e = catalog_entity_str(c->w->cat, entity);
    const int columns[] = {0};
    const fb_value values[] = {{.kind = FB_KIND_ID, .u.id = *id}};
    block_head_put(&c->w->page, e, BLOCK_DELETE, columns, 1);
    row_put(&c->w->page, e, columns, 1, values);
}

static void order_put(company *c, const char *total, const char *qty)
{
    world *w = c->w;
    world_row_id(w, "sales_order", &c->order,
                 PAIRS("order_no", "SO-1", "kind", "presale", "customer_id", idt(&c->s.customer),
                       "user_id", idt(&w->user), "order_date", "2023-11-14", "currency", "CNY",
                       "total", total, "status", "submitted"));
    world_row_id(w, "sales_order_line", &c->line[0],
                 PAIRS("order_id", idt(&c->order), "line_no", "1", "product_id", idt(&c->s.product),
                       "uom", "EA", "qty_milli", qty, "unit_price_4dp", "14", "price_source",
                       "list"));
}

static void photo_put(company *c, char digit)
{
    char hash[2][65];
    for (int i = 0; i < 2; i++) {
        memset(hash[i], digit + i, 64);
        hash[i][64] = '\0';
    }
    const char *size = digit == '1' ? "1000" : "2000";
    world_row_id(c->w, "attachment", &c->photo,
                 PAIRS("kind", "photo", "media_type", "image/jpeg", "size_bytes", size, "sha256",
                       hash[0], "thumb_size_bytes", size, "thumb_sha256", hash[1], "taken_at",
                       "2023-11-14T08:00:00Z", "customer_id", idt(&c->s.customer)));
}

/* What a line costs stands in three records. */
static void price_put(company *c, const char *price, const char *percent)
{
    world *w = c->w;
    world_row_id(w, "tax_code", &c->s.tax,
                 PAIRS("code", "V13", "name", percent, "rate_bp", percent));
    world_row_id(w, "product", &c->s.product,
                 PAIRS("code", "P1", "name", price, "base_uom", "EA", "tax_code_id", idt(&c->s.tax),
                       "status", "active"));
    world_row_id(w, "price_list_item", &c->s.item,
                 PAIRS("price_list_id", idt(&c->s.list), "product_id", idt(&c->s.product), "uom",
                       "EA", "price_4dp", price));
}

/* One of two states of the company, in one page. */
static void page_of_turn(company *c)
{
    world *w = c->w;
    c->turn++;
    price_put(c, c->turn % 2 == 0 ? "14" : "21", c->turn % 2 == 0 ? "13" : "6");
    if (c->turn % 2 == 0) {
        order_put(c, "28", "2");
        row_gone(c, "sales_order_line", &c->line[1]);
        row_gone(c, "contact", &c->contact);
        row_gone(c, "visit", &c->visit);
        photo_put(c, '1');
        return;
    }
    order_put(c, "42", "1");
    world_row_id(w, "sales_order_line", &c->line[1],
                 PAIRS("order_id", idt(&c->order), "line_no", "2", "product_id", idt(&c->s.product),
                       "uom", "EA", "qty_milli", "2", "unit_price_4dp", "14", "price_source",
                       "list"));
    world_row_id(w, "contact", &c->contact,
                 PAIRS("customer_id", idt(&c->s.customer), "name", "Li", "status", "active"));
    world_row_id(w, "visit", &c->visit,
                 PAIRS("customer_id", idt(&c->s.customer), "user_id", idt(&w->user), "kind",
                       "planned", "visit_date", "2023-11-14", "check_in_at", "2023-11-14T08:00:00Z",
                       "status", "open"));
    photo_put(c, '3');
}

static void sync_with(company *c, fb_db *db)
{
    fb_sync *sync = NULL;
    fb_sync_report report;
    world *w = c->w;
    OK(fb_sync_open(db, NULL, &sync, &w->err));
    OK(fb_sync_step(sync, &w->link, 0, &report, &w->err));
    fb_sync_close(sync);
}

static void other_syncs(company *c)
{
    page_of_turn(c);
    sync_with(c, c->other);
}

/* The server takes this phone for a copy: what was refused gets other numbers. */
static void other_is_reborn(company *c)
{
    c->w->status = 409;
    c->w->error_code = FB_E_FORK;
    c->w->applied = 0;
    world_company(c->w); /* the page begins anew */
    other_syncs(c);
}

static void other_discards(company *c)
{
    fb_order *o = NULL;
    world *w = c->w;
    OK(fb_order_open(c->other, &c->draft, &o, &w->err));
    OK(fb_order_discard(o, &w->err));
    fb_order_close(o);
}

/* --- what is read --------------------------------------------------------------------------- */

/* What it says, or why not. */
static char *said_of(company *c, fb_code rc, char *said)
{
    if (rc == FB_OK) {
        return said;
    }
    free(said);
    return strdup(c->w->err.message);
}

static char *read_command(company *c, const char *name, const char *key, const fb_id *id)
{
    char args[96] = "{}";
    char *json = NULL;
    if (id != NULL) {
        snprintf(args, sizeof args, "{\"%s\":\"%s\"}", key, idt(id));
    }
    fb_code rc = fb_command_run(c->w->db, name, args, &json, &c->w->err);
    return said_of(c, rc, json);
}

static char *read_360(company *c)
{
    return read_command(c, "customer.360", "customer", &c->s.customer);
}

static char *read_order(company *c)
{
    return read_command(c, "order.show", "order", &c->order);
}

static char *read_draft(company *c)
{
    return read_command(c, "order.show", "order", &c->kept);
}

static char *read_opened(company *c)
{
    fb_order *o = NULL;
    char *json = NULL;
    world *w = c->w;
    fb_code rc = fb_order_open(w->db, &c->kept, &o, &w->err);
    if (rc == FB_OK) {
        rc = fb_order_json(o, &json, &w->err);
    }
    fb_order_close(o);
    return said_of(c, rc, json);
}

/* A line is priced anew. */
static char *read_line(company *c)
{
    fb_order *o = NULL;
    char *json = NULL;
    world *w = c->w;
    OK(fb_order_open(w->db, &c->kept, &o, &w->err));
    fb_code rc = fb_order_line_set(o, 1, 1000, NULL, &w->err);
    if (rc == FB_OK) {
        rc = fb_order_json(o, &json, &w->err);
    }
    fb_order_close(o);
    return said_of(c, rc, json);
}

static char *read_tray(company *c)
{
    return read_command(c, "problem.list", NULL, NULL);
}

/* The request that would go out. */
static char *read_push(company *c)
{
    push_plan plan = {.wall_ms = NOW_MS};
    push_request sent;
    buf body, hex;
    world *w = c->w;
    buf_init(&body, 8 << 20);
    buf_init(&hex, 16 << 20);
    OK(push_build(w->db->r, &plan, &body, &sent, &w->err));
    hex_put(&hex, (const uint8_t *)body.data, body.size);
    char *said = strdup(buf_cstr(&hex));
    buf_clear(&body);
    buf_clear(&hex);
    return said;
}

static char *read_visit(company *c)
{
    return read_command(c, "visit.open", NULL, NULL);
}

static char *read_drafts(company *c)
{
    return read_command(c, "order.drafts", NULL, NULL);
}

static char *read_photo(company *c)
{
    world *w = c->w;
    fb_attachment_state s = {.size_bytes = sizeof s};
    char *said = malloc(128);
    assert_non_null(said);
    fb_code rc = fb_attachment_status(w->db, &c->photo, &s, &w->err);
    snprintf(said, 128, "%lld %lld", (long long)s.original.size, (long long)s.thumb.size);
    return said_of(c, rc, said);
}

static char *read_status(company *c)
{
    world *w = c->w;
    fb_status s = {.size_bytes = sizeof s};
    char *said = malloc(128);
    assert_non_null(said);
    fb_code rc = fb_status_get(w->db, &s, &w->err);
    snprintf(said, 128, "pending %lld rejected %lld head %lld", (long long)s.pending_count,
             (long long)s.rejected_count, (long long)s.head_cid);
    return said_of(c, rc, said);
}

/* --- before each round ---------------------------------------------------------------------- */

static void nothing_before(company *c)
{
    (void)c;
}

static void draft_before(company *c)
{
    fb_order *o = NULL;
    world *w = c->w;
    OK(fb_order_new(w->db, &c->s.customer, NULL, &o, &w->err));
    c->draft = *fb_order_id(o);
    fb_order_close(o);
}

static void task_before(company *c)
{
    world *w = c->w;
    OK(fb_task_add(w->db, "call them", NULL, NULL, &w->err));
}

/* One that will be refused. */
static void refusal_before(company *c)
{
    c->w->reject_with = FB_E_INVALID;
    task_before(c);
}

static fb_code give_up(void *ctx, const fb_problem *p)
{
    company *c = ctx;
    return fb_problem_discard(c->w->db, p->gseq, &c->w->err);
}

/* Two, of this life. */
static void problems_before(company *c)
{
    world *w = c->w;
    OK(fb_problem_each(w->db, give_up, c, &w->err));
    refusal_before(c);
    refusal_before(c);
    other_syncs(c);
}

static const struct {
    const char *why;
    void (*before)(company *c);
    char *(*read)(company *c);
    void (*meanwhile)(company *c);
    int statements; /* at least */
} READS[] = {
    {"everything about a customer", nothing_before, read_360, other_syncs, 12},
    {"an order and its lines", nothing_before, read_order, other_syncs, 4},
    {"the open visit", nothing_before, read_visit, other_syncs, 2},
    {"the drafts", draft_before, read_drafts, other_discards, 6},
    {"an attachment", nothing_before, read_photo, other_syncs, 4},
    {"a draft and what it costs", nothing_before, read_draft, other_syncs, 6},
    {"a draft that is opened", nothing_before, read_opened, other_syncs, 6},
    {"a line that is priced", nothing_before, read_line, other_syncs, 12},
    {"what is sent", task_before, read_push, other_syncs, 5},
    {"the status", refusal_before, read_status, other_syncs, 5},
    {"the tray", problems_before, read_tray, other_is_reborn, 3},
};

/* --- the loop ------------------------------------------------------------------------------- */

typedef struct moment {
    company *c;
    void (*meanwhile)(company *c);
    int in; /* statements */
} moment;

static int statement_begins(unsigned why, void *ctx, void *statement, void *text)
{
    moment *m = ctx;
    (void)why;
    (void)statement;
    (void)text;
    bool writes = sqlite3_txn_state(sql_handle(replica_sql(m->c->w->db->r)), "main") ==
                  SQLITE_TXN_WRITE; /* then the other one waits */
    if (!writes && --m->in == 0) {
        m->meanwhile(m->c);
    }
    return 0;
}

static bool read_once(company *c, size_t i, int in)
{
    moment m = {c, READS[i].meanwhile, in};
    sqlite3 *db = sql_handle(replica_sql(c->w->db->r));
    READS[i].before(c);
    char *before = READS[i].read(c);
    assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, statement_begins, &m), SQLITE_OK);
    char *said = READS[i].read(c);
    assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
    bool fired = m.in <= 0;
    if (!fired) { /* the next round begins where this one would have ended */
        READS[i].meanwhile(c);
    }
    char *after = READS[i].read(c);
    assert_string_not_equal(before, after);
    if (strcmp(said, before) != 0 && (!fired || strcmp(said, after) != 0)) {
        print_error("%s, before statement %d:\n%s\nwas %s\nis  %s\n", READS[i].why, in, said,
                    before, after);
        c->wrong++;
    }
    free(before);
    free(said);
    free(after);
    return fired;
}

static void company_make(company *c, world *w)
{
    fb_order *o = NULL;
    fb_db_options options = FB_DB_OPTIONS_INIT;
    *c = (company){.w = w, .s = world_shop(w)};
    fb_id *const ids[] = {&c->order, &c->line[0], &c->line[1], &c->visit, &c->contact, &c->photo};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        *ids[i] = id_make(&w->ids, NOW_MS);
    }
    OK(fb_order_new(w->db, &c->s.customer, NULL, &o, &w->err));
    OK(fb_order_line_add(o, &c->s.product, NULL, 1000, NULL, NULL, &w->err));
    c->kept = *fb_order_id(o);
    fb_order_close(o);
    options.port = &w->port;
    OK(fb_db_open(w->path, &options, &c->other, &w->err));
    w->backs_up = true; /* so groups are forgotten soon */
    w->reject_field = "task.title";
    other_syncs(c);
}

static void reading__sees_one_moment(void **state)
{
    company c;
    company_make(&c, *state);
    for (size_t i = 0; i < sizeof READS / sizeof READS[0]; i++) {
        int in = 1;
        while (read_once(&c, i, in)) {
            in++;
            assert_true(in < STATEMENTS_MAX);
        }
        if (in <= READS[i].statements) {
            fail_msg("%s: %d statements", READS[i].why, in - 1);
        }
    }
    assert_int_equal(c.wrong, 0);
    fb_db_close(c.other);
    world_reopen(c.w);
    assert_int_equal(fb_db_check(c.w->db, &c.w->err), FB_OK);
}

/* Marks of two moments contradict each other: here they are read after the other handle saved, and
 * while it synchronises. */
static bool marks_once(company *c, int in)
{
    moment m = {c, other_syncs, in};
    outbox_state o;
    world *w = c->w;
    sqlite3 *db = sql_handle(replica_sql(w->db->r));
    OK(outbox_state_get(w->db->r, &o));
    int64_t last = o.last + 1;
    OK(fb_task_add(c->other, "call them", NULL, NULL, &w->err));
    assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, statement_begins, &m), SQLITE_OK);
    OK(outbox_state_get(w->db->r, &o));
    assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
    if (o.last != last || o.acked != o.settled || o.acked != o.backed_up || o.acked < last - 1) {
        fail_msg("before statement %d: last %lld acked %lld settled %lld backed up %lld", in,
                 (long long)o.last, (long long)o.acked, (long long)o.settled,
                 (long long)o.backed_up);
    }
    sync_with(c, c->other);
    return m.in <= 0;
}

static void marks__are_of_one_moment(void **state)
{
    company c;
    int in = 1;
    company_make(&c, *state);
    while (marks_once(&c, in)) {
        in++;
    }
    assert_true(in > 20);
    fb_db_close(c.other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading__sees_one_moment, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(marks__are_of_one_moment, world_setup, world_teardown),
    };
    return cmocka_run_group_tests_name("reads_meanwhile", tests, NULL, NULL);
}

/* customer_view.c - everything about one customer in one JSON object (客户360). See
 * fieldbook/customer.h. */
#include <string.h>

#include "api/handle.h"

/* The lists of the object; ?1 is the customer. Money and times in the form of record.h come from
 * form_put_row, so the statements only choose ids, in the order they are shown. */
static const struct section {
    const char *key, *entity, *sql;
} SECTIONS[] = {
    {"contacts", "contact",
     "SELECT id FROM contact WHERE customer_id = ?1 AND status IS NOT 'left' ORDER BY is_primary "
     "DESC, id LIMIT 50"},
    {"addresses", "customer_address",
     "SELECT id FROM customer_address WHERE customer_id = ?1 ORDER BY kind DESC, id LIMIT 50"},
    {"orders", "sales_order",
     "SELECT id FROM sales_order WHERE customer_id = ?1 ORDER BY order_date DESC, id DESC LIMIT 5"},
    {"visits", "visit",
     "SELECT id FROM visit WHERE customer_id = ?1 ORDER BY check_in_at DESC, id DESC LIMIT 5"},
    {"activities", "activity",
     "SELECT id FROM activity WHERE customer_id = ?1 ORDER BY at DESC, id DESC LIMIT 5"},
    {"tasks", "task",
     "SELECT id FROM task WHERE customer_id = ?1 AND status IN ('todo', 'doing') ORDER BY due_at "
     "IS NULL, due_at, id "
     "LIMIT 50"},
    {"payments", "payment",
     "SELECT id FROM payment WHERE customer_id = ?1 ORDER BY payment_date DESC, id DESC LIMIT 5"},
};

typedef struct viewer {
    fb_db *db;
    const fb_id *customer;
    char id_text[FB_ID_TEXT_BYTES];
    arena *memory;
    json_writer w;
    fb_error *err;
} viewer;

static fb_code put_row_of(viewer *v, const char *entity, const fb_id *id)
{
    rec r;

    FB_TRY(rec_read(&r, v->db, entity, id, v->memory, v->err));
    form_put_row(&v->w, r.e, r.values, true);
    return v->w.out->code;
}

static fb_code put_section(viewer *v, const struct section *c)
{
    bool row = false;
    fb_code rc = FB_OK;
    sql_stmt *s = sql_prepare(replica_sql(v->db->r), c->sql);

    sql_bind_id(s, 1, v->customer);
    json_put_key(&v->w, c->key);
    json_put_array(&v->w);
    while ((rc = sql_step(s, &row)) == FB_OK && row) {
        fb_id id = sql_id(s, 0);
        if ((rc = put_row_of(v, c->entity, &id)) != FB_OK) {
            break;
        }
    }
    sql_reset(s);
    json_put_end(&v->w);
    return rc;
}

static void put_minor(json_writer *w, const char *key, int64_t minor)
{
    buf b;
    const cat_column money = {.name = {"m", 1}, .type = CAT_MINOR, .to_entity = -1};
    const cat_entity e = {.columns = (cat_column *)(uintptr_t)&money, .columns_count = 1};
    fb_value v = {.kind = FB_KIND_INT, .u.i = minor};

    buf_init(&b, 64);
    cat_value_print(&e, 0, &v, true, &b);
    json_put_key(w, key);
    json_put_string(w, buf_text(&b));
    buf_clear(&b);
}

static fb_code put_sum(viewer *v, const char *key, const char *sql)
{
    int64_t sum = 0;

    FB_TRY(api_read_int(v->db, sql, v->customer, 0, &sum));
    put_minor(&v->w, key, sum);
    return FB_OK;
}

static fb_code put_account(viewer *v)
{
    int64_t found = 0;

    if (catalog_entity_str(replica_catalog(v->db->r), "credit_account") == NULL) {
        return FB_OK;
    }
    FB_TRY(api_read_int(v->db, "SELECT count(*) FROM credit_account WHERE customer_id = ?1",
                        v->customer, 0, &found));
    if (found == 0) {
        return FB_OK;
    }
    FB_TRY(put_sum(v, "credit_limit",
                   "SELECT max(credit_limit) FROM credit_account WHERE customer_id = ?1"));
    return put_sum(v, "balance", "SELECT sum(balance) FROM credit_account WHERE customer_id = ?1");
}

/* ver is 0 until the server has taken a row: that is what the known balance does not hold yet. */
static fb_code put_balance(viewer *v)
{
    json_put_key(&v->w, "balance");
    json_put_object(&v->w);
    FB_TRY(put_account(v));
    FB_TRY(put_sum(v, "own_unsent_orders",
                   "SELECT sum(total) FROM sales_order WHERE customer_id = ?1 AND ver = 0 AND "
                   "status = 'submitted'"));
    FB_TRY(put_sum(v, "own_unsent_payments",
                   "SELECT sum(amount) FROM payment WHERE customer_id = ?1 AND ver = 0"));
    json_put_end(&v->w);
    return FB_OK;
}

/* A problem is about the customer when its group names it. */
static fb_code put_problem(void *ctx, const problem *p)
{
    viewer *v = ctx;

    if (memmem(p->body.data, p->body.size, v->id_text, FB_ID_TEXT_BYTES - 1) == NULL) {
        return FB_OK;
    }
    json_put_object(&v->w);
    json_put_key(&v->w, "gseq");
    json_put_int_string(&v->w, p->gseq);
    json_put_key(&v->w, "state");
    json_put_str(&v->w, problem_state_name(p->code));
    json_put_key(&v->w, "kind");
    json_put_string(&v->w, p->kind);
    json_put_key(&v->w, "text");
    json_put_string(&v->w, p->text_en);
    json_put_key(&v->w, "text_zh");
    json_put_string(&v->w, p->text_zh);
    json_put_end(&v->w);
    return v->w.out->code;
}

static fb_code put_view(viewer *v)
{
    json_put_object(&v->w);
    json_put_key(&v->w, "customer");
    FB_TRY(put_row_of(v, "customer", v->customer));
    for (size_t i = 0; i < sizeof SECTIONS / sizeof SECTIONS[0]; i++) {
        FB_TRY(put_section(v, &SECTIONS[i]));
    }
    FB_TRY(put_balance(v));
    json_put_key(&v->w, "problems");
    json_put_array(&v->w);
    FB_TRY(problem_each(v->db->r, put_problem, v));
    json_put_end(&v->w);
    json_put_end(&v->w);
    return v->w.out->code;
}

fb_code fb_customer_360(fb_db *db, const fb_id *customer, char **json_out, fb_error *err)
{
    buf out;

    FB_REQUIRE(db != NULL && customer != NULL && json_out != NULL);
    api_clear(err);
    fb_id stands = *customer; /* the lists name it too */
    FB_TRY(alias_of(db->r, &stands));
    viewer v = {.db = db, .customer = &stands, .memory = arena_new(CALL_BYTES_MAX), .err = err};
    id_put(&stands, v.id_text);
    buf_init(&out, JSON_OUT_BYTES_MAX);
    json_writer_init(&v.w, &out);
    bool own = false;
    fb_code rc = v.memory == NULL ? FB_E_NO_MEMORY : replica_view_begin(db->r, &own);
    if (rc == FB_OK) {
        rc = put_view(&v);
    }
    replica_view_end(db->r, own);
    if (rc == FB_OK) {
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    arena_free(v.memory);
    return api_said(db, rc, err);
}

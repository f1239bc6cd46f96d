/* table.c - see table.h. */
#include "perf/table.h"

#include <string.h>

static const char *const NAMES[TABLES] = {"customer", "product",     "price_list_item",
                                          "visit",    "sales_order", "sales_order_line"};

static void check(tables *t, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        bench_die("SQLite: %s", sqlite3_errmsg(t->db));
    }
}

void tables_run(tables *t, const char *sql)
{
    check(t, sqlite3_exec(t->db, sql, NULL, NULL, NULL));
}

/* ---------------------------------------------------------------- schema and statements */

static bool table_exists(tables *t, const char *name)
{
    sqlite3_stmt *s = NULL;
    check(t, sqlite3_prepare_v2(t->db, "SELECT 1 FROM sqlite_schema WHERE name=?1", -1, &s, NULL));
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    bool there = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_finalize(s);
    return there;
}

static void table_create(tables *t, const cat_entity *e, cat_side side)
{
    buf sql;
    buf_init(&sql, 1 << 20);
    catalog_table_sql(e, side, &sql);
    tables_run(t, buf_cstr(&sql));
    for (uint32_t i = 0; i < e->indexes_count; i++) {
        if (side == CAT_DEVICE && e->indexes[i].server_only) {
            continue;
        }
        buf_reset(&sql);
        catalog_index_sql(e, i, side, &sql);
        tables_run(t, buf_cstr(&sql));
    }
    buf_clear(&sql);
}

static void write_sql(const cat_entity *e, bool upsert, buf *sql)
{
    buf_printf(sql, "INSERT INTO %s (", e->name.data);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_printf(sql, "%s%s", i == 0 ? "" : ",", e->columns[i].name.data);
    }
    buf_put_str(sql, ") VALUES (");
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_put_str(sql, i == 0 ? "?" : ",?");
    }
    buf_put_str(sql, upsert ? ") ON CONFLICT (id) DO UPDATE SET " : ")");
    for (uint32_t i = 1; upsert && i < e->columns_count; i++) {
        buf_printf(sql, "%s%s=excluded.%s", i == 1 ? "" : ",", e->columns[i].name.data,
                   e->columns[i].name.data);
    }
}

static void read_sql(const cat_entity *e, buf *sql)
{
    buf_put_str(sql, "SELECT ");
    for (uint32_t i = 0; i < e->columns_count; i++) {
        buf_printf(sql, "%s%s", i == 0 ? "" : ",", e->columns[i].name.data);
    }
    buf_printf(sql, " FROM %s ORDER BY id", e->name.data);
}

static sqlite3_stmt *prepare(tables *t, buf *sql)
{
    sqlite3_stmt *s = NULL;
    check(t, sqlite3_prepare_v3(t->db, buf_cstr(sql), -1, SQLITE_PREPARE_PERSISTENT, &s, NULL));
    buf_reset(sql);
    return s;
}

void tables_open(tables *t, const catalog *cat, const tables_options *o)
{
    buf sql;
    *t = (tables){.cat = cat};
    if (sqlite3_open(o->path, &t->db) != SQLITE_OK) {
        bench_die("cannot open %s", o->path);
    }
    tables_run(t, "PRAGMA journal_mode=WAL");
    tables_run(t, o->sync_normal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
    buf_init(&sql, 1 << 20);
    tables_run(t, "BEGIN");
    for (int i = 0; i < TABLES; i++) {
        const cat_entity *e = catalog_entity_str(cat, NAMES[i]);
        t->t[i].entity = e;
        if (!table_exists(t, NAMES[i])) {
            table_create(t, e, o->side);
        }
        write_sql(e, o->upsert, &sql);
        t->t[i].write = prepare(t, &sql);
        read_sql(e, &sql);
        t->t[i].read = prepare(t, &sql);
    }
    tables_run(t, "COMMIT");
    buf_clear(&sql);
}

void tables_close(tables *t)
{
    for (int i = 0; i < TABLES; i++) {
        sqlite3_finalize(t->t[i].write);
        sqlite3_finalize(t->t[i].read);
    }
    check(t, sqlite3_close(t->db));
}

/* ---------------------------------------------------------------- rows */

static table *table_of(const tables *t, const cat_entity *e)
{
    for (int i = 0; i < TABLES; i++) {
        if (t->t[i].entity == e) {
            return (table *)(uintptr_t)&t->t[i];
        }
    }
    bench_die("the floor has no table %s", e->name.data);
}

static void bind(sqlite3_stmt *s, int i, const fb_value *v)
{
    if (v->kind == FB_KIND_INT) {
        sqlite3_bind_int64(s, i, v->u.i);
    } else if (v->kind == FB_KIND_TEXT) {
        sqlite3_bind_text(s, i, v->u.text.data, (int)v->u.text.size, SQLITE_STATIC);
    } else {
        sqlite3_bind_blob(s, i, v->u.id.b, (int)sizeof v->u.id.b, SQLITE_STATIC);
    }
}

static void step_write(tables *t, sqlite3_stmt *s)
{
    check(t, sqlite3_step(s));
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

void tables_write(tables *t, const gen_row *row)
{
    sqlite3_stmt *s = table_of(t, row->entity)->write;
    for (uint32_t i = 0; i < row->count; i++) {
        bind(s, row->columns[i] + 1, &row->values[i]);
    }
    step_write(t, s);
}

uint32_t tables_seed(tables *t, gen *g)
{
    const gen_size *size = gen_size_of(g);
    tables_run(t, "BEGIN");
    for (uint32_t i = 0; i < size->customers; i++) {
        gen_row row = gen_customer(g, i);
        tables_write(t, &row);
    }
    for (uint32_t i = 0; i < size->products; i++) {
        gen_row row = gen_product(g, i);
        tables_write(t, &row);
    }
    for (uint32_t i = 0; i < gen_prices(size); i++) {
        gen_row row = gen_price(g, i);
        tables_write(t, &row);
    }
    tables_run(t, "COMMIT");
    return size->customers + size->products + gen_prices(size);
}

/* ---------------------------------------------------------------- packed rows */

static void put_varint(buf *out, uint64_t v)
{
    char bytes[10];
    size_t n = 0;
    for (; v >= 128; v >>= 7) {
        bytes[n++] = (char)(v | 128);
    }
    bytes[n++] = (char)v;
    buf_put(out, bytes, n);
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v < 0 ? -1 : 0);
}

static void put_value(buf *out, const fb_value *v)
{
    if (v->kind == FB_KIND_INT) {
        put_varint(out, zigzag(v->u.i));
    } else if (v->kind == FB_KIND_TEXT) {
        put_varint(out, v->u.text.size);
        buf_put_text(out, v->u.text);
    } else {
        buf_put(out, v->u.id.b, sizeof v->u.id.b);
    }
}

static uint8_t *put_head(buf *out, size_t number, const cat_entity *e)
{
    size_t bits = (e->columns_count + 7) / 8;
    char *head = buf_reserve(out, 1 + bits);
    if (head == NULL) {
        bench_die("a block of rows is too large");
    }
    head[0] = (char)number;
    memset(head + 1, 0, bits);
    out->size += 1 + bits;
    return (uint8_t *)head + 1;
}

void row_pack(buf *out, const tables *t, const gen_row *row)
{
    uint8_t *bits = put_head(out, (size_t)(table_of(t, row->entity) - t->t), row->entity);
    for (uint32_t i = 0; i < row->count; i++) {
        bits[row->columns[i] / 8] = (uint8_t)(bits[row->columns[i] / 8] | 1 << row->columns[i] % 8);
    }
    for (uint32_t i = 0; i < row->count; i++) {
        put_value(out, &row->values[i]);
    }
}

static void read_value(sqlite3_stmt *s, int i, buf *out)
{
    int type = sqlite3_column_type(s, i);
    if (type == SQLITE_INTEGER) {
        put_varint(out, zigzag(sqlite3_column_int64(s, i)));
    } else if (type == SQLITE_TEXT) {
        const void *text = sqlite3_column_text(s, i);
        size_t size = (size_t)sqlite3_column_bytes(s, i);
        put_varint(out, size);
        buf_put(out, text, size);
    } else {
        buf_put(out, sqlite3_column_blob(s, i), sizeof(fb_id));
    }
}

static void row_read(const table *one, size_t number, buf *out)
{
    size_t at = out->size + 1;
    (void)put_head(out, number, one->entity);
    for (uint32_t i = 0; i < one->entity->columns_count; i++) {
        if (sqlite3_column_type(one->read, (int)i) != SQLITE_NULL) {
            out->data[at + i / 8] = (char)(out->data[at + i / 8] | 1 << i % 8);
            read_value(one->read, (int)i, out);
        }
    }
}

void tables_each(tables *t, size_t block_bytes, buf *out, table_block_fn fn, void *ctx)
{
    uint32_t rows = 0;
    for (size_t i = 0; i < TABLES; i++) {
        int rc = 0;
        while ((rc = sqlite3_step(t->t[i].read)) == SQLITE_ROW) {
            row_read(&t->t[i], i, out);
            rows++;
            if (out->size >= block_bytes) {
                fn(ctx, out, rows);
                rows = 0;
            }
        }
        check(t, rc);
        sqlite3_reset(t->t[i].read);
    }
    fn(ctx, out, rows);
}

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static const uint8_t *take(cursor *c, size_t size)
{
    if ((size_t)(c->end - c->at) < size) {
        bench_die("a packed row is cut short");
    }
    const uint8_t *at = c->at;
    c->at += size;
    return at;
}

static uint64_t take_varint(cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *take(c, 1);
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            break;
        }
    }
    return v;
}

static void bind_packed(cursor *c, sqlite3_stmt *s, int i, cat_type type)
{
    fb_kind kind = cat_kind(type);
    if (kind == FB_KIND_INT) {
        uint64_t v = take_varint(c);
        sqlite3_bind_int64(s, i, (int64_t)(v >> 1) ^ -(int64_t)(v & 1));
    } else if (kind == FB_KIND_TEXT) {
        size_t size = (size_t)take_varint(c);
        sqlite3_bind_text(s, i, (const char *)take(c, size), (int)size, SQLITE_STATIC);
    } else {
        sqlite3_bind_blob(s, i, take(c, sizeof(fb_id)), (int)sizeof(fb_id), SQLITE_STATIC);
    }
}

uint32_t rows_write_packed(tables *t, const void *data, size_t size)
{
    cursor c = {data, (const uint8_t *)data + size};
    uint32_t rows = 0;
    for (; c.at < c.end; rows++) {
        uint8_t number = *take(&c, 1);
        if (number >= TABLES) {
            bench_die("a packed row names no table");
        }
        const table *one = &t->t[number];
        const uint8_t *bits = take(&c, (one->entity->columns_count + 7) / 8);
        for (uint32_t i = 0; i < one->entity->columns_count; i++) {
            if ((bits[i / 8] >> i % 8 & 1) != 0) {
                bind_packed(&c, one->write, (int)i + 1, one->entity->columns[i].type);
            }
        }
        step_write(t, one->write);
    }
    return rows;
}

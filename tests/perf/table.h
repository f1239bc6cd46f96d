/* table.h - the floor's database: the product's tables and indexes, and nothing beside them.
 *
 * Bare SQLite: WAL, prepared statements, one transaction at a time. The packed form of a row is
 *   table (1 byte) | one bit per column that is there | values in column order
 * where an integer is a zigzag varint, a text varint length and bytes, an id its 16 bytes. */
#ifndef FB_BENCH_TABLE_H
#define FB_BENCH_TABLE_H

#include <sqlite3.h>

#include "perf/gen.h"

enum { TABLES = 6 };

typedef struct table {
    const cat_entity *entity;
    sqlite3_stmt *write, *read;
} table;

typedef struct tables {
    sqlite3 *db;
    const catalog *cat;
    table t[TABLES];
} tables;

typedef struct tables_options {
    const char *path;
    cat_side side;
    bool upsert;      /* else bare INSERT */
    bool sync_normal; /* else FULL */
} tables_options;

/* Opens, makes what is missing, prepares. Dies on failure, like all below. */
void tables_open(tables *t, const catalog *cat, const tables_options *o);
void tables_close(tables *t);
void tables_run(tables *t, const char *sql);
void tables_write(tables *t, const gen_row *row);
/* All tables, all rows in the order of ids: master data first. fn gets the packed row appended to
 * `out`, and is called when it has grown beyond `block_bytes`, and once at the end. */
typedef void (*table_block_fn)(void *ctx, buf *out, uint32_t rows);
void tables_each(tables *t, size_t block_bytes, buf *out, table_block_fn fn, void *ctx);
/* Customers, products and prices. Returns the rows written. */
uint32_t tables_seed(tables *t, gen *g);

void row_pack(buf *out, const tables *t, const gen_row *row);
/* Reads packed rows and writes them with the prepared statements. Returns how many. */
uint32_t rows_write_packed(tables *t, const void *data, size_t size);

#endif

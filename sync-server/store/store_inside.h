/* store_inside.h - what the files of this room share; nobody else includes it. */
#ifndef FB_STORE_STORE_INSIDE_H
#define FB_STORE_STORE_INSIDE_H

#include "sql/sql.h"
#include "sync-server/store/store.h"

enum { ROW_UPDATES_MAX = 24 };

/* The statements of one entity, prepared when first used. */
typedef struct row_plan {
    sql_stmt *get, *keys, *exists, *ver, *insert, *remove;
    struct row_plan *next_view; /* list of plans whose get or keys may stand on a row */
    bool in_views;
    sql_stmt **by;      /* per column: whole rows */
    sql_stmt **keys_by; /* per column: key columns */
    int *key_columns;   /* columns the scope rules name */
    uint32_t keys_count;
    struct row_update { /* one per list of columns; beyond the maximum the whole row is written */
        sql_stmt *stmt;
        int *columns;
        uint32_t count;
    } updates[ROW_UPDATES_MAX];
    uint32_t updates_count;
} row_plan;

struct store_stmt {
    store *store;
    sql_stmt *sql; /* NULL: never asked for */
};

struct store {
    sql_db *db;
    sql_db *reports; /* read-only connection for people's queries, opened when first needed */
    char *path;
    const char *vfs;
    bool read_only,
        installed; /* installed: the catalogue was changed inside the open transaction */
    store_stmt stmts[STORE_NAMES];
    catalog *catalog;
    arena *plans_memory;
    row_plan *plans;              /* by entity->number */
    row_plan *views;              /* a statement standing on a row would outlive its snapshot */
    int64_t *number_of;           /* by entity->number */
    const cat_entity **entity_of; /* by fs_entity.number */
    int64_t entity_of_count;
    uint64_t stamp;
    int64_t data_version;
    void *rooms[STORE_ROOMS];
    void (*release[STORE_ROOMS])(void *state);
    fb_code (*flush[STORE_ROOMS])(store *s);
    uint64_t undos;
};

extern const char *const store_schema_steps[];
extern const int store_schema_steps_count;

/* store_row.c: end every borrowed row; before a transaction ends. */
void store_views_end(store *s);
/* store_catalog.c */
FB_MUST_USE fb_code store_catalog_use(store *s, catalog *take);
FB_MUST_USE fb_code store_catalog_load(store *s, fb_error *err);
void store_catalog_drop(store *s);

#endif

/* handle.h - what the files of core/api share; nobody else includes it.
 *
 *   db.c        the handle, groups, ids       rec.c      one row, column by column
 *   form.c      values as JSON and back       record.c   any record     entity.c  the catalogue
 *   query.c     read-only SQL                 export.c   a plain file
 *   customer.c, customer_view.c, find.c, distance.c      visit.c  activity.c  task.c  payment.c
 *   order.c     the draft; order_price.c  what it costs; order_draft.c  as JSON; order_submit.c
 *   problem.c, problem_patch.c, problem_order.c   status.c   observe.c   sync.c   enrol.c
 *   command.c   everything by name, with command_args.c and command_ops.c
 *
 * Invariants
 *   API-1  a call that fails outside a group changed nothing; inside a group it aborts the group
 *   API-2  *err is filled whenever a call fails and the caller gave one */
#ifndef FB_API_HANDLE_H
#define FB_API_HANDLE_H

#include "base/check.h"
#include "base/text.h"
#include "fieldbook/fieldbook.h"
#include "replica/replica.h"
#include "wire/json.h"

enum {
    OBSERVERS_MAX = 64,
    CALL_BYTES_MAX = 64 << 20, /* memory one call may take for texts */
    JSON_OUT_BYTES_MAX = 16 << 20,
    FUTURE_MS_MAX = 10 * 60 * 1000
};

typedef struct observer {
    uint32_t id; /* 0: free */
    int entity;  /* -1: any */
    fb_observe_fn fn;
    void *ctx;
} observer;

struct fb_db {
    replica *r;
    const fb_port *port;
    char *path, *vfs;
    sql_db *reader; /* restricted connection for user queries; NULL until used */
    bool read_only, snapshot;
    int32_t tz_offset_min;
    bool group_open, group_failed;
    int64_t group_at_ms;
    fb_id group_visit, group_visit_customer, group_order,
        group_customer; /* last ones made in the group */
    observer observers[OBSERVERS_MAX];
    uint32_t observer_last_id;
    int64_t observed_stamp;
};

/* --- db.c ------------------------------------------------------------------------------------- */

/* Every call begins by emptying *err and ends with api_said, which fills it when a room below did
 * not (API-2). */
void api_clear(fb_error *err);
fb_code api_said(fb_db *db, fb_code rc, fb_error *err);

/* Copy an options struct of any version over the defaults in *dst. E_MISUSE: no size in it. */
FB_MUST_USE fb_code options_copy(void *dst, size_t dst_size, const void *src);

/* A writing call: joins the open group or makes one of its own. */
typedef struct api_write {
    fb_db *db;
    bool own;
    int64_t at_ms; /* when it happened: the call's time, else the group's, else now */
} api_write;
FB_MUST_USE fb_code write_begin(fb_db *db, const char *kind, int64_t at_ms, api_write *w,
                                fb_error *err);
/* Commit or roll back what write_begin opened; rc: how the call went so far. Keeps API-1. */
fb_code write_end(api_write *w, fb_code rc, int64_t *gseq_out, fb_error *err);

/* The person and device; E_AUTH before enrolment. The token is left out. */
typedef struct api_person {
    fb_id user, device, territory; /* territory: the person's first one, or none */
    char device_code[16];
} api_person;
FB_MUST_USE fb_code api_person_get(fb_db *db, api_person *out, fb_error *err);

/* A fresh identity; its time is that of the making, not of what it is about. */
fb_id api_id(fb_db *db);
/* The heap text of b, terminated, for a json_out; NULL when out of memory. */
FB_MUST_USE fb_code api_text_out(buf *b, char **out);
/* Entity by name: E_NOT_FOUND with the name as field. */
FB_MUST_USE fb_code api_entity(fb_db *db, const char *name, const cat_entity **out, fb_error *err);
/* Run `sql` on the replica's connection with one id and read an integer; `otherwise` when no row.
 */
FB_MUST_USE fb_code api_read_int(fb_db *db, const char *sql, const fb_id *id, int64_t otherwise,
                                 int64_t *out);
/* A setting as it binds the person: their own, their role's, the global one; else empty, or
 * `otherwise`. */
FB_MUST_USE fb_code api_setting(fb_db *db, const char *key, buf *out);
FB_MUST_USE fb_code api_setting_int(fb_db *db, const char *key, int64_t otherwise, int64_t *out);

/* --- day.c ------------------------------------------------------------------------------------ */
enum { DAY_TEXT_BYTES = 11 };
/* The business date of an instant in the handle's zone: "YYYY-MM-DD", terminated. */
void day_of(const fb_db *db, int64_t at_ms, char out[DAY_TEXT_BYTES]);
/* ISO instant, date (noon of that day in the handle's zone) or digits (milliseconds). */
bool instant_parse(const fb_db *db, fb_text text, int64_t *out_ms);
/* "2026-11-22T08:00:00.000Z" */
void instant_print(int64_t at_ms, buf *out);
/* E_FUTURE when at_ms is more than ten minutes ahead of the corrected clock. */
FB_MUST_USE fb_code not_in_future(fb_db *db, int64_t at_ms, const char *field, fb_error *err);

/* --- rec.c: one row, column by column --------------------------------------------------------- */

/* Values stand in catalogue order. A wrong column name sticks as E_CATALOG and comes out at insert.
 */
typedef struct rec {
    fb_db *db;
    const cat_entity *e;
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_code code;
    char wrong[64];
} rec;

void rec_new(rec *r, fb_db *db, const char *entity);     /* fresh id */
void rec_text(rec *r, const char *column, fb_text v);    /* empty: null; borrowed */
void rec_str(rec *r, const char *column, const char *v); /* NULL or "": null */
void rec_int(rec *r, const char *column, int64_t v);
void rec_id(rec *r, const char *column, const fb_id *v); /* none: null */
FB_MUST_USE fb_code rec_insert(rec *r, fb_error *err);
FB_MUST_USE fb_code rec_read(rec *r, fb_db *db, const char *entity, const fb_id *id, arena *memory,
                             fb_error *err);
fb_text rec_get_text(const rec *r, const char *column); /* empty when null */
int64_t rec_get_int(const rec *r, const char *column, int64_t otherwise);
fb_id rec_get_id(const rec *r, const char *column); /* none when null */

/* A change of some columns of one row. */
typedef struct change {
    fb_db *db;
    const cat_entity *e;
    int columns[CATALOG_COLUMNS_LIMIT];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    uint32_t count;
    fb_code code;
    char wrong[64];
} change;

void change_new(change *c, fb_db *db, const char *entity);
void change_text(change *c, const char *column, fb_text v);
void change_str(change *c, const char *column, const char *v); /* NULL: left out */
void change_int(change *c, const char *column, int64_t v);
FB_MUST_USE fb_code change_apply(change *c, const fb_id *id, fb_error *err);

/* --- form.c: values as JSON ------------------------------------------------------------------- */
void form_put(json_writer *w, const cat_entity *e, int column, const fb_value *v);
/* Every value but null in the JSON form as a text; new texts live in `memory`. */
FB_MUST_USE fb_code form_values_text(const cat_entity *e, fb_value *values, arena *memory);
/* Whole row as an object; columns that are null are left out when `sparse`. */
void form_put_row(json_writer *w, const cat_entity *e, const fb_value *values, bool sparse);
/* Take one JSON value as a value of the column; text lives in the reader's text or `memory`. */
FB_MUST_USE fb_code form_get(fb_db *db, json_reader *r, const cat_entity *e, int column,
                             arena *memory, fb_value *out, fb_error *err);
/* Text a person wrote as a value of the column. */
FB_MUST_USE fb_code form_parse(fb_db *db, fb_text text, const cat_entity *e, int column,
                               arena *memory, fb_value *out, fb_error *err);
/* An object of columns into `values` (columns_count, null first) and `given` flags. */
FB_MUST_USE fb_code form_get_row(fb_db *db, fb_text json, const cat_entity *e, arena *memory,
                                 fb_value *values, bool *given, fb_error *err);
/* Rows of a statement as an array of objects: integers as numbers, ids and texts as strings. */
FB_MUST_USE fb_code form_put_rows(json_writer *w, sql_stmt *s);

/* --- query.c: the restricted read connection, opened at its first use --- */
FB_MUST_USE fb_code api_reader(fb_db *db, sql_db **out, fb_error *err);

/* --- problem.c ----------------------------------------------------------------------------------
 */
const char *problem_state_name(verdict_code v);

/* --- customer.c ----------------------------------------------------------------------------------
 */
typedef struct api_customer {
    fb_id id, territory, price_list;
    char status[24], grade[8], channel[24], payment_term[64];
} api_customer;
FB_MUST_USE fb_code api_customer_get(fb_db *db, const fb_id *id, api_customer *out, fb_error *err);
FB_MUST_USE fb_code lookup_by_key(fb_db *db, const char *entity, fb_text key_or_id, fb_id *out,
                                  fb_error *err);

/* --- visit.c -------------------------------------------------------------------------------------
 */
/* The visit that an order, a payment, a call belongs to: the one checked in within the open group,
 * else the person's open visit at this customer around that time, else none. */
FB_MUST_USE fb_code visit_for(fb_db *db, const fb_id *customer, int64_t at_ms, fb_id *out);

#endif

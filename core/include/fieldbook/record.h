/* record.h - any record of any entity, by its name in the catalogue.
 *
 * Two exchange forms:
 *   values  fb_value arrays beside column names, in storage units (minor units, 1/10000, 1/1000,
 *           basis points, milliseconds), for C programs
 *   JSON    an object {"column": value}, for bindings and tools: ids as text, money, prices and
 *           quantities as decimal strings ("12.50"), percentages as strings of percent ("7.5"),
 *           64-bit integers as strings, 32-bit integers as numbers, instants as
 *           "2026-11-22T08:00:00.000Z", booleans as true or false, absent values as null. Read
 *           are also plain numbers, instants as milliseconds, and a code where a ref is meant
 * Typed nouns (customer.h, visit.h, order.h ...) add logic on top; they write the same rows.
 * Threads: as fb_db. */
#ifndef FIELDBOOK_RECORD_H
#define FIELDBOOK_RECORD_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One row as lent to a callback: columns_count names (terminated) and values. Borrowed for the
 * call. */
typedef struct fb_row {
    uint32_t columns_count;
    const char *const *names;
    const fb_value *values;
} fb_row;

/* Called once per row. Anything but FB_OK ends the walk and is returned by the walking call. The
 * callback may read through the same handle but must not write. */
typedef fb_code (*fb_row_fn)(void *ctx, const fb_row *row);

typedef enum fb_form {
    FB_FORM_RAW = 0, /* storage units, ids as FB_KIND_ID */
    FB_FORM_TEXT = 1 /* every value as FB_KIND_TEXT as in the JSON form, or FB_KIND_NULL */
} fb_form;

/* Lend the record to `fn` once. FB_E_NOT_FOUND: no such entity (err->field names it) or no such
 * record on this device. */
FB_API FB_MUST_USE fb_code fb_record_get(fb_db *db, const char *entity, const fb_id *id,
                                         fb_form form, fb_row_fn fn, void *ctx, fb_error *err);

/* Lend every record of the entity to `fn`, in the order of ids, in one snapshot. A group that is
 * open on this handle is not visible here until it is committed. */
FB_API FB_MUST_USE fb_code fb_record_each(fb_db *db, const char *entity, fb_form form, fb_row_fn fn,
                                          void *ctx, fb_error *err);

/* The values of one write. `columns` and `values` have `count` entries and are borrowed for the
 * call. */
typedef struct fb_record_change {
    const char *const *columns;
    const fb_value *values;
    uint32_t count;
} fb_record_change;

/* Insert a record: a group of its own, or part of the open one. *id_out (may be NULL) receives its
 * id: the one given in a column "id", or a new one. Defaults, stamps and derived columns are filled
 * in. FB_E_INVALID, FB_E_REQUIRED, FB_E_RANGE, FB_E_ENUM, FB_E_LENGTH, FB_E_FORMAT, FB_E_REFERENCE:
 * err->field = "entity.column". FB_E_FORBIDDEN: not with this role. FB_E_EXISTS: the id is taken.
 * FB_E_DISK_FULL. After every failure nothing changed. */
FB_API FB_MUST_USE fb_code fb_record_insert(fb_db *db, const char *entity,
                                            const fb_record_change *change, fb_id *id_out,
                                            fb_error *err);

/* Change columns of a record; columns that hold the value already are left out. FB_E_NOT_FOUND;
 * FB_E_GUARDED: the column changes through fb_customer_update or a change_request; FB_E_STATE: the
 * step is not allowed, or the record is sealed; otherwise as fb_record_insert. */
FB_API FB_MUST_USE fb_code fb_record_update(fb_db *db, const char *entity, const fb_id *id,
                                            const fb_record_change *change, fb_error *err);

/* Delete a record. FB_E_NOT_FOUND; FB_E_FORBIDDEN: facts are never deleted, they are cancelled. */
FB_API FB_MUST_USE fb_code fb_record_delete(fb_db *db, const char *entity, const fb_id *id,
                                            fb_error *err);

/* Add `difference` (storage units, may be negative) to a counter column. FB_E_INVALID: the column
 * is no counter. */
FB_API FB_MUST_USE fb_code fb_record_add(fb_db *db, const char *entity, const fb_id *id,
                                         const char *column, int64_t difference, fb_error *err);

/* Set *json_out to the record in JSON form; ends with fb_string_free. */
FB_API FB_MUST_USE fb_code fb_record_get_json(fb_db *db, const char *entity, const fb_id *id,
                                              char **json_out, fb_error *err);

/* Insert or change: an object whose "id" is on this device changes that record, any other inserts
 * one. `json` is terminated and borrowed for the call. FB_E_JSON: not strict JSON, or not an
 * object; FB_E_INVALID with err->field: an unknown column. */
FB_API FB_MUST_USE fb_code fb_record_put_json(fb_db *db, const char *entity, const char *json,
                                              fb_id *id_out, fb_error *err);

/* --- the catalogue
 * --------------------------------------------------------------------------------- */

typedef struct fb_column {
    fb_text name, label_en, label_zh;
    fb_text type; /* "text" "enum" "date" "json" "bool" "int32" "bp" "e7" "int64" "minor" "price"
                     "milli" "instant" "ref" "id" */
    fb_text to;   /* ref: the entity it names, else empty */
    bool required, personal, guarded, derived;
} fb_column;

typedef struct fb_entity {
    fb_text name, module, label_en, label_zh;
    bool device_writes;
    uint32_t columns_count;
    const fb_column *columns;
} fb_entity;

typedef fb_code (*fb_entity_fn)(void *ctx, const fb_entity *entity);

/* Lend every entity of the active catalogue to `fn`, in the order of the catalogue. */
FB_API FB_MUST_USE fb_code fb_entity_each(fb_db *db, fb_entity_fn fn, void *ctx, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif

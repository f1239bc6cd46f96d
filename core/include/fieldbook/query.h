/* query.h - read-only SQL over the person's own data.
 *
 * The tables are the entities of the catalogue. Nothing can be written, attached or reached beside
 * them; internal tables are out of reach. Threads: as fb_db. */
#ifndef FIELDBOOK_QUERY_H
#define FIELDBOOK_QUERY_H

#include "fieldbook/record.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Run one SELECT and lend each row to `fn`. Values come in storage units: FB_KIND_INT,
 * FB_KIND_TEXT, FB_KIND_NULL; ids come as text. `params_json` (NULL: none) is a JSON array for ?1,
 * ?2 ...: null, integers, true and false as 1 and 0, texts; a text that has the form of an id is
 * bound as an id; {"text": "..."} is always a text. A group that is open on this handle is not
 * visible here until it is committed. FB_E_INVALID: err->message holds SQLite's words; also for
 * more than one statement, and for one that writes or reaches beyond the entities. FB_E_JSON: the
 * parameters. */
FB_API FB_MUST_USE fb_code fb_query(fb_db *db, const char *sql, const char *params_json,
                                    fb_row_fn fn, void *ctx, fb_error *err);

/* The same, as JSON: an array of objects; at most 16 MiB, else FB_E_LIMIT. Ends with
 * fb_string_free. */
FB_API FB_MUST_USE fb_code fb_query_json(fb_db *db, const char *sql, const char *params_json,
                                         char **json_out, fb_error *err);

/* Hold one snapshot: fb_query and fb_record_each see one state until fb_snapshot_end, whatever is
 * written meanwhile. FB_E_STATE: one is held already. Keep it short: the file cannot shrink
 * meanwhile. */
FB_API FB_MUST_USE fb_code fb_snapshot_begin(fb_db *db, fb_error *err);
FB_API void fb_snapshot_end(fb_db *db);

#ifdef __cplusplus
}
#endif
#endif

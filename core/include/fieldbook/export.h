/* export.h - everything this device may see, as a plain file for other tools. */
#ifndef FIELDBOOK_EXPORT_H
#define FIELDBOOK_EXPORT_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_export_report {
    uint32_t entities_count;
    int64_t rows_count;
} fb_export_report;

/* Write a new SQLite file at `path` (which must not exist: FB_E_EXISTS) with one table per entity:
 * ids as text, numbers in storage units as INTEGER, in one snapshot. *report_out may be NULL. After
 * a failure the file is incomplete and should be removed. CSV and NDJSON: see fb_record_each. */
FB_API FB_MUST_USE fb_code fb_export_sqlite(fb_db *db, const char *path,
                                            fb_export_report *report_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif

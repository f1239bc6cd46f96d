/* csv.h - RFC 4180 text, read strictly and written safely.
 *
 * Reading: fields separated by commas, records by LF or CRLF, quotes doubled inside quotes, line
 * feeds inside quotes allowed, an optional byte order mark at the start. Anything doubtful (a quote
 * inside a bare field, text after a closing quote, an open quote at the end, invalid UTF-8) stops
 * with the line number (CSV-1). Writing: quotes where needed; csv_put_safe also puts an apostrophe
 * before = + - @ TAB CR, so that a spreadsheet does not run a customer's name (ASVS 1.2.10). */
#ifndef FB_BASE_CSV_H
#define FB_BASE_CSV_H

#include "base/bytes.h"

enum { CSV_FIELDS_MAX = 256 };

typedef struct csv_reader {
    const char *at, *end;
    uint32_t line; /* line of the record last read, from 1 */
    uint32_t next_line;
    const char *why; /* reason of a failure, NULL otherwise */
    arena *memory;   /* fields with doubled quotes are copied here */
} csv_reader;

void csv_reader_init(csv_reader *r, fb_text text, arena *memory);
/* Next record into fields[CSV_FIELDS_MAX]; *count 0 at the end of the text. Fields are borrowed
 * from the text or the arena. E_FORMAT with r->line and r->why; E_LIMIT for too many fields. */
FB_MUST_USE fb_code csv_next(csv_reader *r, fb_text *fields, uint32_t *count);

/* One field; the caller puts the commas and ends the record with "\r\n". */
void csv_put(buf *out, fb_text field);
void csv_put_safe(buf *out, fb_text field);

#endif

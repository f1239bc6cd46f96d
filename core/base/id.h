/* id.h - identities: UUIDv7 that sort by time and compress well.
 *
 *   48 bits milliseconds | version 7 | 12 bits counter | variant | 62 bits of the source
 * The source's 62 bits are random, drawn once when the maker is opened, so ids of one handle
 * share their tail; (ms, counter) never repeats within a maker, whatever the clock does (ID-1). */
#ifndef FB_BASE_ID_H
#define FB_BASE_ID_H

#include "base/bytes.h"

typedef struct id_maker {
    uint64_t ms;      /* last millisecond used */
    uint32_t counter; /* last counter used within it */
    uint8_t tail[8];  /* variant and 62 random bits */
} id_maker;

void id_maker_init(id_maker *m, const uint8_t random[8]);
fb_id id_make(id_maker *m, int64_t wall_ms);
void id_put(const fb_id *id, char out[FB_ID_TEXT_BYTES]);
bool id_get(fb_text text, fb_id *out); /* strict: 36 characters, lower case */
bool id_equal(const fb_id *a, const fb_id *b);
bool id_is_none(const fb_id *id);
int id_compare(const fb_id *a, const fb_id *b);

#endif

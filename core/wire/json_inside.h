/* json_inside.h - what the files of the JSON reader and writer share; nobody else includes it. */
#ifndef FB_WIRE_JSON_INSIDE_H
#define FB_WIRE_JSON_INSIDE_H

#include "wire/json.h"

/* Tests of eight bytes at once: a set high bit marks a byte that fits; the lowest mark is always a
 * true one, higher ones may be false. */
#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
#define HAS_ZERO(v) (((v)-ONES) & ~(v))

/* Takes the string whose opening quote stands at r->at. */
fb_text json_string_take(json_reader *r);

#endif

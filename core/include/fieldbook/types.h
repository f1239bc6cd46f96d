/* types.h - the few plain types that every header shares. */
#ifndef FIELDBOOK_TYPES_H
#define FIELDBOOK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Identity of a record: UUIDv7, made on the device; text form is lower-case hyphenated.
 * All bytes zero means "none". */
typedef struct fb_id {
    uint8_t b[16];
} fb_id;

#define FB_ID_TEXT_BYTES 37 /* 36 characters and the terminator */

/* A borrowed run of UTF-8 bytes; not terminated, may be {NULL, 0}. */
typedef struct fb_text {
    const char *data;
    size_t size; /* bytes */
} fb_text;

typedef enum fb_kind {
    FB_KIND_NULL = 0,
    FB_KIND_INT = 1,  /* every number: minor units, 1/10000, 1/1000, basis points, milliseconds */
    FB_KIND_TEXT = 2, /* UTF-8 */
    FB_KIND_ID = 3    /* 16-byte identity */
} fb_kind;

/* One value of one column. Text is borrowed; how long is said where a value is returned. */
typedef struct fb_value {
    fb_kind kind;
    union {
        int64_t i;
        fb_text text;
        fb_id id;
    } u;
} fb_value;

#ifdef __cplusplus
}
#endif
#endif

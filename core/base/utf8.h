/* utf8.h - the one definition of strict UTF-8, inline for the scanners of text.c and wire/json. */
#ifndef FB_BASE_UTF8_H
#define FB_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character that starts at `at` (at < end), which is not ASCII; 0 when it is none:
 * no overlong form, no surrogate, nothing above U+10FFFF, not cut short. */
static inline size_t utf8_wide_size(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (p[0] >= 0xE1 && p[0] <= 0xEC && left >= 3) { /* most Chinese text */
        return (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80 ? 3 : 0;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < 2 || (p[1] & 0xC0) != 0x80) {
        return 0;
    }
    if (p[0] < 0xE0) {
        return 2;
    }
    if (left < 3 || (p[2] & 0xC0) != 0x80) {
        return 0;
    }
    if (p[0] < 0xF0) {
        return (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ? 0 : 3;
    }
    if (left < 4 || (p[3] & 0xC0) != 0x80) {
        return 0;
    }
    return (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F) ? 0 : 4;
}

#endif

/* text_tables.h - the generated tables of text.c; nobody else includes it. */
#ifndef FB_BASE_TEXT_TABLES_H
#define FB_BASE_TEXT_TABLES_H

#include <stdint.h>

enum {
    PINYIN_START = 0x4E00,
    PINYIN_END = 0x9FA6, /* one behind the last */
    PINYIN_ROWS = 327,
    FOLD_LOW_START = 0x00C0,
    FOLD_LOW_END = 0x0530,
    FOLD_HIGH_START = 0x1E00,
    FOLD_HIGH_END = 0x2000
};

extern const char PINYIN_INITIALS[PINYIN_ROWS][65];
extern const uint16_t FOLD_LOW[FOLD_LOW_END - FOLD_LOW_START];
extern const uint16_t FOLD_HIGH[FOLD_HIGH_END - FOLD_HIGH_START];

#endif

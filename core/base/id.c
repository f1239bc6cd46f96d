/* id.c - see id.h for the layout and ID-1. */
#include "base/id.h"

#include <string.h>

#include "base/check.h"

enum { COUNTER_MAX = 0xFFF };
#define MS_MAX ((UINT64_C(1) << 48) - 1)

void id_maker_init(id_maker *m, const uint8_t random[8])
{
    *m = (id_maker){0};
    memcpy(m->tail, random, sizeof m->tail);
    m->tail[0] = (uint8_t)((m->tail[0] & 0x3F) | 0x80);
}

fb_id id_make(id_maker *m, int64_t wall_ms)
{
    uint64_t now = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    if (now > m->ms && now <= MS_MAX) {
        m->ms = now;
        m->counter = 0;
    } else if (m->counter < COUNTER_MAX) { /* the clock stands or went back: count on (ID-1) */
        m->counter++;
    } else {
        m->ms++;
        m->counter = 0;
    }
    FB_ASSERT(m->ms <= MS_MAX && m->counter <= COUNTER_MAX);

    fb_id id;
    for (unsigned i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(m->ms >> (40 - 8 * i));
    }
    id.b[6] = (uint8_t)(0x70 | m->counter >> 8);
    id.b[7] = (uint8_t)m->counter;
    memcpy(id.b + 8, m->tail, sizeof m->tail);
    return id;
}

/* Where byte i of an id stands in its text. */
static const uint8_t PLACE[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

void id_put(const fb_id *id, char out[FB_ID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        out[PLACE[i]] = digits[id->b[i] >> 4];
        out[PLACE[i] + 1] = digits[id->b[i] & 15];
    }
    out[8] = out[13] = out[18] = out[23] = '-';
    out[36] = '\0';
}

/* clang-format off */
static const uint8_t NIBBLE[256] = { /* value + 1; 0 = not a lower-case hexadecimal digit */
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};
/* clang-format on */

bool id_get(fb_text text, fb_id *out)
{
    if (text.size != 36) {
        return false;
    }
    const char *t = text.data;
    if (t[8] != '-' || t[13] != '-' || t[18] != '-' || t[23] != '-') {
        return false;
    }
    fb_id id;
    for (unsigned i = 0; i < 16; i++) {
        unsigned high = NIBBLE[(uint8_t)t[PLACE[i]]];
        unsigned low = NIBBLE[(uint8_t)t[PLACE[i] + 1]];
        if (high == 0 || low == 0) {
            return false;
        }
        id.b[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    *out = id;
    return true;
}

bool id_equal(const fb_id *a, const fb_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool id_is_none(const fb_id *id)
{
    static const fb_id none;
    return id_equal(id, &none);
}

int id_compare(const fb_id *a, const fb_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

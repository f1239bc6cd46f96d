/* text.c - see text.h.
 *
 * Keys are made code point by code point by one folding stream (fold_next), so that the search
 * key and the initials always agree on what a letter, a blank and nothing is:
 *   a letter   folded (fold_table.c), digits and other scripts as they are
 *   a blank    blanks, punctuation and symbols: "A-1" and "a 1" meet
 *   nothing    apostrophes, combining accents, invisible characters: "O'Neil" and "oneil" meet
 * The checks of forms (phones, codes, addresses, dates) are in text_forms.c. */
#include "base/text.h"

#include <string.h>

#include "base/check.h"
#include "base/text_tables.h"
#include "base/utf8.h"

/* Bytes of the first character, 0 if it is not strict UTF-8 or NUL. */
static size_t char_size(fb_text t)
{
    unsigned char c = (unsigned char)t.data[0];
    return c >= 0x80 ? utf8_wide_size(t.data, t.data + t.size) : c != 0;
}

bool utf8_valid(fb_text t)
{
    while (t.size > 0) {
        size_t n = char_size(t);
        if (n == 0) {
            return false;
        }
        t.data += n;
        t.size -= n;
    }
    return true;
}

size_t utf8_count(fb_text t)
{
    size_t count = 0;
    for (size_t i = 0; i < t.size; i++) {
        count += ((unsigned char)t.data[i] & 0xC0) != 0x80;
    }
    return count;
}

/* Takes one code point; a byte that is no UTF-8 counts as U+FFFD. 0 at the end. */
static uint32_t char_take(fb_text *t)
{
    if (t->size == 0) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)t->data;
    size_t n = char_size(*t);
    uint32_t c = 0xFFFD;
    if (n == 1) {
        c = p[0];
    } else if (n == 2) {
        c = (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    } else if (n == 3) {
        c = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    } else if (n == 4) {
        c = (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    }
    n = n == 0 ? 1 : n;
    t->data += n;
    t->size -= n;
    return c;
}

static void char_put(buf *out, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (n == 1) {
        b[0] = (char)c;
    } else {
        static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (size_t i = n - 1; i > 0; i--) {
            b[i] = (char)(0x80 | (c & 0x3F));
            c >>= 6;
        }
        b[0] = (char)(lead[n] | c);
    }
    buf_put(out, b, n);
}

static bool in(uint32_t c, uint32_t from, uint32_t to)
{
    return c >= from && c <= to;
}

/* Full width to half: U+FF01..U+FF5E are ASCII moved up, U+3000 is the wide blank. */
static uint32_t half_width(uint32_t c)
{
    return in(c, 0xFF01, 0xFF5E) ? c - 0xFEE0 : c == 0x3000 ? ' ' : c;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || in(c, 0x09, 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           in(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

/* Characters without a shape of their own, which come in by copying and spoil comparisons. */
static bool is_invisible(uint32_t c)
{
    return c == 0xAD || in(c, 0x200B, 0x200F) || in(c, 0x202A, 0x202E) || in(c, 0x2060, 0x2064) ||
           c == 0xFEFF;
}

static bool is_apostrophe(uint32_t c)
{
    return c == '\'' || c == '`' || c == 0xB4 || c == 0x2018 || c == 0x2019 || c == 0x02BC;
}

/* Punctuation and symbols outside of the folding table. */
static bool is_mark(uint32_t c)
{
    if (in(c, 0x3001, 0x303F)) {
        return c != 0x3005 && c != 0x3007; /* repetition mark and ideographic zero are letters */
    }
    return in(c, 0x80, 0xBF) || in(c, 0x2010, 0x206F) || in(c, 0x20A0, 0x20CF) ||
           in(c, 0x2190, 0x2BFF) || c == 0x30FB || in(c, 0xFE10, 0xFE1F) || in(c, 0xFE30, 0xFE6F) ||
           in(c, 0xFF5F, 0xFF65) || in(c, 0xFFE0, 0xFFEE) || c == 0xFFFD;
}

static uint32_t fold_ascii(uint32_t c)
{
    if (in(c, 'A', 'Z')) {
        return c + 32;
    }
    return in(c, 'a', 'z') || in(c, '0', '9') ? c : ' ';
}

/* Marks a folded form of two letters; beyond every code point. */
#define TWO_LETTERS UINT32_C(0x80000000)

/* An entry of fold_table.c. */
static uint32_t fold_entry(uint16_t entry)
{
    return (entry & 0x8000) != 0 ? TWO_LETTERS | (entry & 0x7FFFu) : entry;
}

/* Folded form of one code point: a code point, ' ', 0 for nothing, or two letters. */
static uint32_t fold(uint32_t c)
{
    c = half_width(c);
    if (is_apostrophe(c) || is_invisible(c)) {
        return 0;
    }
    if (c < 0x80) {
        return fold_ascii(c);
    }
    if (in(c, FOLD_LOW_START, FOLD_LOW_END - 1)) {
        return fold_entry(FOLD_LOW[c - FOLD_LOW_START]);
    }
    if (in(c, FOLD_HIGH_START, FOLD_HIGH_END - 1)) {
        return fold_entry(FOLD_HIGH[c - FOLD_HIGH_START]);
    }
    return is_blank(c) || is_mark(c) ? ' ' : c;
}

typedef struct fold_stream {
    fb_text rest;
    uint32_t queued; /* second letter of a ligature, or the letter behind a blank */
    bool started;    /* a letter was given: blanks before the first one vanish */
} fold_stream;

/* Next folded code point; a run of blanks is one ' ', none at either end; 0 at the end. */
static uint32_t fold_next(fold_stream *f)
{
    uint32_t c = f->queued;
    f->queued = 0;
    if (c != 0) {
        goto found;
    }
    bool blank = false;
    while (f->rest.size > 0) {
        c = fold(char_take(&f->rest));
        if (c != 0 && c != ' ') {
            if (blank && f->started) {
                f->queued = c;
                return ' ';
            }
            goto found;
        }
        blank = blank || c == ' ';
    }
    return 0;
found:
    f->started = true;
    if ((c & TWO_LETTERS) != 0) {
        f->queued = 'a' + (c & 0x1F);
        c = 'a' + (c >> 5 & 0x1F);
    }
    return c;
}

void text_key(buf *out, fb_text t)
{
    fold_stream f = {.rest = t};
    for (uint32_t c; (c = fold_next(&f)) != 0;) {
        char_put(out, c);
    }
}

/* Pairs whose second reading is the usual one in names: both characters and the two letters. */
static const struct {
    uint16_t first, second;
    char letters[3];
} PAIRS[] = {
    {0x91CD, 0x5E86, "cq"}, /* Chongqing */
    {0x53A6, 0x95E8, "xm"}, /* Xiamen */
    {0x94F6, 0x884C, "yh"}, /* bank: yin hang */
    {0x5546, 0x884C, "sh"}, /* trading house: shang hang */
};

static bool is_han(uint32_t c)
{
    return in(c, PINYIN_START, PINYIN_END - 1);
}

/* The pair of letters when a and b are one of PAIRS, else NULL. */
static const char *pair_of(uint32_t a, uint32_t b)
{
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        if (PAIRS[i].first == a && PAIRS[i].second == b) {
            return PAIRS[i].letters;
        }
    }
    return NULL;
}

static void initial_put(buf *out, uint32_t c)
{
    uint32_t i = c - PINYIN_START;
    char letter = PINYIN_INITIALS[i / 64][i % 64];
    if (letter != '.') {
        buf_put_char(out, letter);
    }
}

/* Han characters give their letter, numbers stay whole ("711"), other words their first letter. */
void text_initials(buf *out, fb_text t)
{
    fold_stream f = {.rest = t};
    bool in_word = false;
    uint32_t c = fold_next(&f);
    while (c != 0) {
        uint32_t next = fold_next(&f);
        if (is_han(c)) {
            const char *pair = pair_of(c, next);
            if (pair != NULL) {
                buf_put(out, pair, 2);
                next = fold_next(&f);
            } else {
                initial_put(out, c);
            }
            in_word = false;
        } else if (in(c, '0', '9')) {
            buf_put_char(out, (char)c);
            in_word = false;
        } else if (c == ' ') {
            in_word = false;
        } else {
            if (!in_word) {
                char_put(out, c);
            }
            in_word = true;
        }
        c = next;
    }
}

void text_normalise(buf *out, fb_text t)
{
    bool blank = false, started = false;
    while (t.size > 0) {
        fb_text before = t;
        uint32_t c = char_take(&t);
        if (c == 0x200B || c == 0xFEFF) {
            continue;
        }
        if (is_blank(c)) {
            blank = true;
            continue;
        }
        if (blank && started) {
            buf_put_char(out, ' ');
        }
        blank = false;
        started = true;
        uint32_t half = half_width(c);
        if (in(half, '0', '9') || in(half, 'A', 'Z') || in(half, 'a', 'z')) {
            buf_put_char(out, (char)half);
        } else {
            buf_put(out, before.data, before.size - t.size);
        }
    }
}

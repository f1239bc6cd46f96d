/* issue.c - messages for people: templates filled with numbers, cut between characters (ISS-1).
 *
 * Which message belongs to which breach is said in the tables of order_check.c and row_words.c. */
#include "rules/issue.h"

#include <string.h>

#include "base/check.h"

/* A text field being filled; `left` counts bytes before the terminator. */
typedef struct space {
    char *at;
    size_t left;
} space;

static space space_of(char *field, size_t size)
{
    field[0] = '\0';
    return (space){field, size - 1};
}

/* Appends; what does not fit is cut before the character that would be torn, and ends the field. */
static void put(space *r, const char *data, size_t size)
{
    size_t fits = size;
    if (size > r->left) {
        fits = r->left;
        while (fits > 0 && ((unsigned char)data[fits] & 0xC0) == 0x80) { /* ISS-1 */
            fits--;
        }
        r->left = fits;
    }
    if (fits > 0) {
        memcpy(r->at, data, fits);
    }
    r->at += fits;
    r->left -= fits;
    *r->at = '\0';
}

static void put_text(char *field, size_t size, const char *text)
{
    space r = space_of(field, size);
    put(&r, text, strlen(text));
}

/* The argument number of "{n}" at `at`, or 0. */
static size_t arg_number(const char *at, size_t count)
{
    if (at[0] != '{' || at[1] < '1' || at[1] > '9' || at[2] != '}') {
        return 0;
    }
    size_t number = (size_t)(at[1] - '0');
    return number <= count ? number : 0;
}

typedef struct filling {
    const issue_arg *args;
    size_t count;
    bool chinese;
} filling;

static void put_filled(char *field, size_t size, const char *text, const filling *f)
{
    space r = space_of(field, size);
    const char *from = text;
    const char *at = text;
    while (*at != '\0') {
        size_t number = arg_number(at, f->count);
        if (number == 0) {
            at++;
            continue;
        }
        const issue_arg *arg = &f->args[number - 1];
        fb_text value = f->chinese ? arg->zh : arg->en;
        put(&r, from, (size_t)(at - from));
        put(&r, value.data, value.size);
        at += 3;
        from = at;
    }
    put(&r, from, (size_t)(at - from));
}

fb_code issue_set(issue *out, fb_code code, const char *field, const char *text_en,
                  const char *text_zh, const char *cure_en, const char *cure_zh)
{
    out->code = code;
    put_text(out->field, sizeof out->field, field);
    put_text(out->text_en, sizeof out->text_en, text_en);
    put_text(out->text_zh, sizeof out->text_zh, text_zh);
    put_text(out->cure_en, sizeof out->cure_en, cure_en);
    put_text(out->cure_zh, sizeof out->cure_zh, cure_zh);
    return code;
}

fb_code issue_fill(issue *out, const issue_words *words, const issue_arg *args, size_t args_count)
{
    const filling english = {args, args_count, false};
    const filling chinese = {args, args_count, true};
    out->code = words->code;
    put_filled(out->field, sizeof out->field, words->field, &english);
    put_filled(out->text_en, sizeof out->text_en, words->text_en, &english);
    put_filled(out->text_zh, sizeof out->text_zh, words->text_zh, &chinese);
    put_filled(out->cure_en, sizeof out->cure_en, words->cure_en, &english);
    put_filled(out->cure_zh, sizeof out->cure_zh, words->cure_zh, &chinese);
    return out->code;
}

issue_arg issue_number(char room[ISSUE_NUMBER_BYTES], int64_t value, unsigned digits, unsigned keep)
{
    FB_ASSERT(digits <= 18 && keep <= digits); /* sign, 20 digits, point and 18 zeros at most */
    char *at = room + ISSUE_NUMBER_BYTES;
    uint64_t m = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    bool started = false;
    for (unsigned place = digits; place > 0; place--) {
        char digit = (char)('0' + m % 10);
        m /= 10;
        started = started || digit != '0' || place <= keep;
        if (started) {
            *--at = digit;
        }
    }
    if (started) {
        *--at = '.';
    }
    do {
        *--at = (char)('0' + m % 10);
        m /= 10;
    } while (m > 0);
    if (value < 0) {
        *--at = '-';
    }
    return issue_code((fb_text){at, (size_t)(room + ISSUE_NUMBER_BYTES - at)});
}

issue_arg issue_code(fb_text code)
{
    return (issue_arg){code, code};
}

fb_code issue_to_error(const issue *i, fb_error *err)
{
    if (err == NULL) {
        return i->code;
    }
    err->code = i->code;
    put_text(err->field, sizeof err->field, i->field);
    space r = space_of(err->message, sizeof err->message);
    put(&r, i->text_en, strlen(i->text_en));
    if (i->cure_en[0] != '\0') {
        put(&r, ": ", 2);
        put(&r, i->cure_en, strlen(i->cure_en));
    }
    return i->code;
}

/* wire_fixture.h - what the tests of base and wire share: cmocka, text literals, the small
 * catalogue of schema/vectors/catalog.json, reading a file of the tree. */
#ifndef FB_TESTS_SUPPORT_WIRE_FIXTURE_H
#define FB_TESTS_SUPPORT_WIRE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h" /* before cmocka, whose macro fail() hides our function: (fail)(...) */

#include <cmocka.h>

#include "base/id.h"
#include "catalog/catalog.h"

#define T(literal) ((fb_text){(literal), sizeof(literal) - 1})

/* A file of the tree into a buffer; the caller clears it. */
static inline buf file_read(const char *path)
{
    buf content;
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", FB_SOURCE_DIR, path);
    buf_init(&content, 16u << 20);
    FILE *f = fopen(whole, "rb");
    assert_non_null(f);
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(&content, part, n);
    }
    fclose(f);
    assert_int_equal(content.code, FB_OK);
    return content;
}

static inline catalog *fixture_catalog(void)
{
    buf text = file_read("schema/vectors/catalog.json");
    catalog *c = NULL;
    fb_error err = {0};
    if (catalog_load(buf_text(&text), &c, &err) != FB_OK) {
        fail_msg("catalog.json: %s: %s", err.field, err.message);
    }
    buf_clear(&text);
    return c;
}

static inline fb_id id_of(unsigned last)
{
    fb_id id = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0,
                 (uint8_t)(last >> 8), (uint8_t)last}};
    return id;
}

static inline void assert_text_is(fb_text got, const char *wanted)
{
    if (got.size != strlen(wanted) || (got.size > 0 && memcmp(got.data, wanted, got.size) != 0)) {
        fail_msg("got \"%.*s\", wanted \"%s\"", (int)got.size, got.data != NULL ? got.data : "",
                 wanted);
    }
}

static inline void assert_buf_is(buf *b, const char *wanted)
{
    assert_int_equal(b->code, FB_OK);
    assert_text_is(buf_text(b), wanted);
}

#endif

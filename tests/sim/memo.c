/* memo.c - each text of the catalogue is parsed once in a process, not at every start of a machine.
 *
 * A simulated life starts machines hundreds of times, always with the same few catalogues, and a
 * catalogue does not change once it is loaded. The linker leads catalog_load and catalog_free
 * here (CMakeLists: --wrap); the first load of a text is the real one. */
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
#include "sim/sim.h"

enum { TEXTS_MAX = 16 };

typedef struct memo {
    char *text;
    size_t size;
    catalog *parsed;
} memo;

static memo memos[TEXTS_MAX];
static int memos_count;

fb_code __real_catalog_load(fb_text text, catalog **out, fb_error *err);
void __real_catalog_free(catalog *c);
fb_code __wrap_catalog_load(fb_text text, catalog **out, fb_error *err);
void __wrap_catalog_free(catalog *c);

fb_code __wrap_catalog_load(fb_text text, catalog **out, fb_error *err)
{
    for (int i = 0; i < memos_count; i++) {
        if (memos[i].size == text.size && memcmp(memos[i].text, text.data, text.size) == 0) {
            *out = memos[i].parsed;
            return FB_OK;
        }
    }
    catalog *made = NULL;
    fb_code rc = __real_catalog_load(text, &made, err);
    char *copy = rc == FB_OK && memos_count < TEXTS_MAX ? malloc(text.size + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, text.data, text.size);
        memos[memos_count++] = (memo){copy, text.size, made};
    }
    if (rc == FB_OK) {
        *out = made;
    }
    return rc;
}

void __wrap_catalog_free(catalog *c)
{
    for (int i = 0; i < memos_count; i++) {
        if (memos[i].parsed == c) {
            return; /* the memo's: memo_clear */
        }
    }
    __real_catalog_free(c);
}

void memo_clear(void)
{
    while (memos_count > 0) {
        memos_count--;
        free(memos[memos_count].text);
        __real_catalog_free(memos[memos_count].parsed);
    }
}

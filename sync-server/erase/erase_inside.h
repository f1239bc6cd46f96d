/* erase_inside.h - what the files of this room share; nobody else includes it. */
#ifndef FB_ERASE_ERASE_INSIDE_H
#define FB_ERASE_ERASE_INSIDE_H

#include "sync-server/decide/decide.h"
#include "sync-server/erase/erase.h"

typedef struct erasing {
    store *s;
    const erase_order *o;
    arena *memory;
    const catalog *cat;
    const cat_entity *list; /* the entity `erasure` */
    erased_view view;       /* with this person in it */
    change *changes;
    uint32_t count, capacity;
    erase_report *out;
    fb_error *err;
} erasing;

/* The row of the list for this id. */
fb_id erasure_id(const fb_id *id);
FB_MUST_USE fb_code erasing_change(erasing *x, const change *c);
/* erase_kept.c: rows of held groups become changes of *x, fs_verdict is written at once. */
FB_MUST_USE fb_code held_rows_erase(erasing *x);
FB_MUST_USE fb_code verdicts_erase(erasing *x);

#endif

/* observe.h - be told that something visible changed.
 *
 * Observers are called only inside fb_observe_poll, on its thread, once per poll however many rows
 * changed; they say what to read again, not what changed. Threads: as fb_db. */
#ifndef FIELDBOOK_OBSERVE_H
#define FIELDBOOK_OBSERVE_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `entity`: the name, terminated, borrowed for the call. The callback may read and write through
 * the handle, and may add and remove observers, but not poll. */
typedef void (*fb_observe_fn)(void *ctx, const char *entity);

/* Call `fn` at the next polls after rows of `entity` changed; NULL: of any entity, once for each.
 * *id_out (may be NULL: it then lasts until fb_db_close) ends the observation with
 * fb_observe_remove. FB_E_NOT_FOUND: no such entity. FB_E_LIMIT:
 * more than 64 observers. Changes before this call are not reported. */
FB_API FB_MUST_USE fb_code fb_observe_add(fb_db *db, const char *entity, fb_observe_fn fn,
                                          void *ctx, uint32_t *id_out, fb_error *err);

/* Never call this observer again. An unknown id is fine. */
FB_API void fb_observe_remove(fb_db *db, uint32_t id);

/* Call the observers of everything that changed since the last poll, whoever changed it on this
 * file. *called_out (may be NULL): how many calls were made. */
FB_API FB_MUST_USE fb_code fb_observe_poll(fb_db *db, uint32_t *called_out, fb_error *err);

#ifdef __cplusplus
}
#endif
#endif

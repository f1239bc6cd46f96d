/* outbox.h - what is saved and unanswered, out of a file that does not open, and into another one.
 *
 * For a replica that a newer app wrote (FB_E_NEWER), or that is damaged and could not be made again
 * from its second copy: its groups are written to a file, a new replica is enrolled for the same
 * person, and the groups are taken in there. A damaged file is usually put in order by fb_db_open
 * itself; nothing needs to be done then (fb_status.salvaged_ms). */
#ifndef FIELDBOOK_OUTBOX_H
#define FIELDBOOK_OUTBOX_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fb_outbox_group {
    int64_t gseq;           /* its number there */
    int64_t captured_at_ms; /* milliseconds UTC */
    bool closed;            /* refused by the server and given up by the person */
    fb_text kind;           /* what the person did, "order.submit"; borrowed */
    fb_text line;           /* the group as it travels, one line without its end; borrowed */
} fb_outbox_group;

/* Lend every group that no backup of the server is known to hold, oldest first, to fn, which
 * returns FB_OK to go on. `options` needs a port; create and read_only are not looked at. Nothing
 * is written, whatever state the file is in. FB_E_NOT_FOUND: there is no outbox at this path.
 * FB_E_IO and other codes of the machine: fn was lent what could be read; asked again it may be
 * more. */
FB_API FB_MUST_USE fb_code fb_outbox_each(const char *path, const fb_db_options *options,
                                          fb_code (*fn)(void *ctx, const fb_outbox_group *group),
                                          void *ctx, fb_error *err);

/* Take one line into this replica as a new group, synced. *gseq_out (may be NULL): its number, 0
 * when the outbox has the same line already. A line that the server has from another device of this
 * person is recognised there and counts once. FB_E_AUTH: not enrolled. FB_E_PROTOCOL, FB_E_JSON: it
 * is no group that this catalogue knows; synchronise once and try again. FB_E_STATE: a group is
 * open. Nothing changed then. */
FB_API FB_MUST_USE fb_code fb_outbox_take(fb_db *db, fb_text line, int64_t *gseq_out,
                                          fb_error *err);

#ifdef __cplusplus
}
#endif
#endif

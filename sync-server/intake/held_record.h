/* held_record.h - the row by which people see and decide a held group. Nobody outside this room
 * includes it.
 *
 * One row of the entity held_group for a group, known by a hash of its author and its bytes: sent
 * again after a rebirth or a restore, the same group is the same row. Device and number in it are
 * those it was held under first; who decides goes by the row's name (held_waiting_row).
 *
 *   HLD-1  a group that is held has an open row, written in the same transaction
 *   HLD-2  a row that is not open belongs to no group that waits */
#ifndef FB_INTAKE_HELD_RECORD_H
#define FB_INTAKE_HELD_RECORD_H

#include "sync-server/intake/intake.h"

typedef struct held_place {
    const door_device *d;
    int64_t gseq, now_ms;
    fb_text line;  /* the group, as it was sent */
    fb_text words; /* its verdict, as it stands in fs_verdict */
    fb_id row;     /* its row; none: held by an earlier version, the line says */
} held_place;

/* Open the row, or open it again; one that is open stays as it is, but for the verdict. */
FB_MUST_USE fb_code held_record_open(intake *in, const held_place *p);
/* The group waits no longer because another one took its place. */
FB_MUST_USE fb_code held_record_withdraw(intake *in, const held_place *p);
/* The change that closes the row, to be committed with what was decided; a row there never was (an
 * older version's) is inserted closed. *any_out false: the catalogue has no such rows yet. */
FB_MUST_USE fb_code held_record_close(intake *in, const held_place *p, const intake_decision *how,
                                      verdict_code result, change *change_out, bool *any_out);

/* held.c: carry out what a group has decided (decided_held). */
FB_MUST_USE fb_code held_settle(intake *in, const decided_held *what, int64_t now_ms);

#endif

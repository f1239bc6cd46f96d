/* lives.h - longer lives of a device, for scenes that one day of work does not bring about. */
#ifndef FB_FAULT_LIVES_H
#define FB_FAULT_LIVES_H

#include "fault/torture/moment.h"

typedef enum moment_name {
    MOMENT_STAGE,    /* the stage's own: stage.c */
    MOMENT_PACKS,    /* a first download is waiting in packs */
    MOMENT_RESET,    /* away for too long: packs half loaded, work pending */
    MOMENT_VERDICTS, /* the next sync brings merged, alias, rejected, blocked, held; rows leave */
    MOMENT_TRAY,     /* and this is what a person sees of it */
    MOMENT_DECIDED,  /* the held group was decided, its row is back */
    MOMENT_DIGEST,   /* rows that are wrong behind everybody's back */
    MOMENT_RUIN,     /* most of them */
    MOMENT_CATALOG,  /* the server's catalogue has grown */
    MOMENT_EPOCH,    /* the server was restored from a backup of before the verdicts */
    MOMENT_COPIED,   /* the phone's database is an older one, its second copy is not */
    MOMENT_LOST,     /* the database is gone, the second copy is not */
    MOMENT_OFFICE,   /* the office and another phone changed what this one changed */
    MOMENT_RIGHTS,   /* the person's role was taken away and territories changed */
    MOMENT_COLUMN,   /* a newer column takes the place of one that was just written */
    MOMENT_CLONE,    /* two phones from one */
    MOMENT_PICTURES, /* another phone's are at the server */
    MOMENT_AGAIN,    /* to be enrolled anew: with life_ids.code */
    MOMENTS
} moment_name;

/* Ids that scenes ask for. */
typedef struct life_ids {
    fb_id conflict, shop, picture;
    int64_t refused; /* group */
    char code[40];   /* for MOMENT_AGAIN */
} life_ids;

/* Who wants to know what the servers of these lives are given to do, each time before they do it;
 * all members may be NULL. */
typedef struct lives_ear {
    void (*asked)(void *ctx, fleet *f, const fb_link_request *q);
    void (*builds)(void *ctx, fleet *f); /* row packs */
    void *ctx;
} lives_ear;

/* All but MOMENT_STAGE. */
void lives_make(moment all[MOMENTS], life_ids *ids, const lives_ear *ear);

#endif

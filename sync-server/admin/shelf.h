/* shelf.h - a folder of backups: full copies and what changed since, each a moment to restore to.
 *
 *   00000001.full   every page of the database at that moment
 *   00000002.inc    the pages that changed since 00000001
 *   00000003.inc    the pages that changed since 00000002
 *   00000004.full   ...
 *
 * A file is a head (one JSON line) and the SHA-256 of that line, the pages it stores (number as 4
 * bytes, big endian, then the page; ascending), and the SHA-256 of everything before it. The head
 * names the SHA-256 of the file before it, and the digest of the whole database at its moment:
 * SHA-256 over the SHA-256 of every page in order. The database of a moment is, page by page, the
 * newest one stored at or before it, back to the full copy.
 *
 *   SHF-1  a file is complete and synced before it has its name; none is ever changed
 *   SHF-2  one flipped bit, a missing file or one of another chain is noticed, and says which
 *          moments it spoils: those from it up to the next full copy
 *   SHF-3  what is put together from a chain has the digest that its moment's head names, or it is
 *          not used
 *   SHF-4  an increment never stands without what it is made from, whenever the power goes while
 *          chains are removed
 *
 * Pages, not rows: a restored database is the one that stood there, whatever its schema was. */
#ifndef FB_ADMIN_SHELF_H
#define FB_ADMIN_SHELF_H

#include "sync-server/admin/admin.h"

enum { SHELF_POINTS_MAX = 100000, SHELF_PATH_BYTES = 4096, SHELF_NAME_BYTES = 4200 };

/* What the head says; see shelf.c for its form. */
typedef struct shelf_head {
    uint32_t version, page_bytes;
    int64_t number, pages, stored;
    bool full;
    int64_t commit, entries; /* last commit and audit entries of the database */
    int64_t at_ms;           /* wall clock when the snapshot was whole: nothing later is in it */
    fb_id epoch;
    digest before; /* own digest of the file before it; of a full copy all zero */
    digest image;  /* of the whole database */
} shelf_head;

/* One file. Bytes are mapped until shelf_close. */
typedef struct shelf_point {
    int64_t number; /* and kind, as its name says */
    bool full;
    shelf_head head;
    digest own;                     /* of this file */
    const uint8_t *bytes, *records; /* records NULL: the head cannot be read */
    size_t size;
    bool judged;   /* its bytes were read and compared */
    bool good;     /* not judged: its head is whole; judged: every byte, and its place */
    char why[120]; /* not good: what is wrong with it */
} shelf_point;

typedef struct shelf {
    const fb_files *files; /* all that is written goes through it; reading maps the files */
    char folder[SHELF_PATH_BYTES];
    shelf_point *points; /* by number */
    uint32_t count;
} shelf;

/* Is this the name of a folder, or of one to be made (it ends with a slash)? */
bool shelf_is_folder(const char *path);
/* Map every file and read the heads. Damage is no failure here: see `good`. E_NOT_FOUND: no such
 * folder. */
FB_MUST_USE fb_code shelf_open(const fb_files *files, const char *folder, shelf *out,
                               fb_error *err);
void shelf_close(shelf *c);
/* Judge every byte of the files first..last, once. */
void shelf_judge(shelf *c, uint32_t first, uint32_t last);

/* For every page of the database at this moment its bytes, in order, to fn. E_CORRUPT: the moment
 * is spoilt, or the digest of what came differs (SHF-3; then fn has seen it all, use nothing of
 * it). */
typedef fb_code (*shelf_page_fn)(void *ctx, int64_t number, const uint8_t *page, uint32_t bytes);
FB_MUST_USE fb_code shelf_image(shelf *c, uint32_t index, shelf_page_fn fn, void *ctx,
                                fb_error *err);
/* The newest moment at or before both bounds. E_NOT_FOUND: none; E_CORRUPT: a head that cannot be
 * read may be it. */
FB_MUST_USE fb_code shelf_find(const shelf *c, int64_t commit_max, int64_t at_max_ms,
                               uint32_t *index_out, fb_error *err);
/* Put the database of this moment into a new file `to`, synced. E_CORRUPT, E_EXISTS, E_IO,
 * E_DISK_FULL: nothing is left behind. */
FB_MUST_USE fb_code shelf_write_image(shelf *c, uint32_t index, const char *to, fb_error *err);

/* A new file from the database file `snapshot`, with what differs from the moment before, or in
 * full. head: commit, entries, at_ms and epoch are given, the rest is filled. */
typedef struct shelf_new {
    const char *snapshot;
    bool full; /* even if an increment would do */
    shelf_head head;
    int64_t bytes;      /* out: of the file */
    char why_full[120]; /* out: why it is a full copy without having been asked for; "" */
} shelf_new;
FB_MUST_USE fb_code shelf_add(shelf *c, shelf_new *n, fb_error *err);
/* Remove whole chains at the beginning while at least `keep` moments stay that are good. */
FB_MUST_USE fb_code shelf_prune(const shelf *c, int64_t keep, uint32_t *removed_out, fb_error *err);
void shelf_point_path(const char *folder, int64_t number, bool full, char out[SHELF_NAME_BYTES]);

#endif

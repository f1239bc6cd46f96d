/* erase.h - a person's data goes: out of the rows, out of what is kept of groups, for good.
 *
 * The row named is the customer or contact; everything that hangs on it by the scope rules of the
 * catalogue goes with it, as far as its columns are personal (wire/erased.h: ERA-1 to 3). The
 * records themselves stay, without the person: orders, payments and visits are the company's books.
 * A row of the entity `erasure` for it goes to every device: they clear what they still keep, and
 * the server takes nothing back (decide/erased.c), from whatever outbox, copy or backup it comes.
 *
 *   ERS-1  rows, list, kept groups, held groups, verdicts and audit stand or fall together
 *   ERS-2  no entry of the audit and no answer names a value
 *   ERS-3  hashes, marks, chains and the codes of verdicts stay: what is sent again is recognised
 *   ERS-4  the list also stands beside the database, PATH.erased: one that is put back from an
 *          older copy is erased again before it serves (erase_again)
 *   ERS-5  erasing again changes nothing more */
#ifndef FB_ERASE_ERASE_H
#define FB_ERASE_ERASE_H

#include "sync-server/blob/blob.h"
#include "sync-server/store/store.h"

typedef struct erase_order {
    fb_text entity;
    fb_id id;
    fb_text reason; /* a number or a paragraph of the law: nothing about the person */
    int64_t at_ms;
    bool row_may_lack; /* deleted meanwhile, or not in this copy: it is listed all the same */
} erase_order;

typedef struct erase_report {
    int64_t rows;   /* changed or deleted */
    int64_t listed; /* new in the list */
    int64_t kept;   /* groups that were not applied, and verdicts, from which something went */
    int64_t held;   /* of them with a row for people */
    digest *files;  /* of attachments that went; in the arena */
    uint32_t files_count;
} erase_report;

/* Inside a write transaction of the caller. E_NOT_FOUND: there is no such row. E_INVALID: rows of
 * this entity are not erased (err says what to do instead). */
FB_MUST_USE fb_code erase_person(store *s, const erase_order *o, arena *memory, erase_report *out,
                                 fb_error *err);
/* Bytes of attachments that no row names any more; own transactions. */
FB_MUST_USE fb_code erase_files(const blob_place *p, store *s, const erase_report *r);

/* ERS-4, with nobody else writing: what stands in the list of `path` and not in the database is
 * erased, what stands in it and not in the list is noted there. *erased_out: something was, in a
 * transaction of its own; store_compact behind it. */
FB_MUST_USE fb_code erase_again(store *s, const char *path, const char *vfs, bool *erased_out,
                                fb_error *err);

/* Behind a transaction that erased: the list beside the database is the one in it. */
FB_MUST_USE fb_code erase_list_keep(store *s, const char *path, const char *vfs, fb_error *err);

#endif

/* second.h - what stands in the second copy (journal.h), and when it is written.
 *
 *   identity   rows of fb_meta without those of the base state
 *   catalog    the active catalogue's text, packed
 *   counters   rows of fb_counter
 *   group      gseq above `pruned`: the stored body, its chain, document numbers it took
 *   archived   rows of fb_outbox at or below `pruned`, or negative: with state and verdict
 *
 *   SEC-1  under the write lock, after second_align: the newest group here is the newest one of the
 *          database, with the same chain
 *   SEC-2  a segment's life is the database's: how many incarnations this file has had
 *   SEC-3  what only the second copy has is never overwritten: the database is rebuilt from it
 *          (salvage.c)
 *
 * Included by the files of core/replica that are named in room.h. */
#ifndef FB_REPLICA_SECOND_H
#define FB_REPLICA_SECOND_H

#include "replica/journal.h"
#include "replica/replica.h"

/* One group as both kinds of records hold it. */
typedef struct stored_group {
    int64_t at_ms, replaces;
    digest chain; /* zero when archived */
    uint8_t state;
    fb_text kind;
    fb_text numbers; /* lines "name next" */
    fb_text verdict; /* its line, or empty */
    fb_text body;    /* as stored */
} stored_group;
void stored_group_put(buf *out, const stored_group *g);
FB_MUST_USE fb_code stored_group_get(fb_text payload, stored_group *out); /* borrows */

/* A list of named values: fb_meta, fb_counter. */
typedef enum named_value_kind {
    NAMED_INT = 'i',
    NAMED_TEXT = 't',
    NAMED_BLOB = 'b'
} named_value_kind;
typedef struct named_value {
    fb_text name;
    named_value_kind kind;
    int64_t number;
    fb_text bytes;
} named_value;
void named_put(buf *out, const named_value *n);
/* Take the next one off `rest`; *found false at the end. */
FB_MUST_USE fb_code named_get(fb_text *rest, named_value *out, bool *found);
/* A draft; without a body it is gone. Texts are borrowed. */
void second_draft_put(buf *out, const draft *d);
FB_MUST_USE fb_code second_draft_get(fb_text payload, draft *out);

/* What a walk over the records has found. */
typedef struct second_seen {
    bool identity, salvage;
    fb_id incarnation, device, file_id;
    uint8_t nonce[16]; /* of the salvage record */
    int64_t pruned;
    int64_t last; /* newest confirmed group; `pruned` when there is none */
    digest chain_last;
    int64_t open_gseq; /* of an unconfirmed one at the end */
    digest open_chain;
    uint32_t groups, catalog_version;
    fb_id epoch;
} second_seen;

typedef struct second {
    journal j;
    bool on;    /* this handle keeps one */
    bool check; /* another connection may have written: align before the next record */
    second_seen seen;
} second;

typedef enum second_verdict {
    SECOND_MATCHES,
    SECOND_MISSING, /* none, or of an earlier life of the same file: write it */
    SECOND_BEHIND,  /* lacks the newest groups: write them */
    SECOND_AHEAD    /* holds what the database has not, or says it is damaged: salvage */
} second_verdict;

/* Take one record into *seen. */
FB_MUST_USE fb_code second_see(void *seen, const journal_record *record);
/* Make SEC-1 true; inside a write transaction. E_CORRUPT: the second copy is ahead. */
FB_MUST_USE fb_code second_align(replica *r);
/* The group that is about to be committed: its record is made, then written; then what became of
 * it. Between the first two the group's texts may go. */
FB_MUST_USE fb_code second_payload(replica *r, const stored_group *g);
FB_MUST_USE fb_code second_prepare(replica *r, int64_t gseq);
void second_confirm(replica *r, int64_t gseq, const digest *chain);
void second_withdraw(replica *r);
/* Something beside groups changes in this transaction. A note that could not be written costs a
 * person a question more, no work. */
void second_note(replica *r, journal_type type, int64_t gseq, fb_text payload);
/* After any commit: begin a new segment when the old one no longer fits or is mostly pruned;
 * checkpoint when it is time (JRN-3). Never fails: what could not be done is tried again. */
void second_tend(replica *r);
FB_MUST_USE fb_code second_rewrite(replica *r); /* in a transaction of its own */
extern const char second_identity_text[];       /* rows of fb_meta that an identity record holds */
named_value named_of_row(sql_stmt *q);          /* name, value, typeof(value); borrows */
/* Begin keeping the second copy, or bring it up to the database. Others may be
 * saving: what does not match at once is judged under the write lock. */
FB_MUST_USE fb_code second_start(replica *r, const replica_options *o, second_verdict *out);
/* For second.c: a whole segment, and one row of fb_outbox as a record; inside a transaction. */
FB_MUST_USE fb_code second_write(replica *r);
FB_MUST_USE fb_code second_append_row(replica *r, sql_stmt *q, journal_type type);
void second_close(replica *r);

#endif
